// Adapters of HF PEFT's in which PEFT's own rules decide what is adapted and trained, and what is saved here of the same kinds.

import { readdirSync } from 'node:fs'
import { cp, readFile, writeFile } from 'node:fs/promises'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import type { FrozenWeight } from '../src/base/engine/frozen-weight.ts'
import type { Task } from '../src/base/architecture.ts'
import { attach } from '../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../src/base/adapter/attached.ts'
import { openSafetensors } from '../src/base/checkpoint/safetensors.ts'
import { loadModel } from '../src/base/checkpoint/load.ts'
import type { Model } from '../src/base/model.ts'
import { InputError } from '../src/errors.ts'
import { loadAdapter } from '../src/load-adapter.ts'
import { lora } from '../src/lora/lora.ts'
import { prompt } from '../src/prompt/prompt.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from './golden.ts'
import { show, shownByGolden } from './parity.ts'

const temporary = temporaryFolder()
const models: Model[] = []

afterEach(() => {
  for (const model of models.splice(0)) {
    for (const adapter of adaptersOf(model)) detach(adapter)
    model.dispose()
  }
})

async function open(folder: string, task: Task): Promise<Model> {
  const model = await loadModel(goldenPath(folder), { task })
  models.push(model)
  return model
}

async function configOf(folder: string): Promise<Readonly<Record<string, unknown>>> {
  return JSON.parse(await readFile(`${folder}/adapter_config.json`, 'utf8')) as Record<string, unknown>
}

async function caseOf(name: string): Promise<{ readonly base: string; readonly task: Task }> {
  const file = await openSafetensors(goldenPath(`exchange/${name}/golden.safetensors`))
  await file.close()
  return JSON.parse(file.metadata['golden'] ?? '') as { base: string; task: Task }
}

/** A parameter of the base, or what its file has for a task that this model is not for. */
async function ofBase({ parts: { folder, params } }: Model, name: string): Promise<Float32Array> {
  const param = params.get(name)
  if (param !== undefined) return valuesOf(param)
  const file = await openSafetensors(`${folder}/model.safetensors`)
  const { data } = await file.read(name)
  await file.close()
  return data as Float32Array
}

const TOLERANCE = 2e-5 // of the largest number, as float32 sums it in another order

describe('an adapter of HF PEFT gives its numbers here, and again when it is saved and loaded', () => {
  it.for(readdirSync(goldenPath('exchange')))('%s', async (name, { task: test }) => {
    const { base, task } = await caseOf(name)
    show(test, shownByGolden(`exchange/${name}`, base, ['load', 'save'], TOLERANCE))
    const golden = await readGolden(`exchange/${name}/golden.safetensors`)
    const model = await open(base, task)
    const batch = golden.batch('input_ids', 'attention_mask')
    const expected = golden.numbers('logits')
    const counts = task === 'sequence-classification' ? undefined : golden.numbers('attention_mask')
    const distance = (): number =>
      largestDifference(tf.tidy(() => valuesOf(model.forward(batch))), expected, counts) / Math.max(1, ...Array.from(expected, Math.abs))
    const plain = distance()
    const adapter = await loadAdapter(model, goldenPath(`exchange/${name}/adapter`))
    expect(distance()).toBeLessThan(TOLERANCE)
    expect(plain).toBeGreaterThan(1e-2)
    await adapter.save(temporary(name))
    detach(adapter)
    detach(await loadAdapter(model, temporary(name)))
    await loadAdapter(model, temporary(name))
    expect(distance()).toBeLessThan(TOLERANCE)
  })

  it('says which of its names have no effect', async () => {
    const adapter = await loadAdapter(await open('lora/base', 'sequence-classification'), goldenPath('exchange/idle_names/adapter'))
    const file = goldenPath('exchange/idle_names/adapter/adapter_config.json')
    expect(adapter.origin.warnings).toEqual([
      `${file}: target_modules: 'q_proj' fits no module of the model; it has no effect, as in HF PEFT.`,
      `${file}: exclude_modules: 'lm_head' fits no module of the model; it has no effect, as in HF PEFT.`,
      `${file}: rank_pattern: 'k_proj' fits no module of the adapter; it has no effect, as in HF PEFT.`,
    ])
  })

  it('says that PEFT answers questions without token types', async () => {
    const model = await open('bert/question_answering', 'question-answering')
    const folder = temporary('answers')
    await attach(model, lora({ rank: 2, targets: ['query'] }), { name: 'made' }).save(folder)
    const adapter = await loadAdapter(model, folder, { name: 'read', enabled: false })
    expect(adapter.origin.warnings).toEqual([
      'adapter_config.json: HF PEFT runs a model of task_type QUESTION_ANS without token types, whatever it is given; for its numbers give no typeIds.',
    ])
  })
})

describe('what is saved here', () => {
  it.each<[string, Task, readonly string[] | null, readonly string[]]>([
    ['roberta/sequence_classification', 'sequence-classification', ['classifier'], ['classifier.dense.weight', 'classifier.dense.bias', 'classifier.out_proj.weight', 'classifier.out_proj.bias']],
    ['distilbert/sequence_classification', 'sequence-classification', ['classifier'], ['pre_classifier.weight', 'pre_classifier.bias', 'classifier.weight', 'classifier.bias']],
    ['lora/base', 'sequence-classification', ['classifier'], ['classifier.weight', 'classifier.bias']],
    ['gpt2/sequence_classification', 'sequence-classification', ['score'], ['score.weight']],
    ['llama/token_classification', 'token-classification', ['score'], ['score.weight', 'score.bias']],
    ['roberta/question_answering', 'question-answering', ['qa_outputs'], ['qa_outputs.weight', 'qa_outputs.bias']],
    ['gpt2/causal_lm', 'causal-lm', null, []],
  ])('names the modules that PEFT trains in full: %s', async (base, task, names, tensors) => {
    const model = await open(base, task)
    await attach(model, lora({ rank: 2 })).save(temporary(base))
    expect((await configOf(temporary(base)))['modules_to_save']).toEqual(names)
    const file = await openSafetensors(temporary(base, 'adapter_model.safetensors'))
    await file.close()
    const inFull = [...file.entries.keys()].filter((key) => !key.includes('lora_'))
    expect(inFull.sort()).toEqual(tensors.map((name) => `base_model.model.${name}`).sort())
  })

  it("has the base's values where PEFT trains more in full than was trained here", async () => {
    const model = await open('distilbert/sequence_classification', 'sequence-classification')
    await attach(model, lora({ rank: 2 }), { train: ['classifier'] }).save(temporary('more'))
    const file = await openSafetensors(temporary('more', 'adapter_model.safetensors'))
    const { data } = await file.read('base_model.model.pre_classifier.weight')
    await file.close()
    expect(data).toEqual(valuesOf(model.parts.params.get('pre_classifier.weight') as FrozenWeight))
  })

  it.each<[string, Task, string[] | undefined, readonly string[]]>([
    ['roberta/sequence_classification', 'sequence-classification', undefined, [
      'classifier.dense.bias', 'classifier.dense.weight', 'classifier.modules_to_save.default.dense.bias', 'classifier.modules_to_save.default.out_proj.bias',
      'classifier.original_module.dense.bias', 'classifier.original_module.out_proj.bias', 'classifier.out_proj.bias', 'classifier.out_proj.weight',
    ]],
    ['bert/masked_lm', 'masked-lm', ['decoder'], [
      'cls.predictions.bias', 'cls.predictions.decoder.bias', 'cls.predictions.decoder.modules_to_save.bias', 'cls.predictions.decoder.original_module.bias',
      'cls.predictions.decoder.weight', 'cls.predictions.transform.LayerNorm.bias', 'cls.predictions.transform.dense.bias',
    ]],
    ['bert/base', 'feature-extraction', undefined, ['pooler.dense.bias']],
    ['albert/base', 'feature-extraction', undefined, ['pooler.bias']],
    ['vit/base', 'feature-extraction', undefined, ['layernorm.bias', 'pooler.dense.bias']],
    ['dinov2/base', 'feature-extraction', undefined, ['layernorm.bias']],
  ])("has every bias that PEFT's own file has: %s", async (base, task, train, keys) => {
    const model = await open(base, task)
    const folder = temporary(`biases ${task}`)
    const adapter = attach(model, lora({ rank: 2, bias: 'all' }), train === undefined ? {} : { train })
    tf.tidy(() => { for (const variable of Object.values(adapter.trainable)) variable.assign(tf.add(variable, 0.5)) })
    await adapter.save(folder)
    const expected = tf.tidy(() => valuesOf(model.forward(model.parts.architecture.example())))
    detach(adapter)
    const file = await openSafetensors(`${folder}/adapter_model.safetensors`)
    const outside = [...file.entries.keys()].filter((key) => !/\.(encoder|embeddings|layers)\./.test(key)).map((key) => key.replace('base_model.model.', ''))
    expect(outside.sort()).toEqual(keys)
    for (const key of keys.filter((name) => name.includes('original_module') || name.startsWith('pooler'))) {
      const [own, base] = [await file.read(`base_model.model.${key}`), await ofBase(model, key.replace('original_module.', ''))]
      expect(own.data).toEqual(base)
    }
    await file.close()
    await loadAdapter(model, folder)
    expect(largestDifference(tf.tidy(() => valuesOf(model.forward(model.parts.architecture.example()))), expected)).toBe(0)
  })

  it('is refused where PEFT would train in full what is adapted', async () => {
    const model = await open('distilbert/sequence_classification', 'sequence-classification')
    const adapter = attach(model, lora({ rank: 2, targets: ['pre_classifier'] }), { train: ['classifier'] })
    await expect(adapter.save(temporary('both'))).rejects.toThrow(
      new InputError(
        "save: 'pre_classifier': HF PEFT would train it in full, because its name ends like one of those that are (classifier). " +
          'Leave it out of the targets, or of `train` what is trained in full.',
      ),
    )
  })

  it('keeps GPT-2’s weights as its checkpoints have them, the other way round', async () => {
    const model = await open('gpt2/causal_lm', 'causal-lm')
    const adapter = attach(model, lora({ rank: 2 }), { train: ['c_fc'] })
    await adapter.save(temporary('turned'))
    const file = await openSafetensors(temporary('turned', 'adapter_model.safetensors'))
    await file.close()
    const own = adapter.trainable['transformer.h.0.mlp.c_fc.weight']?.shape ?? []
    expect(file.entries.get('base_model.model.transformer.h.0.mlp.c_fc.weight')?.shape).toEqual([...own].reverse())
  })

  it('names modules one by one where PEFT finds no layer in their paths', async () => {
    const model = await open('gpt2/base', 'feature-extraction')
    await attach(model, lora({ rank: 2, targets: ['c_attn'], layers: [1] })).save(temporary('bare'))
    expect(await configOf(temporary('bare'))).toMatchObject({ target_modules: ['1.attn.c_attn'], layers_to_transform: null, layers_pattern: null })
  })
})

describe('a prompt beside a class for a sequence', () => {
  it('pools the text here, and says so in its file', async () => {
    const model = await open('lora/base', 'sequence-classification')
    const folder = temporary('text')
    await cp(goldenPath('prompt/sequence/adapter'), folder, { recursive: true })
    await writeFile(`${folder}/adapter_config.json`, JSON.stringify({ ...(await configOf(folder)), pooling: 'text' }))
    const adapter = await loadAdapter(model, folder)
    const golden = await readGolden('prompt/sequence/golden.safetensors')
    const logits = tf.tidy(() => valuesOf(model.forward(golden.batch('input_ids', 'attention_mask'))))
    expect(largestDifference(logits, golden.numbers('first_token_logits'))).toBeLessThan(1e-5)
    await adapter.save(temporary('text again'))
    expect(await configOf(temporary('text again'))).toMatchObject({ pooling: 'text' })
  })

  it.each([['text', 'sequence-classification', 'text'], ['all', 'sequence-classification', undefined], ['text', 'token-classification', undefined]] as const)(
    'in a file of pooling %s for %s: %s',
    async (pooling, task, written) => {
      const model = await open('lora/base', task)
      await attach(model, prompt({ virtualTokens: 2, pooling })).save(temporary(`${pooling} ${task}`))
      expect((await configOf(temporary(`${pooling} ${task}`)))['pooling']).toBe(written)
    },
  )

  it('is not saved with a table of its own, which PEFT would not compute with', async () => {
    const model = await open('lora/base', 'token-classification')
    const adapter = attach(model, prompt({ virtualTokens: 2 }), { train: ['word_embeddings'] })
    await expect(adapter.save(temporary('table'))).rejects.toThrow(
      new InputError(
        "save: 'bert.embeddings.word_embeddings' is trained in full beside a prompt, but HF PEFT looks up the text in the base's own table there: it would " +
          'compute other numbers. Leave it out of `train`.',
      ),
    )
  })
})
