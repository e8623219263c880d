// Plots as SVG text, for notebooks and pages. Colours and text have a middle brightness and the ground is transparent, so that
// they can be read on white and on black.

import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import { checkNames, type Names } from '../base/options.ts'
import { firstOf, InputError, shown } from '../errors.ts'
import { CHARACTER, LINE, placed } from './labels.ts'

/** A point of a line or of a scatter plot. */
export interface Point {
  readonly x: number
  readonly y: number
  /** Which line, or which colour, it belongs to; the legend has these names. */
  readonly series: string
  /** Written beside the point. */
  readonly label?: string
}

/** What the axes are called, and how they are drawn. */
export interface PlotOptions {
  /** What x is. */
  readonly x: string
  /** What y is. */
  readonly y: string
  /** @default none */
  readonly title?: string
  /** A logarithmic x axis; all x must be above 0 then. @default false */
  readonly logX?: boolean
  /** A logarithmic y axis; all y must be above 0 then. @default false */
  readonly logY?: boolean
  /** Ends of the y axis. @default those of the points */
  readonly yDomain?: readonly [number, number]
  /** In pixels. @default 640 */
  readonly width?: number
  /** In pixels. @default 340 */
  readonly height?: number
}

const COLOURS = ['#3b82d0', '#d9730d', '#2a9d5c', '#a667d6', '#d64f4f', '#8a8d2e', '#1f9aa6', '#c45a97']
const GREY = '#7a7a7a'
const MARGIN = { left: 58, right: 40, bottom: 42, top: 34 }

/** What Plot gives: an element that knows its scales. */
interface Drawn {
  readonly outerHTML: string
  scale(name: 'x' | 'y'): { apply(value: number): number }
}

/**
 * A line through the points of each series, in the order in which they come.
 *
 * @returns one SVG, as text
 * @throws InputError where points or options are not such
 * @example
 * const losses = [0.7, 0.4, 0.2].map((y, x) => ({ x, y, series: 'LoRA' }))
 * writeFileSync('loss.svg', lineChart(losses, { x: 'step', y: 'loss' }))
 */
export function lineChart(points: readonly Point[], options: PlotOptions): string {
  check(points, options)
  const lines = Plot.line(points, { x: 'x', y: 'y', stroke: 'series', z: 'series', strokeWidth: 1.6 })
  const few = points.length <= 60
  return draw(points, options, [lines, ...(few ? [Plot.dot(points, { x: 'x', y: 'y', fill: 'series', r: 2.6 })] : [])])
}

/**
 * Dots, with their labels.
 *
 * @returns one SVG, as text
 * @throws InputError where points or options are not such
 * @example
 * const svg = scatter([{ x: 1, y: 0.9, series: 'LoRA', label: 'rank 8' }], { x: 'parameters', y: 'accuracy' })
 */
export function scatter(points: readonly Point[], options: PlotOptions): string {
  check(points, options)
  return draw(points, options, [Plot.dot(points, { x: 'x', y: 'y', fill: 'series', r: 4 })])
}

/**
 * Dots as `scatter`, and a line along those that no other beats in both: lower x and higher y are better.
 *
 * @returns one SVG, as text
 * @throws InputError where points or options are not such
 * @example
 * const methods = [{ x: 1, y: 0.8, series: 'BitFit' }, { x: 5, y: 0.9, series: 'LoRA' }, { x: 9, y: 0.85, series: 'prefix' }]
 * const svg = paretoPlot(methods, { x: 'parameters', y: 'accuracy' })
 */
export function paretoPlot(points: readonly Point[], options: PlotOptions): string {
  check(points, options)
  const best = paretoFront(points)
  const front = Plot.line(best, { x: 'x', y: 'y', stroke: GREY, strokeDasharray: '4 3', curve: 'step-after' })
  return draw(points, options, [front, Plot.dot(points, { x: 'x', y: 'y', fill: 'series', r: 4 })])
}

/**
 * The points that no other point beats, from the lowest x up.
 *
 * @example paretoFront([{ x: 1, y: 0.8, series: 'a' }, { x: 2, y: 0.7, series: 'b' }]).map(({ series }) => series) // ['a']
 */
export function paretoFront(points: readonly Point[]): Point[] {
  const front: Point[] = []
  for (const point of [...points].sort((a, b) => a.x - b.x || b.y - a.y)) {
    if (point.y > (front.at(-1)?.y ?? -Infinity)) front.push(point)
  }
  return front
}

const OPTIONS: Names<PlotOptions> = { x: true, y: true, title: true, logX: true, logY: true, yDomain: true, width: true, height: true }

/** @throws InputError where nothing would be drawn, or an axis would have no name */
function check(points: readonly Point[], options: PlotOptions): void {
  checkNames('The options of a plot', options, OPTIONS)
  if (!Array.isArray(points)) throw new InputError(`A plot: expected a list of points, { x, y, series }, got ${shown(points)}.`)
  const { logX = false, logY = false } = options
  const isNumber = (value: unknown, log: boolean): boolean => Number.isFinite(value) && (!log || Number(value) > 0)
  const isPoint = ({ x, y, series }: Partial<Point>): boolean => isNumber(x, logX) && isNumber(y, logY) && typeof series === 'string'
  const wrong = points.flatMap((point: Partial<Point> | null, i) => (typeof point === 'object' && point !== null && isPoint(point) ? [] : [`point ${i}: ${typeof point === 'object' && point !== null ? `{ x: ${shown(point.x)}, y: ${shown(point.y)}, series: ${shown(point.series)} }` : shown(point)}`]))
  const names = (['x', 'y'] as const).filter((name) => typeof options[name] !== 'string').map((name) => `${name}: expected what the axis is called, got ${shown(options[name])}`)
  if (points.length === 0) wrong.push('there is none')
  if (wrong.length + names.length > 0) throw new InputError(`A plot: expected points of { x, y, series }, two finite numbers${logX || logY ? ', above 0 on a logarithmic axis,' : ''} and a name, and names of the axes:`, [...firstOf(wrong, 'points'), ...names])
}

function draw(points: readonly Point[], options: PlotOptions, marks: readonly Plot.Markish[]): string {
  const { x, y, title, logX = false, logY = false, yDomain, width = 640, height = 340 } = options
  const { document } = parseHTML('<html></html>') as unknown as { readonly document: unknown } // the compiler has no DOM here
  const series = [...new Set(points.map((point) => point.series))]
  const rows = series.length < 2 || points.every(({ label }) => label !== undefined) ? [] : legendRows(series, width - MARGIN.left)
  const above = MARGIN.top + LINE * (rows.length + (title === undefined ? 0 : 1))
  const plot = (own: readonly Plot.Markish[]): Drawn => Plot.plot({
    document, width, height,
    marginTop: above, marginLeft: MARGIN.left, marginBottom: MARGIN.bottom, marginRight: MARGIN.right,
    style: { color: GREY, background: 'none', fontFamily: 'sans-serif', fontSize: '11px' },
    x: { label: x, type: logX ? 'log' : 'linear', ...(logX ? { tickFormat: ',' } : {}), nice: true },
    y: { label: null, type: logY ? 'log' : 'linear', grid: true, ...(logY ? { tickFormat: ',' } : {}), nice: true, ...(yDomain === undefined ? {} : { domain: yDomain }) },
    color: { domain: series, range: COLOURS },
    marks: [...marks, ...own],
  }) as Drawn
  const bare = plot([]) // where the points lie says where there is room for their labels
  const [across, down] = [bare.scale('x'), bare.scale('y')]
  const places = points.map((point) => ({ x: across.apply(point.x), y: down.apply(point.y) }))
  const frame = { left: MARGIN.left, right: width, top: above, bottom: height - MARGIN.bottom }
  const labels = placed(points.map(({ label }) => label), places, frame)
  const svg = plot([
    ...points.flatMap((point, i) => {
      const { text, ...at } = labels[i] ?? { text: '' }
      return text === '' ? [] : [Plot.text([point], { x: 'x', y: 'y', text: () => text, fill: GREY, ...at })]
    }),
    Plot.text([`↑ ${y}`], { frameAnchor: 'top-left', textAnchor: 'start', dx: -MARGIN.left + 4, dy: -19, fill: GREY }), // Plot's own would lie on the title
    ...legend(rows),
    ...(title === undefined ? [] : [Plot.text([title], { frameAnchor: 'top', dy: 12 - above, fontSize: 13, fontWeight: 'bold', fill: GREY })]),
  ])
  const rounded = (text: string): string => text.replace(/\d+\.\d{3,}/g, (number) => String(Number(Number(number).toFixed(2))))
  return svg.outerHTML.replace('<svg', '<svg xmlns="http://www.w3.org/2000/svg"').replace(/<[^>]+>/g, rounded) // the places, not what is written
}

/** The names, in as many rows as they need. */
function legendRows(names: readonly string[], width: number): string[][] {
  const rows: string[][] = []
  let left = 0
  for (const name of names) {
    const needed = nameWidth(name)
    if (rows.length === 0 || needed > left) {
      rows.push([])
      left = width
    }
    rows.at(-1)?.push(name)
    left -= needed
  }
  return rows
}

const nameWidth = (name: string): number => (name.length + 4) * CHARACTER

/** The names of the series in their colours, above the frame. */
function legend(rows: readonly (readonly string[])[]): Plot.Markish[] {
  return rows.flatMap((names, row) => names.map((name, i) => Plot.text([name], {
    frameAnchor: 'top-left', textAnchor: 'start', dx: names.slice(0, i).reduce((sum, before) => sum + nameWidth(before), 0),
    dy: -35 - LINE * (rows.length - 1 - row), text: () => `● ${name}`, fill: () => name,
  })))
}
