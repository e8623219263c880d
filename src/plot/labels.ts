// Where the labels of points go, so that they cover neither each other nor a point.

/** A label and where it stands, from its point. */
export interface Label {
  readonly text: string
  readonly dx: number
  readonly dy: number
  readonly textAnchor: 'start' | 'middle' | 'end'
}

interface Box {
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
}

export interface Place {
  readonly x: number
  readonly y: number
}

/** Width of a character and height of a line at 11 px, a little more than the mean. */
export const CHARACTER = 6.6
export const LINE = 18
const TEXT = 12

/** Above a point, below it and beside it; then the same farther away. */
const AROUND: readonly Omit<Label, 'text'>[] = [0, 1, 2, 3].flatMap((far) => [
  { dx: 0, dy: -10 - far * TEXT, textAnchor: 'middle' },
  { dx: 0, dy: 11 + far * TEXT, textAnchor: 'middle' },
  { dx: 8, dy: -far * TEXT, textAnchor: 'start' },
  { dx: -8, dy: -far * TEXT, textAnchor: 'end' },
  { dx: 8, dy: far * TEXT, textAnchor: 'start' },
  { dx: -8, dy: far * TEXT, textAnchor: 'end' },
])

/**
 * The labels, each in the first place around its point where it covers nothing, in pixels.
 *
 * @param frame what a label must not leave @returns undefined for a point that has none
 */
export function placed(texts: readonly (string | undefined)[], points: readonly Place[], frame: Box): (Label | undefined)[] {
  const taken = points.map(({ x, y }): Box => ({ left: x - 4, right: x + 4, top: y - 4, bottom: y + 4 }))
  return texts.map((text, i) => {
    const point = points[i]
    if (text === undefined || point === undefined) return undefined
    const ways = AROUND.map((at) => ({ at, box: boxOf(text, point, at) }))
    const covered = (box: Box): number => taken.reduce((sum, other) => sum + common(box, other), outside(box, frame))
    const best = ways.reduce((a, b) => (covered(b.box) < covered(a.box) ? b : a))
    taken.push(best.box)
    return { text, ...best.at }
  })
}

function boxOf(text: string, { x, y }: Place, { dx, dy, textAnchor }: Omit<Label, 'text'>): Box {
  const width = text.length * CHARACTER
  const left = x + dx - width * { start: 0, middle: 0.5, end: 1 }[textAnchor]
  return { left, right: left + width, top: y + dy - TEXT / 2, bottom: y + dy + TEXT / 2 }
}

/** What two boxes have in common, in square pixels. */
function common(a: Box, b: Box): number {
  return Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left)) * Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top))
}

function outside(box: Box, frame: Box): number {
  return (box.right - box.left) * (box.bottom - box.top) - common(box, frame)
}
