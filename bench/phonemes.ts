// The training of examples/phonemes.ts, here and by torch, for three seeds: the same start, words, order and settings. What was trained here
// is then adapted to the group of words that it never saw.
//
//   npm run bench:phonemes                     2000 steps
//   npm run bench:phonemes -- --steps 40       a short run of one seed, which writes nothing
//
// Prints the phoneme error rates on held-out words, writes bench/results/phonemes.json and the table of docs/texts-from-texts.md.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { attach, detach, fullFineTuning, merge, prepareBatches, Trainer } from 'tfjs-peft'
import { writeSafetensors, type TensorToWrite } from 'tfjs-peft/advanced'
import { adapt, errorRate, errorRateOf, loadWords, newModel, SETTINGS, type Words } from '../examples/phonemes/setup.ts'
import { cacheFolder } from '../src/setup/cache.ts'
import { writeSection } from './doc-section.ts'
import { byTorch } from './from-nothing.ts'
import { mean, spread, table } from './markdown.ts'
import { writeResults } from './process.ts'

interface Row {
  readonly by: 'ours' | 'torch'
  readonly seed: number
  readonly error_rate: number
  readonly train_loss: number
  /** Error rates on other words and on those of the group, before LoRA and after. */
  readonly adapted?: { readonly before: number; readonly after: number; readonly group_before: number; readonly group_after: number }
}

interface Said extends Pick<Row, 'train_loss'> {
  readonly said: readonly number[][]
}

const FULL = 2000

const { values } = parseArgs({ options: { steps: { type: 'string', default: String(FULL) } } })
const steps = Number(values.steps)
const seeds = steps === FULL ? [0, 1, 2] : [0]
const folder = join(cacheFolder(), 'bench', 'phonemes')
const { train, evaluate, group } = await loadWords(1000)
const rows: Row[] = []
for (const seed of seeds) {
  await writeTask(seed)
  rows.push(await ours(seed))
  const { said, ...rest } = (await byTorch('phonemes', join(folder, String(seed)), steps, SETTINGS)) as Said
  rows.push({ by: 'torch', seed, error_rate: errorRateOf(said, evaluate.targets), ...rest })
  for (const { by, error_rate: rate, train_loss: loss } of rows.slice(-2)) console.log(`seed ${seed}, ${by}: ${rate.toFixed(1)} % phoneme errors, loss ${loss.toFixed(3)}`)
}
const text = textOf()
console.log(text)
if (steps === FULL) {
  await writeResults('phonemes', rows)
  await writeSection('texts-from-texts', 'bench:phonemes', text)
}

/** The untrained checkpoint, the words in the order of training, and the held-out ones, padded with 0. */
async function writeTask(seed: number): Promise<void> {
  const own = join(folder, String(seed))
  await mkdir(own, { recursive: true })
  const model = await newModel(seed)
  await model.save(join(own, 'untrained'))
  model.dispose()
  const order: number[] = []
  const batches = prepareBatches(train, { batchSize: SETTINGS.batchSize, order: { seed }, dropLast: true, decoderStart: 0 })
  for (let epoch = 0; order.length < steps * SETTINGS.batchSize; epoch++) for (const { rows: of } of batches.epoch(epoch)) order.push(...of)
  const tensor = (name: string, source: readonly ArrayLike<number>[]): TensorToWrite => {
    const width = source.reduce((most, { length }) => Math.max(most, length), 0) // too many for the arguments of one call
    const data = new Int32Array(source.length * width)
    source.forEach((row, i) => { data.set(Array.from(row), i * width) })
    return { name, dtype: 'I32', shape: [source.length, width], data }
  }
  const pick = (source: Words['ids']): Words['ids'] => order.slice(0, steps * SETTINGS.batchSize).map((row) => source[row] ?? [])
  await writeSafetensors(join(own, 'rows.safetensors'), [
    tensor('train.ids', pick(train.ids)), tensor('train.targets', pick(train.targets)), tensor('evaluate.ids', evaluate.ids), tensor('evaluate.targets', evaluate.targets),
  ])
}

async function ours(seed: number): Promise<Row> {
  const { batchSize, ...settings } = SETTINGS
  const fresh = await newModel(seed)
  const all = attach(fresh, fullFineTuning())
  const losses: number[] = []
  const batches = prepareBatches(train, { batchSize, order: { seed }, dropLast: true, decoderStart: 0 })
  await new Trainer({ model: fresh, train: batches, ...settings, maxSteps: steps }).fit({ onEvent: (event) => event.type === 'step' && losses.push(event.loss) })
  const model = merge(fresh, all)
  detach(all)
  fresh.dispose()
  const [before, groupBefore] = [await errorRate(model, evaluate), await errorRate(model, group.evaluate)]
  const adapter = await adapt(model, group.train, { steps, seed })
  const adapted = { before, after: await errorRate(model, evaluate), group_before: groupBefore, group_after: await errorRate(model, group.evaluate) }
  detach(adapter)
  model.dispose()
  return { by: 'ours', seed, error_rate: before, train_loss: mean(losses.slice(-50)), adapted }
}

function textOf(): string {
  const of = (by: Row['by']): Row[] => rows.filter((row) => row.by === by)
  const rates = (by: Row['by']): string => spread(of(by).map((row) => row.error_rate))
  const losses = (by: Row['by']): string => spread(of(by).map((row) => row.train_loss), 3)
  const adapted = of('ours').flatMap((row) => row.adapted ?? [])
  return [
    ...table(['trained from nothing', 'here', 'torch'], [
      ['phoneme error rate on held-out words, %', rates('ours'), rates('torch')],
      ['loss of the last 50 steps', losses('ours'), losses('torch')],
    ]),
    '',
    ...table(['phoneme error rate, %', 'before LoRA', 'after'], [
      ['Italian words, held out', spread(adapted.map((row) => row.group_before)), spread(adapted.map((row) => row.group_after))],
      ['other words, held out', spread(adapted.map((row) => row.before)), spread(adapted.map((row) => row.after))],
    ]),
  ].join('\n')
}
