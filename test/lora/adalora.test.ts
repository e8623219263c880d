import { writeFile, readFile } from 'node:fs/promises'
import * as tf from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { adalora, combine, exportMlxAdapter, loadAdapter, setActive, startFromLoftQ } from '../../src/index.ts'
import { goldenPath, largestDifference } from '../golden.ts'
import { attachTrained, closeModel, eachTinyModel, forward } from '../manage/models.ts'
import { temporaryFolder } from '../temporary-folder.ts'

let model: Model
eachTinyModel((own) => { model = own })
const temporary = temporaryFolder()

it('is a plain LoRA when it is combined, of the ranks that it has', () => {
  const adapter = attachTrained(model, 'a', adalora({ initRank: 4, alpha: 6 }), { enabled: true })
  const before = forward(model)
  const mix = combine(model, [{ adapter }], { kind: 'cat', name: 'mix' })
  setActive(model, 'mix')
  expect(mix.method.name).toBe('lora')
  expect(largestDifference(forward(model), before)).toBeLessThan(1e-5)
})

it('is exported as a LoRA to where there is no AdaLoRA', async () => {
  const llama = await loadModel(goldenPath('llama/causal_lm'), { task: 'causal-lm' })
  const adapter = attachTrained(llama, 'a', adalora({ initRank: 3, targets: ['q_proj', 'v_proj'] }), { enabled: true })
  const batch = { ids: Int32Array.of(3, 1, 7, 5), batch: 1, length: 4 }
  const before = forward(llama, batch)
  await exportMlxAdapter(adapter, temporary('mlx'))
  detach(adapter)
  expect((await loadAdapter(llama, temporary('mlx'))).method.name).toBe('lora')
  expect(largestDifference(forward(llama, batch), before)).toBeLessThan(1e-5)
  closeModel(llama)
})

it('names everything that is wrong with its options', () => {
  expect(() => adalora({ initRank: 0, alpha: 0, dropout: 1, ranks: { 'layer.0': 13 } })).toThrow(
    /initRank: expected an integer of at least 1, got 0[^]*alpha: expected a number above 0, got 0[^]*dropout: expected a number in \[0, 1\), got 1[^]*ranks\['layer\.0'\]: expected an integer from 0 to initRank/)
})

it('refuses a file whose ranks are no flags, or that asks for what AdaLoRA does not do here', async () => {
  const adapter = attachTrained(model, 'a', adalora({ initRank: 2 }))
  await adapter.save(temporary('bad'))
  const file = temporary('bad', 'adapter_config.json')
  const config = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>
  await writeFile(file, JSON.stringify({ ...config, bias: 'all', lora_alpha: 0, rank_pattern: { 'x.lora_E': [true, 1], 'y.lora_E': [true, true, true] } }))
  await expect(loadAdapter(model, temporary('bad'), { name: 'again' })).rejects.toThrow(
    /bias: expected "none", got "all"[^]*lora_alpha: expected a number above 0, got 0[^]*rank_pattern\['x\.lora_E'\]: expected at most init_r \(2\) times true or false[^]*rank_pattern\['y\.lora_E'\]/)
})

it('is all there in the files of one that was not trained, whose singular values are 0', async () => {
  const adapter = attach(model, adalora({ initRank: 2 }), { name: 'a', train: [] })
  await adapter.save(temporary('fresh'))
  detach(adapter)
  const again = await loadAdapter(model, temporary('fresh'))
  expect(again.summary().trainable).toBe(adapter.summary().trainable)
  expect(tf.tidy(() => Object.values(again.trainable).every(({ shape }) => !shape.includes(0)))).toBe(true)
})

it('has no start by LoftQ, which is a LoRA\'s', async () => {
  const quantised = await loadModel(goldenPath('lora/base'), { task: 'sequence-classification', dtype: 'nf4' })
  await expect(startFromLoftQ(attach(quantised, adalora()))).rejects.toThrow('startFromLoftQ: expected a LoRA that starts plainly, init \'kaiming\' or \'gaussian\', got adalora.')
  closeModel(quantised)
})
