// The spam task, here and by HF PEFT: the same token ids in the same order, the same hyper-parameters, several seeds.
//
//   npm run bench:spam                      seeds 0 1 2, all mails
//   npm run bench:spam -- --mails 400 --seeds 0
//
// Prints a table; over all mails it also writes bench/results/spam.json. The rules of the run stand in bench/peers/spam_peft.py.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { accuracy, attach, loadModel, loadTokenizer, lora, precisionRecallF1, predict, Trainer, type Examples } from 'tfjs-peft'
import { hubSnapshot, writeSafetensors, type TensorToWrite } from 'tfjs-peft/advanced'
import { loadMails, splitMails, type Mail } from '../examples/mails.ts'
import { permutation, randomStream } from '../src/base/random.ts'
import { median, path, peersPython, run } from './process.ts'

const MODEL = 'sentence-transformers/all-MiniLM-L6-v2'
const LENGTH = 128
const LEARNING_RATE = 3e-3

interface Run {
  readonly accuracy: number
  readonly f1: number
  readonly step_ms_median: number
  readonly peak_rss_mb: number
}

type Rows = Examples & { readonly ids: readonly ArrayLike<number>[]; readonly labels: Int32Array }

const { values } = parseArgs({
  options: { mails: { type: 'string' }, seeds: { type: 'string', default: '0,1,2' }, child: { type: 'string' } },
})
const tokenizer = await loadTokenizer(MODEL)
const { train, evaluate } = splitMails(await loadMails(values.mails === undefined ? {} : { limit: Number(values.mails) }), {
  evaluate: 0.2,
})
const [trainRows, evaluateRows] = [tokenize(train), tokenize(evaluate)]

if (values.child === undefined) await compare(values.seeds.split(',').map(Number))
else console.log(JSON.stringify(await ours(Number(values.child))))

/** Each run in a process of its own, so that each has its own peak memory. */
async function compare(seeds: readonly number[]): Promise<void> {
  const python = peersPython()
  const model = await hubSnapshot(MODEL)
  const folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
  const runs: Record<'ours' | 'peft', Run[]> = { ours: [], peft: [] }
  try {
    for (const seed of seeds) {
      const data = join(folder, `${seed}.safetensors`)
      await writeData(data, seed)
      const limit = values.mails === undefined ? [] : ['--mails', values.mails]
      runs.ours.push((await run('npx', ['tsx', path('spam.ts'), '--child', String(seed), ...limit])) as Run)
      const options = ['--data', data, '--model', model, '--seed', String(seed), '--lr', String(LEARNING_RATE), '--trim']
      runs.peft.push((await run(python, [path('peers/spam_peft.py'), ...options])) as Run)
      console.log(`seed ${seed}: accuracy ${runs.ours.at(-1)?.accuracy.toFixed(4) ?? ''} here, ${runs.peft.at(-1)?.accuracy.toFixed(4) ?? ''} HF PEFT`)
    }
  } finally {
    await rm(folder, { recursive: true })
  }
  console.log(`${train.length} mails to train on, ${evaluate.length} held out, ${LENGTH} tokens, seeds ${seeds.join(' ')}`)
  for (const [name, of] of Object.entries(runs)) console.log(`${name.padEnd(5)} ${line(of)}`)
  if (values.mails !== undefined) return // a short run is no result
  await mkdir(path('results'), { recursive: true })
  await writeFile(path('results/spam.json'), `${JSON.stringify({ seeds, train: train.length, evaluate: evaluate.length, ...runs }, null, 2)}\n`)
}

async function ours(seed: number): Promise<Run> {
  const model = await loadModel(MODEL, { task: 'sequence-classification', labels: ['ham', 'spam'], seed })
  attach(model, lora({ rank: 8, alpha: 16, targets: ['query', 'value'] }), { seed })
  const times: number[] = []
  const order = orderOf(seed)
  await new Trainer({ model, train: trainRows, learningRate: LEARNING_RATE, maxGradNorm: Infinity, seed, order }).fit({
    onEvent: (event) => event.type === 'step' && times.push(event.milliseconds),
  })
  const { classes } = await predict(model, evaluateRows)
  return {
    accuracy: accuracy(classes, evaluateRows.labels),
    f1: precisionRecallF1(classes, evaluateRows.labels).f1,
    step_ms_median: median(times),
    peak_rss_mb: (process.resourceUsage().maxRSS * 1024) / 1e6,
  }
}

function orderOf(seed: number): Int32Array {
  return permutation(randomStream(seed, 'spam'), train.length)
}

async function writeData(file: string, seed: number): Promise<void> {
  const matrix = (rows: Rows, value: (id: number) => number): Int32Array => {
    const filled = new Int32Array(rows.ids.length * LENGTH)
    rows.ids.forEach((ids, row) => Array.from(ids).forEach((id, i) => (filled[row * LENGTH + i] = value(id))))
    return filled
  }
  const tensors: TensorToWrite[] = Object.entries({ train: trainRows, eval: evaluateRows }).flatMap(([name, rows]) => [
    { name: `${name}_ids`, dtype: 'I32' as const, shape: [rows.ids.length, LENGTH], data: matrix(rows, (id) => id) },
    { name: `${name}_mask`, dtype: 'I32' as const, shape: [rows.ids.length, LENGTH], data: matrix(rows, () => 1) },
    { name: `${name}_labels`, dtype: 'I32' as const, shape: [rows.ids.length], data: rows.labels },
  ])
  await writeSafetensors(file, [...tensors, { name: 'train_order', dtype: 'I32', shape: [train.length], data: orderOf(seed) }])
}

function tokenize(mails: readonly Mail[]): Rows {
  const { ids } = tokenizer.encode(mails.map(({ text }) => text), { maxLength: LENGTH })
  return { ids, labels: Int32Array.from(mails, ({ label }) => label) }
}

function line(runs: readonly Run[]): string {
  const of = (key: keyof Run): number[] => runs.map((one) => one[key])
  const mean = (key: keyof Run): number => of(key).reduce((sum, x) => sum + x, 0) / runs.length
  const spread = (key: keyof Run): string => `${mean(key).toFixed(4)} (${Math.min(...of(key)).toFixed(4)} to ${Math.max(...of(key)).toFixed(4)})`
  return `accuracy ${spread('accuracy')}  F1 ${spread('f1')}  step ${mean('step_ms_median').toFixed(0)} ms  peak ${mean('peak_rss_mb').toFixed(0)} MB`
}
