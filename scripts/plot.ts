// Plots as SVG text, for notebooks and pages. Colours and text have a middle brightness and the ground is transparent, so that
// they can be read on white and on black.

import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'

/** A point of a line or of a scatter plot. */
export interface Point {
  readonly x: number
  readonly y: number
  /** Which line, or which colour, it belongs to; the legend has these names. */
  readonly series: string
  /** Written beside the point. */
  readonly label?: string
}

export interface PlotOptions {
  readonly x: string
  readonly y: string
  readonly title?: string
  /** A logarithmic x axis; all x must be above 0 then. */
  readonly logX?: boolean
  readonly logY?: boolean
  /** Ends of the y axis (default: those of the points). */
  readonly yDomain?: readonly [number, number]
  readonly width?: number
  readonly height?: number
}

const COLOURS = ['#3b82d0', '#d9730d', '#2a9d5c', '#a667d6', '#d64f4f', '#8a8d2e', '#1f9aa6', '#c45a97']
const GREY = '#7a7a7a'
const CHARACTER = 6.6 // width of one at 11 px, a little more than the mean

/** A line through the points of each series, in the order in which they come. */
export function lineChart(points: readonly Point[], options: PlotOptions): string {
  const lines = Plot.line(points, { x: 'x', y: 'y', stroke: 'series', strokeWidth: 1.6 })
  const few = points.length <= 60
  return draw(points, options, [lines, ...(few ? [Plot.dot(points, { x: 'x', y: 'y', fill: 'series', r: 2.6 })] : [])])
}

/** Dots, with their labels. */
export function scatter(points: readonly Point[], options: PlotOptions): string {
  return draw(points, options, [Plot.dot(points, { x: 'x', y: 'y', fill: 'series', r: 4 })])
}

/** Dots as `scatter`, and a line along those that no other beats in both: lower x and higher y are better. */
export function paretoPlot(points: readonly Point[], options: PlotOptions): string {
  const best = paretoFront(points)
  const front = Plot.line(best, { x: 'x', y: 'y', stroke: GREY, strokeDasharray: '4 3', curve: 'step-after' })
  return draw(points, options, [front, Plot.dot(points, { x: 'x', y: 'y', fill: 'series', r: 4 })])
}

/** The points that no other point beats, from the lowest x up. */
export function paretoFront(points: readonly Point[]): Point[] {
  const front: Point[] = []
  for (const point of [...points].sort((a, b) => a.x - b.x || b.y - a.y)) {
    if (point.y > (front.at(-1)?.y ?? -Infinity)) front.push(point)
  }
  return front
}

function draw(points: readonly Point[], options: PlotOptions, marks: readonly Plot.Markish[]): string {
  const { x, y, title, logX = false, logY = false, yDomain, width = 640, height = 340 } = options
  const series = [...new Set(points.map((point) => point.series))]
  const { document } = parseHTML('<html></html>') as unknown as { readonly document: unknown } // the compiler has no DOM here
  const svg = Plot.plot({
    document,
    width,
    height,
    marginTop: 44,
    marginLeft: 58,
    marginBottom: 42,
    marginRight: 40,
    style: { color: GREY, background: 'none', fontFamily: 'sans-serif', fontSize: '11px' },
    x: { label: x, type: logX ? 'log' : 'linear', ...(logX ? { tickFormat: ',' } : {}), nice: true },
    y: { label: y, type: logY ? 'log' : 'linear', grid: true, nice: true, ...(yDomain === undefined ? {} : { domain: yDomain }) },
    color: { domain: series, range: COLOURS },
    marks: [
      ...marks,
      Plot.text(points.filter(({ label }) => label !== undefined), { x: 'x', y: 'y', text: 'label', fill: GREY, dy: -9 }),
      ...(points.every(({ label }) => label !== undefined) ? [] : legend(series)),
      ...(title === undefined ? [] : [Plot.text([title], { frameAnchor: 'top', dy: -40, fontSize: 13, fontWeight: 'bold', fill: GREY })]),
    ],
  }) as unknown as { readonly outerHTML: string }
  const rounded = (text: string): string => text.replace(/\d+\.\d{3,}/g, (number) => String(Number(Number(number).toFixed(2))))
  return svg.outerHTML.replace('<svg', '<svg xmlns="http://www.w3.org/2000/svg"').replace(/<[^>]+>/g, rounded) // the places, not what is written
}

/** The names of the series in their colours, in one row above the frame. */
function legend(series: readonly string[]): Plot.Markish[] {
  if (series.length < 2) return []
  const widths = series.map((name) => (name.length + 4) * CHARACTER)
  const start = (i: number): number => widths.slice(0, i).reduce((sum, width) => sum + width, 0)
  return series.map((name, i) => Plot.text([name], {
    frameAnchor: 'top-left', textAnchor: 'start', dx: start(i), dy: -22, text: () => `● ${name}`, fill: () => name,
  }))
}
