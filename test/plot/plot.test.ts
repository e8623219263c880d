import { expect, it } from 'vitest'
import { InputError } from '../../src/errors.ts'
import { lineChart, paretoFront, paretoPlot, scatter } from '../../src/plot/plot.ts'

const at = (x: number, y: number): { readonly x: number; readonly y: number; readonly series: string } => ({ x, y, series: `${x} ${y}` })

it('the front has the points that no other beats: from the lowest x up, each with a higher y than those before', () => {
  const points = [at(3, 5), at(1, 2), at(2, 1), at(1, 3), at(4, 5), at(5, 6)]
  expect(paretoFront(points)).toEqual([at(1, 3), at(3, 5), at(5, 6)])
})

it('a plot is one SVG by itself, with a transparent ground, the axes\' names and a legend', () => {
  const svg = lineChart([{ x: 0, y: 1, series: 'LoRA' }, { x: 1, y: 0.5, series: 'LoRA' }, { x: 0, y: 1, series: 'prefix' }], { x: 'step', y: 'loss' })
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg".*background:none.*<\/svg>$/s)
  for (const text of ['step →', '↑ loss', '● LoRA', '● prefix']) expect(svg).toContain(text)
})

it('points that are all labelled need no legend', () => {
  const svg = paretoPlot([{ ...at(1, 2), label: 'a' }, { ...at(2, 3), label: 'b' }], { x: 'size', y: 'accuracy', logX: true })
  expect(svg).not.toContain('●')
})

it('numbers of an axis are written in full', () => {
  const svg = lineChart([{ x: 0, y: 0.86, series: 'a' }, { x: 1, y: 0.868, series: 'a' }], { x: 'step', y: 'accuracy' })
  expect(svg).toContain('>0.861<')
})

it('a logarithmic axis has its numbers in full too', () => {
  const svg = lineChart([{ x: 0.1, y: 1, series: 'a' }, { x: 10_000, y: 2, series: 'a' }], { x: 'strength', y: 'accuracy', logX: true })
  for (const text of ['>0.1<', '>10,000<']) expect(svg).toContain(text)
  expect(lineChart([{ x: 1, y: 0.1, series: 'a' }, { x: 2, y: 10, series: 'a' }], { x: 'x', y: 'seconds', logY: true })).toContain('>0.1<')
})

it('a legend that is wider than the plot goes on in another row', () => {
  const points = Array.from({ length: 8 }, (_, i) => ({ x: i, y: i, series: `a method of a rather long name ${i}` }))
  const heights = [...lineChart(points, { x: 'x', y: 'y' }).matchAll(/translate\(([^,)]*),([^)]*)\)[^>]*>(?:<[^>]*>)*● a method/g)].map((match) => match[2])
  expect(new Set(heights).size).toBeGreaterThan(1)
})

it('points and options that are none are refused, in place of an empty picture', () => {
  expect(() => lineChart([{ step: 1, loss: 2, series: 'a' }] as never, { x: 'step' } as never)).toThrow(new InputError(
    'A plot: expected points of { x, y, series }, two finite numbers and a name, and names of the axes:', ['point 0: { x: undefined, y: undefined, series: "a" }', 'y: expected what the axis is called, got undefined']))
  expect(() => scatter(Promise.resolve([]) as never, { x: 'step', y: 'loss' })).toThrow(new InputError(
    'A plot: expected a list of points, { x, y, series }, got a promise: write `await` before what gives it.'))
  expect(() => paretoPlot([], { xLabel: 'step' } as never)).toThrow("The options of a plot: options that it does not have:\n  - 'xLabel': it has")
})

it('numbers that no axis has are told, and so are those that a logarithmic one has not', () => {
  const points = [at(1, NaN), at(Infinity, 1), at(2, 0), at(-1, 3)]
  expect(() => scatter(points, { x: 'step', y: 'loss', logX: true, logY: true })).toThrow(new InputError(
    'A plot: expected points of { x, y, series }, two finite numbers, above 0 on a logarithmic axis, and a name, and names of the axes:', [
      'point 0: { x: 1, y: NaN, series: "1 NaN" }', 'point 1: { x: Infinity, y: 1, series: "Infinity 1" }', 'point 2: { x: 2, y: 0, series: "2 0" }', 'point 3: { x: -1, y: 3, series: "-1 3" }']))
  expect(scatter(points.slice(2), { x: 'step', y: 'loss' })).toContain('<svg')
  expect(() => lineChart([], { x: 'step', y: 'loss' })).toThrow(new InputError('A plot: expected points of { x, y, series }, two finite numbers and a name, and names of the axes:', ['there is none']))
})
