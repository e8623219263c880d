// Speed of greedy decoding with GPT-2's shape or Gemma 3's of 1B, here and by transformers' generate, in turns on one machine: A B A B.
//
//   npm run bench:decode                        1 and 8 rows, 64 new tokens after a prompt of 32, and 32 rows that begin and end at different
//                                               lengths, float32: some 4 minutes
//   npm run bench:decode -- --rows 1            one row alone
//   npm run bench:decode -- --dtype bfloat16
//   npm run bench:decode -- --dtype bfloat16 --shape gemma3-1b
//   npm run bench:decode -- --dtype int8 --shape gpt2-bfloat16     its embedding, which is the head too, in bfloat16; transformers in bfloat16
//   npm run bench:decode -- --dtype nf4 --shape tinyllama
//   npm run bench:decode -- --rounds 3 --tokens 128
//   npm run bench:decode -- --table             writes the tables alone
//
// Prints the ratios, writes decode.json (decode-bfloat16.json, decode-gemma3-1b-bfloat16.json) into bench/results/<kind of processor> and the tables of
// all in docs/performance.md. In float32 both sides must give the same tokens.
// `decoding` counts the tokens after the first of each row; the time to that one is `first token`.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { arrivalsOf } from '../src/base/generate/arrivals.ts'
import { loadModel, type LoadOptions } from '../src/base/checkpoint/load.ts'
import { generate } from '../src/base/generate/generate.ts'
import { continueQueue } from '../src/base/generate/queue.ts'
import { Row as Text } from '../src/base/generate/row.ts'
import { settingsOf } from '../src/base/generate/settings.ts'
import type { Model } from '../src/base/model.ts'
import { int, randomStream } from '../src/base/random.ts'
import { writeBesidePeft } from './beside-peft.ts'
import { writeSection } from './doc-section.ts'
import { table } from './markdown.ts'
import { compiled, machineNow, madeOn, median, path, peersPython, run, type Machine } from './process.ts'
import { ofEachProcessor, readTimes, saveTimes } from './processors.ts'
import { randomModelFolder } from './random-model.ts'

/** What one process does. */
interface Workload {
  readonly model: string
  readonly dtype: NonNullable<LoadOptions['dtype']>
  /** Token ids of each row. */
  readonly prompts: readonly (readonly number[])[]
  /** New tokens of each row: those that transformers writes behind them, until all rows have theirs, do not count. */
  readonly counts: readonly number[]
}

/** What one process measured. */
interface Measured {
  /** From the call to the first token. */
  readonly first_ms: number
  /** From each step to the next, those of the last row. */
  readonly token_ms: readonly number[]
  /** Of each row those that count. */
  readonly tokens: readonly (readonly number[])[]
  readonly peak_rss_mb: number
  /** Of all weights. */
  readonly weight_bytes: number
}

/** What transformers' process measured. */
interface PeerMeasured extends Measured {
  /** The weights read from memory once. */
  readonly weights_ms: number
}

interface Summary {
  readonly first_ms: number
  readonly tokens_per_second: number
  readonly peak_rss_mb: number
}

const PROMPT = 32
/** More rows than these have prompts of 8 to 71 tokens, and a quarter to all of the new ones. */
const MOST_EVEN = 8
const FILES = ['decode', 'decode-bfloat16', 'decode-gpt2-bfloat16-int8', 'decode-gpt2-bfloat16-nf4', 'decode-gemma3-1b-bfloat16', 'decode-tinyllama-bfloat16', 'decode-tinyllama-int8', 'decode-tinyllama-nf4']

const { values } = parseArgs({
  options: {
    dtype: { type: 'string', default: 'float32' },
    shape: { type: 'string', default: 'gpt2' },
    rounds: { type: 'string', default: '2' },
    tokens: { type: 'string', default: '64' },
    rows: { type: 'string', default: '1,8,32' },
    table: { type: 'boolean', default: false },
    child: { type: 'string' },
  },
})

if (values.table) await writeTables()
else if (values.child === undefined) await compare()
else console.log(JSON.stringify(await measure(JSON.parse(values.child) as Workload)))

async function compare(): Promise<void> {
  const dtype = values.dtype as Workload['dtype'] // loadModel checks it
  const [python, program] = [peersPython(), await compiled('decode')]
  const { shape } = values
  const model = await randomModelFolder(shape)
  const { vocab_size: words } = JSON.parse(await readFile(join(model, 'config.json'), 'utf8')) as { readonly vocab_size: number }
  const draw = randomStream(0, 'prompts')
  const rows: object[] = []
  for (const batch of values.rows.split(',').map(Number)) {
    const most = Number(values.tokens)
    const isEven = batch <= MOST_EVEN
    const prompts = Array.from({ length: batch }, () => Array.from({ length: isEven ? PROMPT : PROMPT / 4 + int(draw, 2 * PROMPT) }, () => int(draw, Math.min(words, 50_000))))
    const counts = prompts.map(() => (isEven ? most : Math.ceil(most / 4) + int(draw, Math.ceil((3 * most) / 4))))
    const workload = (dtype: Workload['dtype']): string => JSON.stringify({ model, dtype, prompts, counts } satisfies Workload)
    const here: Measured[] = []
    const there: PeerMeasured[] = []
    for (let round = 0; round < Number(values.rounds); round++) {
      here.push((await run('node', [program, '--child', workload(dtype)])) as Measured)
      there.push((await run(python, [path('peers/decode.py'), workload(dtype === 'float32' ? dtype : 'bfloat16')])) as PeerMeasured)
    }
    if (dtype === 'float32') expectSameTokens([...here, ...there])
    const [ours, peer] = [summary(here), summary(there)]
    const ratio = {
      decoding: ours.tokens_per_second / peer.tokens_per_second,
      first: peer.first_ms / ours.first_ms,
      peak: ours.peak_rss_mb / peer.peak_rss_mb,
    }
    const smaller = median(here.map(({ weight_bytes }) => weight_bytes)) / median(there.map(({ weight_bytes }) => weight_bytes)) // where they are quantised
    const weights_ms = smaller * median(there.map((measured) => measured.weights_ms))
    print(`${shape}, batch ${batch}, ${dtype}`, ours, peer, ratio)
    console.log(`${shape}, batch ${batch}, ${dtype}  the weights are read in ${weights_ms.toFixed(0)} ms, a token takes ${perToken(ours, batch)} here and ${perToken(peer, batch)} there`)
    rows.push({ workload: `${shape}, ${isEven ? `prompt ${PROMPT}, ${values.tokens} new` : 'uneven'}`, batch, dtype, ours, peer, ratio, weights_ms })
  }
  await saveTimes(['decode', ...(shape === 'gpt2' ? [] : [shape]), ...(dtype === 'float32' ? [] : [dtype])].join('-'), { machine: machineNow(), rows })
  await writeTables()
}

interface Row {
  readonly workload: string
  readonly batch: number
  readonly dtype: string
  readonly ours: Summary
  readonly peer: Summary
  readonly ratio: Ratio
  readonly weights_ms: number
}

type Ratio = Readonly<Record<'decoding' | 'first' | 'peak', number>>

async function writeTables(): Promise<void> {
  await writeSection('performance', 'bench:decode', await ofEachProcessor(tableOf))
  await writeBesidePeft()
}

/** What was measured on a kind of processor, maybe at different times. */
async function tableOf(kind: string): Promise<string | undefined> {
  const files = await Promise.all(FILES.map((name) => readTimes<{ readonly machine: Machine; readonly rows: readonly Row[] }>(name, kind)))
  const measured = files.filter((file) => file !== undefined)
  if (measured.length === 0) return undefined
  const lines = measured.flatMap(({ rows }) => rows.map(({ workload, batch, dtype, ours, peer, ratio, weights_ms }) => [
    workload.split(',')[0] ?? '', workload.endsWith('uneven') ? `${batch}, uneven` : String(batch), dtype, ours.tokens_per_second.toFixed(0), peer.tokens_per_second.toFixed(0), ratio.decoding.toFixed(2),
    perToken(ours, batch), perToken(peer, batch), `${weights_ms.toFixed(0)} ms`,
    `${ours.first_ms.toFixed(0)} ms`, `${peer.first_ms.toFixed(0)} ms`, `${ours.peak_rss_mb.toFixed(0)} MB`, `${peer.peak_rss_mb.toFixed(0)} MB`, ratio.peak.toFixed(2),
  ]))
  const machines = new Set(measured.map(({ machine }) => madeOn(machine)))
  return [
    ...table(['model', 'rows', 'weights', 'tokens/s here', 'transformers', 'ratio', 'a step here', 'transformers', 'weights read once', 'first token here', 'transformers', 'peak memory here', 'transformers', 'ratio'], lines),
    '', `${PROMPT} tokens of prompt, greedy; uneven: 8 to 71 tokens of prompt and a quarter to all of 64 new ones, of which each row's own count. ${[...machines].join('; ')}.`,
  ].join('\n')
}

async function measure({ model: folder, dtype, prompts, counts }: Workload): Promise<Measured> {
  const model = await loadModel(folder, { task: 'causal-lm', dtype })
  const run = new Set(counts).size === 1 ? evenRows : unevenRows
  await run(model, prompts, counts.map(() => 8)) // to warm up
  const { times, tokens } = await run(model, prompts, counts)
  const [first = NaN, ...rest] = times.slice(1).map((time, i) => time - (times[i] ?? NaN))
  return { first_ms: first, token_ms: rest, tokens, peak_rss_mb: (process.resourceUsage().maxRSS * 1024) / 1e6, weight_bytes: [...model.parts.params.values()].reduce((sum, { bytes }) => sum + bytes, 0) }
}

/** When it was asked, and when there was something new. */
interface Timed {
  readonly times: readonly number[]
  readonly tokens: readonly (readonly number[])[]
}

async function evenRows(model: Model, prompts: Workload['prompts'], [maxNewTokens = 0]: readonly number[]): Promise<Timed> {
  const times = [performance.now()]
  const tokens: number[][] = prompts.map(() => [])
  const prompt = { ids: Int32Array.from(prompts.flat()), batch: prompts.length, length: prompts[0]?.length ?? 0 }
  for await (const next of generate(model, prompt, { maxNewTokens, stop: [] })) {
    times.push(performance.now())
    next.forEach((id, row) => id !== undefined && tokens[row]?.push(id))
  }
  return { times, tokens }
}

async function unevenRows(model: Model, prompts: Workload['prompts'], counts: readonly number[]): Promise<Timed> {
  const begin = performance.now()
  let first: number | undefined
  const note = (): void => { first ??= performance.now() }
  const rows = prompts.map((prompt, i) => new Text(prompt, i, { ...settingsOf(model, { maxNewTokens: counts[i] ?? 0, stop: [] }), rules: [note] }))
  const queue = continueQueue(model, arrivalsOf(rows), rows.length)
  while ((await queue.next()).done !== true);
  return { times: [begin, first ?? NaN, performance.now()], tokens: rows.map(({ newTokens }) => newTokens) }
}

function expectSameTokens(runs: readonly Measured[]): void {
  const all = new Set(runs.map(({ tokens }) => JSON.stringify(tokens)))
  if (all.size > 1) throw new Error(`The runs gave different tokens:\n${[...all].join('\n')}`)
}

function summary(runs: readonly Measured[]): Summary {
  const [{ tokens } = { tokens: [] }] = runs
  const counts = tokens.map(({ length }) => length)
  const isEven = new Set(counts).size === 1
  const behindFirst = counts.reduce((sum, count) => sum + count - 1, 0)
  const total = (times: readonly number[]): number => times.reduce((sum, time) => sum + time, 0)
  return {
    first_ms: median(runs.map(({ first_ms }) => first_ms)),
    tokens_per_second: 1000 * (isEven ? counts.length / median(runs.flatMap(({ token_ms }) => token_ms)) : behindFirst / median(runs.map(({ token_ms }) => total(token_ms)))),
    peak_rss_mb: median(runs.map(({ peak_rss_mb }) => peak_rss_mb)),
  }
}

/** From one token of every row to the next. */
function perToken({ tokens_per_second: speed }: Summary, batch: number): string {
  return `${((1000 * batch) / speed).toFixed(0)} ms`
}

function print(name: string, ours: Summary, peer: Summary, ratio: Ratio): void {
  const line = (what: string, a: number, b: number, unit: string, r: number): string =>
    `${name}  ${what.padEnd(11)} ${a.toFixed(0)} ${unit} here, ${b.toFixed(0)} ${unit} transformers, ratio ${r.toFixed(2)}`
  console.log(line('decoding', ours.tokens_per_second, peer.tokens_per_second, 'tokens/s', ratio.decoding))
  console.log(line('first token', ours.first_ms, peer.first_ms, 'ms', ratio.first))
  console.log(line('peak', ours.peak_rss_mb, peer.peak_rss_mb, 'MB', ratio.peak))
}
