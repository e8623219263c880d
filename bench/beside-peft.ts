// The plot of the README, which both commands and `npm run figures` write: what `npm run bench` and `npm run bench:decode` have measured, as shares of what HF PEFT and transformers take, of each kind of processor.

import { writeAtomic } from '../src/base/files/atomic.ts'
import { path } from './process.ts'
import { ofKinds, readTimes } from './processors.ts'
import { readResults, rowsOf, type Compared, type Row, type Side } from './step-results.ts'

/** One line: shares of the peer's time and memory. */
interface Share {
  readonly name: string
  readonly time: number
  readonly memory: number
}

interface Decoded {
  readonly rows: readonly { readonly workload: string; readonly batch: number; readonly dtype: string; readonly ratio: { readonly decoding: number; readonly peak: number } }[]
}

/** What the peer can do to be faster: the fastest of these counts. */
const PEERS: readonly Side[] = ['peer', 'peer, compile', 'peer, float32', 'peer, bitsandbytes']
const DECODED = ['decode', 'decode-bfloat16', 'decode-gpt2-bfloat16-int8', 'decode-gpt2-bfloat16-nf4']

const [WIDTH, LEFT, RIGHT, LINE, END] = [820, 345, 100, 17, 1.4]
const [TIME, MEMORY, GREY] = ['#3b82d0', '#d9730d', '#7a7a7a']

export async function writeBesidePeft(): Promise<void> {
  await writeAtomic(path('../docs/figures/beside-peft.svg'), await besidePeft())
}

/** As SVG; what was measured last. */
export async function besidePeft(): Promise<string> {
  const kinds = await ofKinds(async (kind) => [
    ...((await readResults(kind))?.compared ?? []).flatMap(shareOf),
    ...(await Promise.all(DECODED.map(async (name) => await readTimes<Decoded>(name, kind)))).flatMap((decoded) => (decoded?.rows ?? []).map((row): Share => ({
      name: `${row.workload.split(/[-,]/)[0] ?? ''}, writing ${row.batch} ${row.batch === 1 ? 'text' : 'texts'}, ${row.dtype}`, time: 1 / row.ratio.decoding, memory: row.ratio.peak,
    }))),
  ])
  return drawing(kinds.filter(([, shares]) => shares.length > 0))
}

/** A comparison beside the fastest of what the peer has. */
function shareOf(compared: Compared): Share[] {
  const rows = rowsOf(compared).filter(({ recompute, against }) => !recompute && PEERS.includes(against))
  const fastest = (metric: (row: Row) => boolean): Row | undefined => rows.filter(metric).sort((a, b) => a.peer - b.peer)[0]
  const { measure } = compared.comparison
  const time = fastest(({ metric }) => (measure === 'start' ? metric.startsWith('first step') : metric.startsWith(measure)))
  const memory = rows.find(({ metric, against }) => metric === 'peak memory, MB' && against === time?.against)
  if (time === undefined || memory === undefined) return []
  const what = { step: '', forward: ', forward', start: ', to its first step' }[measure]
  return [{ name: `${time.workload}, ${time.method}, ${time.dtype}${what}`, time: time.ratio, memory: memory.ratio }]
}

function drawing(kinds: readonly (readonly [title: string, shares: readonly Share[]])[]): string {
  const across = (share: number): string => (LEFT + ((WIDTH - LEFT - RIGHT) * Math.min(share, END)) / END).toFixed(1)
  const lines: string[] = []
  let y = 62
  for (const [title, shares] of kinds) {
    lines.push(`<text x="8" y="${y + 4}" font-weight="bold">${escaped(title)}</text>`)
    y += LINE
    for (const { name, time, memory } of shares) {
      lines.push(
        `<text x="${LEFT - 10}" y="${y + 4}" text-anchor="end">${escaped(name)}</text>`,
        `<path d="M${LEFT} ${y}H${WIDTH - RIGHT}" stroke="${GREY}" stroke-opacity="0.15"/>`,
        `<circle cx="${across(time)}" cy="${y}" r="4" fill="${TIME}"/><circle cx="${across(memory)}" cy="${y}" r="3.4" fill="none" stroke="${MEMORY}" stroke-width="1.8"/>`,
        `<text x="${WIDTH - RIGHT + 40}" y="${y + 4}" text-anchor="end" fill="${TIME}">${time.toFixed(2)}</text><text x="${WIDTH - 12}" y="${y + 4}" text-anchor="end" fill="${MEMORY}">${memory.toFixed(2)}</text>`,
      )
      y += LINE
    }
    y += LINE / 2
  }
  const ticks = [0, 0.25, 0.5, 0.75, 1, 1.25].flatMap((share) => [
    `<path d="M${across(share)} 46V${y - LINE}" stroke="${GREY}" stroke-opacity="${share === 1 ? 0.9 : 0.15}"/>`,
    `<text x="${across(share)}" y="40" text-anchor="middle">${share === 1 ? 'as there' : share}</text>`,
  ])
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" font-family="sans-serif" font-size="11" fill="${GREY}" role="img">`,
    '<title>Time and peak memory as shares of those of HF PEFT and transformers</title>',
    `<text x="${LEFT}" y="18" fill="${TIME}">● time</text><text x="${LEFT + 60}" y="18" fill="${MEMORY}">○ peak memory</text><text x="${LEFT + 170}" y="18">shares of the fastest there: left is better</text>`,
    ...ticks, ...lines, '</svg>', '',
  ].join('\n')
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
