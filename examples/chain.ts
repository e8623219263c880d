// From nothing to a task in four stages, on Chinese poems: pretraining on shi, adaptation to the domain of ci, an intermediate task with many labels
// (which dynasty a shi is of), and the task itself with few (which tune a ci is sung to).
//
//   npm run chain                      the whole, most of an hour on two cores
//   npm run chain -- --steps 4         a short run
//   npm run chain -- --skip adapted,intermediate --out out/short-chain
//
// Each stage leaves a checkpoint as on the Hub. Ctrl-C ends it after its step; the same command goes on from there.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { attach, evaluate, fullFineTuning, loadModel, lora, merge, progress, Trainer, untilInterrupted, type Method, type Model, type TrainerOptions } from 'tfjs-peft'
import { DYNASTIES, poemRows, TUNES } from './poems/rows.ts'
import { masked, SETTINGS, untrained } from './poems/setup.ts'

const { values } = parseArgs({ options: { steps: { type: 'string' }, skip: { type: 'string', default: '' }, out: { type: 'string', default: 'out/chain' } } })
const signal = untilInterrupted()
const { tokenizer, shi, ci, dynasty, tune } = await poemRows(values.out)
const few = tune(32)

type Training = Omit<TrainerOptions, 'model'> & Required<Pick<TrainerOptions, 'maxSteps'>>

interface Stage {
  readonly name: string
  /** The model that it begins with, from the folder of the stage before. */
  readonly start: (before: string) => Promise<Model>
  readonly method: Method
  readonly training: Training
}

const classifier = (labels: readonly string[], newHead: boolean) => (before: string): Promise<Model> =>
  loadModel(before, { task: 'sequence-classification', labels, pooling: 'mean', ...(newHead ? { newHead } : {}) })

const STAGES: readonly Stage[] = [
  {
    name: 'pretrained', start: () => untrained(tokenizer, 0), method: fullFineTuning(),
    training: { train: masked(shi.train, tokenizer, 0), ...SETTINGS, maxSteps: 3000 },
  },
  {
    name: 'adapted', start: (before) => loadModel(before, { task: 'masked-lm' }), method: lora({ rank: 16, alpha: 32, targets: 'all-linear' }),
    training: { train: masked(ci.train, tokenizer, 0), ...SETTINGS, maxSteps: 600 },
  },
  {
    name: 'intermediate', start: classifier(DYNASTIES, false), method: lora({ rank: 8, alpha: 16 }),
    training: { train: dynasty(4000).train, batchSize: 32, learningRate: 1e-3, warmup: 0.1, maxSteps: 250 },
  },
  {
    name: 'task', start: classifier(TUNES, true), method: lora({ rank: 8, alpha: 16 }),
    training: { train: few.train, batchSize: 16, learningRate: 2e-3, warmup: 0.1, maxSteps: 160 },
  },
]

let before = ''
for (const { name, start, method, training } of STAGES) {
  if (values.skip.split(',').includes(name)) continue
  const folder = join(values.out, name)
  if (!existsSync(join(folder, 'config.json'))) await learn(folder, await start(before), method, training)
  before = folder
}
const model = await loadModel(before, { task: 'sequence-classification', labels: TUNES, pooling: 'mean' })
const { accuracy = NaN } = await evaluate(model, few.evaluate)
console.log(`held out: ${(100 * accuracy).toFixed(1)} % of the tunes are right, of ${TUNES.length} of which ${few.train.labels.length / TUNES.length} poems each were seen`)

async function learn(folder: string, start: Model, method: Method, training: Training): Promise<void> {
  const adapter = attach(start, method)
  const maxSteps = Math.min(training.maxSteps, Number(values.steps ?? Infinity))
  const trainer = new Trainer({ model: start, ...training, maxSteps, checkpoints: { folder: `${folder}.training`, every: 200, limit: 1 } })
  const { end, cost } = await trainer.fit({ signal, watchers: [progress()] })
  if (end === 'stopped') process.exit(130)
  const trained = merge(start, adapter)
  await trained.save(folder)
  for (const each of [start, trained]) each.dispose()
  console.log(`${folder}: ${cost.seconds.toFixed(0)} s, ${(cost.operations / 1e12).toFixed(1)} · 10¹² operations`)
}
