import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { houlsby } from '../../src/adapters/presets.ts'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import { l2Sp } from '../../src/forgetting/l2-sp.ts'
import { loadGuards, saveGuards } from '../../src/forgetting/save-guards.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { lora } from '../../src/lora/lora.ts'
import { goldenPath, valuesOf } from '../golden.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()
const CLASSES = { task: 'sequence-classification', labels: ['a', 'b'] } as const
const TOKENS = { task: 'token-classification', labels: ['a', 'b'] } as const // leaves the pooler where it is

/** A copy of the small BERT, tokenizer files beside it. */
function source(name: string): string {
  const folder = temporary(name)
  cpSync(goldenPath('bert/base'), folder, { recursive: true })
  rmSync(join(folder, 'golden.safetensors'), { force: true })
  for (const file of ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json']) writeFileSync(join(folder, file), `{"of":"${name}"}`)
  mkdirSync(join(folder, 'additional_chat_templates'))
  writeFileSync(join(folder, 'additional_chat_templates', 'tools.jinja'), name)
  return folder
}

const FILES = ['additional_chat_templates', 'config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']

describe('a model', () => {
  it('is saved over the very folder it was loaded from, again and again, with all that other tasks need', async () => {
    const folder = source('itself')
    const probe = { ids: Int32Array.of(1, 5, 9), batch: 1, length: 3 }
    const pooled = await loadModel(folder, CLASSES)
    const expected = valuesOf(pooled.forward(probe))
    const model = await loadModel(folder, TOKENS)
    const adapter = attach(model, lora({ rank: 2, targets: ['query'] }))
    await model.save(folder)
    await merge(model, adapter).save(folder)
    await model.save(folder)
    expect(readdirSync(folder).sort()).toEqual(FILES)
    expect(readFileSync(join(folder, 'additional_chat_templates', 'tools.jinja'), 'utf8')).toBe('itself')
    const again = await loadModel(folder, CLASSES)
    expect(valuesOf(again.forward(probe))).toEqual(expected)
    for (const each of [pooled, model, again]) each.dispose()
  })

  it('takes the place of another one: shards, pooling and tokenizer of that one go, files of nobody stay', async () => {
    const folder = temporary('another')
    mkdirSync(join(folder, '1_Pooling'), { recursive: true })
    const index = { metadata: {}, weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors', c: '../outside.safetensors' } }
    writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify(index))
    const stale = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors', 'modules.json', '1_Pooling/config.json', 'vocab.txt', 'merges.txt']
    for (const file of [...stale, 'notes.md', '../outside.safetensors']) writeFileSync(join(folder, file), 'theirs')
    const model = await loadModel(source('new'), TOKENS)
    await model.save(folder)
    expect(readdirSync(folder).sort()).toEqual(['1_Pooling', ...FILES, 'notes.md'].sort())
    expect(readdirSync(join(folder, '1_Pooling'))).toEqual([])
    expect(readFileSync(temporary('outside.safetensors'), 'utf8')).toBe('theirs')
    model.dispose()
  })

  it('is not saved without what goes along with it', async () => {
    const folder = source('gone')
    const model = await loadModel(folder, TOKENS)
    rmSync(folder, { recursive: true })
    const before = tf.memory().numTensors
    await expect(model.save(temporary('nowhere'))).rejects.toThrow([
      `The model cannot be saved to ${temporary('nowhere')}: what goes along with it is not any more in ${folder}, where it was loaded from (${folder}). Put these back and save again; adapters can be saved without:`,
      '  - tokenizer.json: is not there',
      '  - tokenizer_config.json: is not there',
      '  - generation_config.json: is not there',
      '  - additional_chat_templates/tools.jinja: is not there',
      `  - the weights of other tasks: ${folder} cannot be opened: ENOENT: no such file or directory, stat '${folder}'`,
    ].join('\n'))
    expect(tf.memory().numTensors).toBe(before)
    expect(readdirSync(temporary())).not.toContain('nowhere')
    model.dispose()
  })

  it('may be disposed while it is saved; afterwards it cannot be used, and says so', async () => {
    const folder = source('disposed')
    const model = await loadModel(folder, TOKENS)
    const before = tf.memory().numTensors - model.parts.params.size
    const saved = model.save(temporary('disposed-saved'))
    model.dispose()
    await saved
    ;(await loadModel(temporary('disposed-saved'), { task: 'token-classification' })).dispose()
    expect(tf.memory().numTensors).toBe(before)
    const text = (what: string): string => `${what}: the model (${folder}) was disposed. Load it again.`
    expect(() => model.forward({ ids: Int32Array.of(1), batch: 1, length: 1 })).toThrow(text('forward'))
    expect(() => attach(model, lora())).toThrow(text('attach'))
    expect(() => merge(model, [])).toThrow(text('merge'))
    await expect(model.save(temporary('never'))).rejects.toThrow(text('save'))
  })
})

describe('an adapter', () => {
  it('is saved as it was when it was asked for, although it is trained and detached meanwhile', async () => {
    const model = await loadModel(goldenPath('bert/base'), CLASSES)
    const adapter = attach(model, lora({ rank: 2, targets: ['query'] }))
    const [name = '', variable] = Object.entries(adapter.trainable)[0] ?? []
    if (variable === undefined) throw new Error('nothing is trained')
    const values = valuesOf(variable).slice()
    const saved = adapter.save(temporary('meanwhile'))
    tf.tidy(() => { variable.assign(tf.add(variable, 1)) })
    detach(adapter)
    await saved
    const loaded = await loadAdapter(model, temporary('meanwhile'))
    expect(valuesOf(loaded.trainable[name] as tf.Tensor)).toEqual(values)
    await expect(adapter.save(temporary('never'))).rejects.toThrow("save: adapter 'default' was detached, and its tensors are gone. Save it before.")
    model.dispose()
  })

  it('of another format takes the place of the one before', async () => {
    const model = await loadModel(goldenPath('bert/base'), CLASSES)
    const folder = temporary('formats')
    for (const [method, weights] of [[houlsby({ reductionFactor: 4 }), ['adapter.safetensors', 'head_config.json', 'model_head.safetensors']], [lora({ rank: 2 }), ['adapter_model.safetensors']]] as const) {
      const adapter = attach(model, method)
      await adapter.save(folder)
      detach(adapter)
      expect(readdirSync(folder).sort()).toEqual(['README.md', ...weights, 'adapter_config.json'].sort())
      detach(await loadAdapter(model, folder))
    }
    model.dispose()
  })

  it("keeps a card that its owner has written", async () => {
    const model = await loadModel(goldenPath('bert/base'), CLASSES)
    const adapter = attach(model, lora({ rank: 2 }))
    mkdirSync(temporary('card'))
    writeFileSync(temporary('card', 'README.md'), 'mine')
    await adapter.save(temporary('card'))
    expect(readFileSync(temporary('card', 'README.md'), 'utf8')).toBe('mine')
    model.dispose()
  })
})

it('guards that were saved beside other weights are refused; saved with the adapter they are of these', async () => {
  const model = await loadModel(goldenPath('bert/base'), CLASSES)
  const adapter = attach(model, lora({ rank: 2, targets: ['query'] }))
  const guard = l2Sp(adapter.trainable, { alpha: 1 })
  const folder = temporary('guards')
  await saveGuards(folder, [guard], adapter)
  await loadGuards(folder, [guard])
  await saveGuards(folder, [guard])
  await loadGuards(folder, [guard])
  tf.tidy(() => { for (const variable of Object.values(adapter.trainable)) variable.assign(tf.add(variable, 1)) })
  await adapter.save(folder)
  await expect(loadGuards(folder, [guard])).rejects.toThrow(
    `${join(folder, 'guards.safetensors')} belongs to other weights than those of the adapter in its folder: the adapter was saved again, and the guards were not. ` +
    'Save both as one, saveGuards(folder, guards, adapter), or the guards again after the adapter.',
  )
  guard.dispose()
  model.dispose()
})
