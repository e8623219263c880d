// From nothing to a fine-tuned language model: trains a tokenizer and a small GPT-2 on the Brown corpus without one genre,
// saves it as a checkpoint of the Hub, adapts it to that genre with LoRA, and says what this cost on the others.
//
//   npm run pretrain                        the whole, some minutes
//   npm run pretrain -- --steps 4 --one-in 10   a short run
//   npm run pretrain -- --out out/brown     where model and adapter go
//
// Ctrl-C ends the training in progress after its step; nothing that is half trained is saved.

import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  attach, detach, fullFineTuning, generateText, loadModel, lora, merge, perplexity, progress, Trainer, untilInterrupted, type Model,
} from 'tfjs-peft'
import { CONFIG, GENRE, prepare, SETTINGS } from './pretrain/setup.ts'

const USAGE = 'npm run pretrain -- [--steps 600] [--one-in 1: of so many texts one] [--out out/brown]'
const { values } = parseArgs({
  options: {
    help: { type: 'boolean', default: false },
    steps: { type: 'string', default: '600' },
    'one-in': { type: 'string', default: '1' },
    out: { type: 'string', default: 'out/brown' },
  },
})
if (values.help) {
  console.log(USAGE)
  process.exit()
}
const steps = Number(values.steps)
const begin = performance.now()
const signal = untilInterrupted()
const watchers = (): ReturnType<typeof progress>[] => [progress()]
const [base, adapted] = [join(values.out, 'model'), join(values.out, `lora-${GENRE}`)]

const { model: fresh, tokenizer, general, genre, seconds } = await prepare(base, Number(values['one-in']))
console.log(`tokenizer   ${tokenizer.vocabSize} tokens, trained in ${seconds.toFixed(1)} s`)
console.log(`rows        ${general.train.length} to pretrain on, ${genre.train.length} of '${GENRE}' kept for LoRA`)
console.log(`held out    ${general.evaluate.length} and ${genre.evaluate.length} rows`)

const all = attach(fresh, fullFineTuning())
console.log(`model       ${CONFIG.n_layer} layers of ${CONFIG.n_embd}, ${(all.summary().trainable / 1e6).toFixed(1)} million parameters`)
console.log(`untrained   ${await losses(fresh)}`)
const pretraining = await new Trainer({ model: fresh, train: { ids: general.train }, ...SETTINGS, maxSteps: steps }).fit({ signal, watchers: watchers() })
if (pretraining.end === 'stopped') process.exit(130)
const trained = merge(fresh, all)
await trained.save(base)
detach(all)
for (const each of [fresh, trained]) each.dispose()
console.log(`pretrained  in ${minutes()} in all; ${base} is a checkpoint as on the Hub`)

const model = await loadModel(base, { task: 'causal-lm' })
const before = await measure(model)
console.log(`pretrained  ${await losses(model)}`)
console.log(`it writes   ${JSON.stringify(await write(model))}`)

const adapter = attach(model, lora({ rank: 8, alpha: 16, targets: 'all-linear' }))
const few = Math.max(2, Math.round(steps / 4)) // there are fewer rows
const { end } = await new Trainer({ model, train: { ids: genre.train }, batchSize: 16, learningRate: 2e-3, maxSteps: few })
  .fit({ signal, watchers: watchers() })
if (end === 'stopped') process.exit(130)
await adapter.save(adapted)
const after = await measure(model)
console.log(`LoRA        ${adapter.summary().trainable} parameters in ${adapted}`)
console.log(`with LoRA   ${await losses(model)}`)
console.log(`gained      ${(before.genre - after.genre).toFixed(4)} on '${GENRE}'`)
console.log(`cost        ${(after.general - before.general).toFixed(4)} on the other genres; without the adapter it is 0`)
console.log(`time        ${minutes()} in all, ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB at most`)

/** Mean loss of a token, held out. */
async function measure(of: Model): Promise<{ readonly general: number; readonly genre: number }> {
  const loss = async (rows: readonly Int32Array[]): Promise<number> => Math.log(await perplexity(of, { ids: rows }))
  return { general: await loss(general.evaluate), genre: await loss(genre.evaluate) }
}

async function losses(of: Model): Promise<string> {
  const held = await measure(of)
  return `held-out loss ${held.general.toFixed(4)} on the genres of pretraining, ${held.genre.toFixed(4)} on '${GENRE}'`
}

async function write(of: Model): Promise<string> {
  let text = ''
  for await (const piece of generateText(of, tokenizer, 'The people of the city', { maxNewTokens: 40, temperature: 0.8, topK: 40, seed: 0 })) text += piece
  return text
}

function minutes(): string {
  return `${((performance.now() - begin) / 60_000).toFixed(1)} minutes`
}
