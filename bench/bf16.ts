// Whether weights held in bfloat16 learn as those in float32 do: the spam task with both, several seeds each.
//
//   npm run bench:bf16
//   npm run bench:bf16 -- --seeds 0,1 --steps 40
//
// The difference between the two is held against the difference between seeds. Draws both into docs/performance.md.

import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { accuracy, attach, detach, loadModel, loadTokenizer, lora, predict, Trainer, type Batch, type Examples, type LoadOptions } from 'tfjs-peft'
import { loadMails, splitMails, type Mail } from '../examples/mails.ts'
import { lineChart, type Point } from '../src/plot/plot.ts'
import { writeSection } from './doc-section.ts'
import { path } from './process.ts'

const MODEL = 'sentence-transformers/all-MiniLM-L6-v2'
const [TOKENS, BATCH, HELD_OUT, EVERY] = [64, 16, 256, 10]
const DTYPES = ['float32', 'bfloat16'] as const satisfies readonly LoadOptions['dtype'][]

type Dtype = (typeof DTYPES)[number]

type Rows = Examples & { readonly ids: readonly ArrayLike<number>[]; readonly labels: Int32Array }

interface Run {
  readonly dtype: Dtype
  readonly seed: number
  /** Mean loss of each `EVERY` steps. */
  readonly training: readonly number[]
  /** Loss on the mails that were held out, after each `EVERY` steps. */
  readonly heldOut: readonly number[]
  readonly accuracy: number
}

const { values } = parseArgs({ options: { seeds: { type: 'string', default: '0,1,2' }, steps: { type: 'string', default: '200' } } })
const seeds = values.seeds.split(',').map(Number)
const steps = Number(values.steps)

const tokenizer = await loadTokenizer(MODEL)
const mails = splitMails(await loadMails(), { evaluate: 0.2 })
const every = Math.floor(mails.evaluate.length / HELD_OUT) // they stand in order of their groups
const [train, evaluate] = [tokenize(mails.train), tokenize(mails.evaluate.filter((_, i) => i % every === 0).slice(0, HELD_OUT))]
const heldOutBatch = batchOf(evaluate)

const runs: Run[] = []
for (const seed of seeds) {
  for (const dtype of DTYPES) {
    const run = await learn(dtype, seed)
    runs.push(run)
    console.log(`seed ${seed}  ${dtype.padEnd(8)}  loss ${last(run.training)} in training, ${last(run.heldOut)} held out, accuracy ${run.accuracy.toFixed(4)}`)
  }
}
await report()

async function learn(dtype: Dtype, seed: number): Promise<Run> {
  const model = await loadModel(MODEL, { task: 'sequence-classification', labels: ['ham', 'spam'], dtype, seed })
  const adapter = attach(model, lora({ rank: 8, alpha: 16 }), { seed })
  const [training, heldOut]: [number[], number[]] = [[], []]
  let sum = 0
  await new Trainer({ model, train, batchSize: BATCH, maxSteps: steps, learningRate: 1e-3, seed }).fit({
    onEvent: (event) => {
      if (event.type !== 'step') return
      sum += event.loss
      if (event.step % EVERY !== 0) return
      const loss = model.loss(heldOutBatch)
      training.push(sum / EVERY)
      heldOut.push(loss.dataSync()[0] ?? NaN)
      loss.dispose()
      sum = 0
    },
  })
  const { classes } = await predict(model, evaluate)
  detach(adapter)
  model.dispose()
  return { dtype, seed, training, heldOut, accuracy: accuracy(classes, evaluate.labels) }
}

async function report(): Promise<void> {
  const between = (pairs: readonly (readonly [Run, Run])[]): number[] =>
    (pairs[0]?.[0].heldOut ?? []).map((_, i) => mean(pairs.map(([a, b]) => Math.abs((a.heldOut[i] ?? NaN) - (b.heldOut[i] ?? NaN)))))
  const of = (dtype: Dtype): Run[] => runs.filter((run) => run.dtype === dtype)
  const [full, half] = [of('float32'), of('bfloat16')]
  const formats = between(full.map((run, i) => [run, half[i] as Run]))
  const noise = between(full.flatMap((a, i) => full.slice(i + 1).map((b) => [a, b] as const)))
  const points = (series: string, numbers: readonly number[]): Point[] => numbers.map((y, i) => ({ x: (i + 1) * EVERY, y, series }))
  const losses = lineChart(runs.flatMap(({ dtype, seed, training }) => points(`${dtype}, seed ${seed}`, training)), {
    x: 'steps', y: `loss, mean of ${EVERY} steps`, title: 'Training on mails, weights in float32 and in bfloat16',
  })
  const differences = lineChart([...points('between the formats, same seed', formats), ...points('between seeds, float32', noise)], {
    x: 'steps', y: 'difference of the held-out loss', title: 'What the format changes, and what the seed changes',
  })
  await writeFile(path('../docs/bf16-loss.svg'), `${losses}\n`)
  await writeFile(path('../docs/bf16-difference.svg'), `${differences}\n`)
  const text = `Held-out loss differs by ${mean(formats).toFixed(4)} between the formats (same seed, mean over all measurements) and by ` +
    `${mean(noise).toFixed(4)} between seeds. Accuracy at the end: ${list(full)} with float32, ${list(half)} with bfloat16.`
  console.log(text)
  const run = `${steps} steps of ${BATCH} mails, the first ${TOKENS} tokens of each; ${HELD_OUT} held out; LoRA of rank 8 on MiniLM; seeds ${seeds.join(', ')}.`
  await writeSection('performance', 'bench:bf16', `![Loss in training](bf16-loss.svg)\n\n![Differences](bf16-difference.svg)\n\n${text} ${run}`)
}

/** All rows at once, padded to one length. */
function batchOf({ ids: rows, labels }: Rows): Batch {
  const [ids, mask] = [new Int32Array(rows.length * TOKENS), new Int32Array(rows.length * TOKENS)]
  for (const [i, row] of rows.entries()) {
    ids.set(Array.from(row), i * TOKENS)
    mask.fill(1, i * TOKENS, i * TOKENS + row.length)
  }
  return { ids, mask, labels, batch: rows.length, length: TOKENS }
}

function tokenize(of: readonly Mail[]): Rows {
  const { ids } = tokenizer.encode(of.map(({ text }) => text), { maxLength: TOKENS })
  return { ids, labels: Int32Array.from(of, ({ label }) => label) }
}

function list(of: readonly Run[]): string {
  return of.map(({ accuracy }) => accuracy.toFixed(4)).join(', ')
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, x) => sum + x, 0) / numbers.length
}

function last(numbers: readonly number[]): string {
  return (numbers.at(-1) ?? NaN).toFixed(4)
}
