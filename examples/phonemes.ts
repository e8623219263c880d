// How words are spoken: trains a small T5 from nothing on the spellings of the CMU Pronouncing Dictionary, then adapts it to Italian
// names with LoRA, and says what this cost on other words.
//
//   npm run phonemes                    the whole, some minutes
//   npm run phonemes -- --steps 40      a short run

import { parseArgs } from 'node:util'
import { attach, fullFineTuning, merge, progress, Trainer } from 'tfjs-peft'
import { adapt, errorRate, loadWords, newModel, SETTINGS, spoken, textOf } from './phonemes/setup.ts'

const { values } = parseArgs({ options: { steps: { type: 'string', default: '2000' } } })
const steps = Number(values.steps)
const { train, evaluate, group } = await loadWords(200)
console.log(`words       ${train.ids.length} to train on, ${group.train.ids.length} Italian ones kept for LoRA; 200 of each held out`)

const fresh = await newModel(0)
const all = attach(fresh, fullFineTuning())
await new Trainer({ model: fresh, train, ...SETTINGS, seed: 0, maxSteps: steps }).fit({ watchers: [progress()] })
const model = merge(fresh, all)
fresh.dispose()
const errors = async (): Promise<string> => `${(await errorRate(model, evaluate)).toFixed(1)} % phoneme errors, of Italian words ${(await errorRate(model, group.evaluate)).toFixed(1)} %`
console.log(`trained     ${await errors()}`)

const adapter = await adapt(model, group.train, { steps, seed: 0, watchers: [progress()] })
console.log(`with LoRA   ${await errors()}; ${adapter.summary().trainable} parameters`)
const few = { ids: group.evaluate.ids.slice(0, 4) }
;(await spoken(model, few)).forEach((ids, i) => { console.log(`it says     ${textOf(ids)}   for   ${textOf(group.evaluate.targets[i] ?? [])}`) })
model.dispose()
