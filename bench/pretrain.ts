// The pretraining of examples/pretrain.ts, here and by torch: the same start, rows, order and settings.
//
//   npm run bench:pretrain                     600 steps
//   npm run bench:pretrain -- --steps 20       a short run, which is no result
//   npm run bench:pretrain -- --only ours      one of the two by itself; the other one's numbers stay as they are
//
// Prints both held-out losses, which have to be within 2 % of each other, and writes bench/results/pretrain.json.

import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { attach, fullFineTuning, merge, perplexity, prepareBatches, Trainer } from 'tfjs-peft'
import { nextTokenLabels, writeSafetensors, type TensorToWrite } from 'tfjs-peft/advanced'
import { LENGTH, prepare, SETTINGS } from '../examples/pretrain/setup.ts'
import { cacheFolder } from '../src/setup/cache.ts'
import { byTorch } from './from-nothing.ts'
import { median, path, run, writeResults } from './process.ts'

interface Measured {
  readonly held_out_loss: number
  readonly train_loss: number
  readonly seconds: number
  readonly step_ms_median: number
  readonly peak_rss_mb: number
}

type Row = Measured & { readonly by: 'ours' | 'torch'; readonly steps: number }

const FULL = 600
const ALLOWED = 0.02

const { values } = parseArgs({
  options: { steps: { type: 'string', default: String(FULL) }, only: { type: 'string' }, child: { type: 'boolean', default: false } },
})
const steps = Number(values.steps)
const folder = join(cacheFolder(), 'bench', 'pretrain')

if (values.child) console.log(JSON.stringify(await ours()))
else await compare()

async function compare(): Promise<void> {
  await writeTask()
  const rows = (await earlier()).filter((row) => row.by !== values.only && values.only !== undefined && row.steps === steps)
  if (values.only !== 'torch') {
    const measured = await run('node', ['--import', 'tsx', path('pretrain.ts'), '--child', '--steps', values.steps])
    rows.push({ by: 'ours', steps, ...(measured as Measured) })
  }
  if (values.only !== 'ours') {
    rows.push({ by: 'torch', steps, ...((await byTorch('pretrain', folder, steps, SETTINGS)) as Measured) })
  }
  for (const { by, held_out_loss: loss, seconds, step_ms_median: step, peak_rss_mb: peak } of rows) {
    console.log(`${by.padEnd(5)} held-out loss ${loss.toFixed(4)}, ${seconds.toFixed(0)} s, step ${step.toFixed(0)} ms, peak ${peak.toFixed(0)} MB`)
  }
  if (steps === FULL) await writeResults('pretrain', rows)
  const [here, there] = (['ours', 'torch'] as const).map((by) => rows.find((row) => row.by === by))
  if (here === undefined || there === undefined) return
  const ratio = here.held_out_loss / there.held_out_loss
  console.log(`held-out loss ratio ${ratio.toFixed(5)}, step ratio ${(here.step_ms_median / there.step_ms_median).toFixed(2)}`)
  if (Math.abs(ratio - 1) > ALLOWED) process.exitCode = 1
}

/** The untrained checkpoint, the rows in the order of training, and the held-out ones. */
async function writeTask(): Promise<void> {
  await mkdir(folder, { recursive: true })
  const { model, general } = await prepare(folder)
  await model.save(join(folder, 'untrained'))
  model.dispose()
  const batches = prepareBatches({ ids: general.train }, { batchSize: SETTINGS.batchSize, order: { seed: SETTINGS.seed }, dropLast: true })
  const train: Int32Array[] = []
  for (let epoch = 0; train.length < steps; epoch++) {
    for (const { ids = new Int32Array() } of batches.epoch(epoch)) if (train.length < steps) train.push(ids)
  }
  const tensor = (name: string, parts: readonly Int32Array[]): TensorToWrite => {
    const data = Int32Array.from(parts.flatMap((part) => Array.from(part)))
    return { name, dtype: 'I32', shape: [data.length / LENGTH, LENGTH], data }
  }
  await writeSafetensors(join(folder, 'rows.safetensors'), [tensor('train', train), tensor('evaluate', general.evaluate)])
}

async function ours(): Promise<Measured> {
  const { model, general } = await prepare(folder)
  const adapter = attach(model, fullFineTuning())
  const times: number[] = []
  const losses: number[] = []
  const { batchSize, seed, ...settings } = SETTINGS
  const train = prepareBatches({ ids: general.train }, { batchSize, order: { seed }, dropLast: true, transform: nextTokenLabels })
  const begin = performance.now()
  await new Trainer({ model, train, ...settings, maxSteps: steps }).fit({
    onEvent: (event) => {
      if (event.type !== 'step') return
      times.push(event.milliseconds)
      losses.push(event.loss)
    },
  })
  const seconds = (performance.now() - begin) / 1000
  const trained = merge(model, adapter)
  return {
    held_out_loss: Math.log(await perplexity(trained, { ids: general.evaluate })),
    train_loss: losses.slice(-50).reduce((sum, loss, _, { length }) => sum + loss / length, 0),
    seconds,
    step_ms_median: median(times),
    peak_rss_mb: (process.resourceUsage().maxRSS * 1024) / 1e6,
  }
}

async function earlier(): Promise<Row[]> {
  const text = await readFile(path('results/pretrain.json'), 'utf8').catch(() => '{"rows":[]}')
  return (JSON.parse(text) as { rows: Row[] }).rows
}
