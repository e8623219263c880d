import { expect, it } from 'vitest'
import { CHARACTER, placed } from '../../src/plot/labels.ts'

const FRAME = { left: 0, right: 600, top: 0, bottom: 300 }

it('a label stands above its point where nothing is in the way', () => {
  expect(placed(['rank 8'], [{ x: 300, y: 150 }], FRAME)).toEqual([{ text: 'rank 8', dx: 0, dy: -10, textAnchor: 'middle' }])
})

it('labels of points that lie close together cover neither each other nor a point', () => {
  const points = [{ x: 300, y: 150 }, { x: 306, y: 152 }, { x: 312, y: 148 }, { x: 303, y: 160 }]
  const labels = placed(['LoRA', 'DoRA', 'prefix', 'prompt'], points, FRAME)
  const boxes = labels.map((label, i) => {
    const { x, y } = points[i] ?? { x: NaN, y: NaN }
    const { text, dx, dy, textAnchor } = label ?? { text: '', dx: NaN, dy: NaN, textAnchor: 'start' as const }
    const width = text.length * CHARACTER
    const left = x + dx - width * { start: 0, middle: 0.5, end: 1 }[textAnchor]
    return { left, right: left + width, top: y + dy - 6, bottom: y + dy + 6 }
  })
  const all = [...boxes, ...points.map(({ x, y }) => ({ left: x - 4, right: x + 4, top: y - 4, bottom: y + 4 }))]
  const touching = boxes.flatMap((a, i) => all.filter((b, j) => i !== j && a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom))
  expect(touching).toEqual([])
})

it('a label at the edge stays within the frame', () => {
  const [label] = placed(['a rather long label'], [{ x: 595, y: 10 }], FRAME)
  expect(label).toMatchObject({ textAnchor: 'end', dx: -8 })
})

it('a point without a label has none', () => {
  expect(placed([undefined], [{ x: 1, y: 1 }], FRAME)).toEqual([undefined])
})
