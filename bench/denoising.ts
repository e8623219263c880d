// A small T5 from nothing on Brown's texts by span corruption, here and by torch, for three seeds: the same start, spans, order and settings.
//
//   npm run bench:denoising                     1000 steps
//   npm run bench:denoising -- --steps 20       a short run of one seed, which writes nothing
//
// Prints the held-out losses of what is to be written, writes bench/results/denoising.json and the table of docs/texts-from-texts.md.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { attach, corruptSpans, createModel, detach, evaluate, fullFineTuning, loadTokenizer, merge, packTokens, prepareBatches, Trainer, type Tokenizer, type TrainerOptions } from 'tfjs-peft'
import { cosine, type BatchOptions, type BatchSource } from 'tfjs-peft/advanced'
import { loadBrown, splitSamples } from '../examples/brown.ts'
import { trainBpe } from '../examples/pretrain/bpe.ts'
import { cacheFolder } from '../src/setup/cache.ts'
import { writeSection } from './doc-section.ts'
import { byTorch, writeBatches } from './from-nothing.ts'
import { spread, table } from './markdown.ts'
import { machineNow, madeOn, writeResults } from './process.ts'

const FULL = 1000
const [VOCABULARY, LENGTH, BATCH] = [4096, 64, 16]
const SPECIAL = ['<pad>', '</s>', ...Array.from({ length: 20 }, (_, i) => `<extra_id_${i}>`)]
const [PAD, END] = [0, 1]

/** A small T5; no dropout, since torch draws other numbers. */
const CONFIG = {
  model_type: 't5', architectures: ['T5ForConditionalGeneration'], vocab_size: VOCABULARY, d_model: 192, d_kv: 48, d_ff: 512, num_heads: 4, num_layers: 3,
  relative_attention_num_buckets: 32, relative_attention_max_distance: 64, dropout_rate: 0, pad_token_id: PAD, eos_token_id: END, decoder_start_token_id: PAD,
}

/** AdamW with decay on every weight. */
const SETTINGS = { learningRate: 1e-3, schedule: cosine, warmup: 0.05, weightDecay: 0.01, maxGradNorm: 1 } as const satisfies Partial<TrainerOptions>

interface Row {
  readonly by: 'ours' | 'torch'
  readonly seed: number
  readonly held_out_loss: number
}

const { values } = parseArgs({ options: { steps: { type: 'string', default: String(FULL) } } })
const steps = Number(values.steps)
const folder = join(cacheFolder(), 'bench', 'denoising')
const { tokenizer, train, held } = await prepare()
const rows: Row[] = []
for (const seed of steps === FULL ? [0, 1, 2] : [0]) rows.push(...(await measure(seed)))
const losses = (by: Row['by']): string => spread(rows.flatMap((row) => (row.by === by ? row.held_out_loss : [])), 3)
const lines = table(['held-out loss of what is to be written', 'here', 'torch'], [[`${steps} steps`, losses('ours'), losses('torch')]])
console.log(lines.join('\n'))
if (steps === FULL) {
  await writeResults('denoising', rows)
  await writeSection('texts-from-texts', 'bench:denoising', [...lines, '', `Mean of the seeds 0, 1, 2, lowest to highest. ${madeOn(machineNow())}.`].join('\n'))
}

/** Rows of one length, each with its end. */
async function prepare(): Promise<{ readonly tokenizer: Tokenizer; readonly train: readonly number[][]; readonly held: readonly number[][] }> {
  const { train: samples, evaluate: others } = await splitSamples(await loadBrown(), 0.1)
  const texts = samples.map(({ text }) => text)
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(trainBpe(texts, VOCABULARY, SPECIAL)))
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ tokenizer_class: 'PreTrainedTokenizerFast', pad_token: '<pad>', eos_token: '</s>' }))
  const tokenizer = await loadTokenizer(folder)
  const packed = (of: readonly string[]): number[][] => packTokens(tokenizer.encode(of).ids, { length: LENGTH, separator: END }).map((row) => [...row, END])
  return { tokenizer, train: packed(texts), held: packed(others.map(({ text }) => text)) }
}

async function measure(seed: number): Promise<Row[]> {
  const own = join(folder, String(seed))
  await mkdir(own, { recursive: true })
  const fresh = await createModel(CONFIG, { task: 'seq2seq-lm', seed })
  await fresh.save(join(own, 'untrained'))
  const batches = (ids: readonly number[][], spans: number, order: BatchOptions['order'] = 'given'): BatchSource =>
    prepareBatches({ ids }, { batchSize: BATCH, dropLast: true, order, transform: corruptSpans({ model: fresh, tokenizer, seed: spans }) })
  const [learned, measured] = [batches(train, seed, { seed }), batches(held, 0)]
  await writeBatches(join(own, 'rows.safetensors'), { train: { batches: learned, count: steps }, evaluate: { batches: measured, count: measured.count } })
  const all = attach(fresh, fullFineTuning())
  await new Trainer({ model: fresh, train: learned, ...SETTINGS, maxSteps: steps }).fit()
  const model = merge(fresh, all)
  detach(all)
  const { loss = NaN } = await evaluate(model, measured)
  for (const each of [fresh, model]) each.dispose()
  const { held_out_loss: torch } = (await byTorch('denoising', own, steps, { batchSize: BATCH, ...SETTINGS })) as { held_out_loss: number }
  console.log(`seed ${seed}: held-out loss ${loss.toFixed(4)} here, ${torch.toFixed(4)} by torch`)
  return [{ by: 'ours', seed, held_out_loss: loss }, { by: 'torch', seed, held_out_loss: torch }]
}
