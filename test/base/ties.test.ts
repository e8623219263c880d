// A head that is the table of the words, or is not: the file decides. Held against what HF transformers reads.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import type { FrozenWeight } from '../../src/base/engine/frozen-weight.ts'
import { attach } from '../../src/base/adapter/attach.ts'
import { createModel } from '../../src/base/checkpoint/create.ts'
import { openSafetensors } from '../../src/base/checkpoint/safetensors.ts'
import { loadModel, type LoadOptions } from '../../src/base/checkpoint/load.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import type { Model } from '../../src/base/model.ts'
import { lora } from '../../src/lora/lora.ts'
import { setActive } from '../../src/manage/active.ts'
import { bitFit } from '../../src/selective/bitfit.ts'
import { fullFineTuning } from '../../src/selective/full.ts'
import { largestDifference, readGolden, valuesOf } from '../golden.ts'
import { attachTrained, closeModel } from '../manage/models.ts'
import { FAMILIES, rewritten, type Values } from '../ties.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()
const open: Model[] = []

afterEach(() => {
  for (const model of open.splice(0)) closeModel(model)
})

let folders = 0
async function load(source: string, options: LoadOptions): Promise<Model> {
  const model = await loadModel(source, options)
  open.push(model)
  return model
}

async function settings(folder: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>
}

async function keysIn(folder: string): Promise<string[]> {
  const file = await openSafetensors(join(folder, 'model.safetensors'))
  await file.close()
  return [...file.entries.keys()]
}

describe.each(Object.entries(FAMILIES))('the head of %s', (family, { source, task, table, head }) => {
  const [tableKey, headKey, biasKey] = [`${table}.weight`, `${head}.weight`, `${head}.bias`]
  const otherBias = { bert: 'cls.predictions.bias', roberta: 'lm_head.bias' }[family]

  async function setUp() {
    const golden = await readGolden(`ties/${family}/golden.safetensors`)
    const H: Values = { shape: golden.shape('H'), data: Float32Array.from(golden.numbers('H')) }
    const bias = (name: string): Values => ({ shape: golden.shape(name), data: Float32Array.from(golden.numbers(name)) })
    const changed = (change: (tensors: Map<string, Values>) => void, config?: object) =>
      rewritten(source, temporary(`model ${folders++}`), change, config)
    const logits = (model: Model) => tf.tidy(() => valuesOf(model.forward(golden.batch('ids'))))
    const off = (model: Model, name: string) => largestDifference(logits(model), golden.numbers(`logits/${name}`))
    const again = async (model: Model) => {
      const folder = temporary(`saved ${folders++}`)
      await model.save(folder)
      return { folder, model: await load(folder, { task }) }
    }
    return { golden, H, bias, changed, logits, off, again }
  }

  it('is a tensor of its own where the file has another one, whatever config.json says, and stays so when saved', async () => {
    const { H, changed, off, again } = await setUp()
    const model = await load(await changed((tensors) => tensors.set(headKey, H)), { task })
    expect(off(model, 'two_tensors')).toBeLessThan(1e-5)
    expect(model.parts.ties).toEqual(new Map())
    expect(model.parts.notes).toEqual([
      `${headKey} and ${tableKey} are two tensors in the file, though config.json ties them (tie_word_embeddings): each is taken as it is.`,
    ])
    const saved = await again(model)
    expect(off(saved.model, 'two_tensors')).toBeLessThan(1e-5)
    expect(await settings(saved.folder)).toMatchObject({ tie_word_embeddings: false })
    expect(saved.model.parts.notes).toEqual([])
  })

  it('is the table where the file has it twice, and is written once', async () => {
    const { changed, off, again } = await setUp()
    const source = await changed((tensors) => {
      tensors.set(headKey, tensors.get(tableKey) as Values)
    })
    const model = await load(source, { task })
    expect(off(model, 'base')).toBeLessThan(1e-5)
    expect(model.parts.ties).toEqual(new Map([[headKey, tableKey]]))
    expect(model.parts.ignored).toContain(headKey)
    expect(model.parts.notes).toEqual([])
    const saved = await again(model)
    expect(await keysIn(saved.folder)).not.toContain(headKey)
    expect(off(saved.model, 'base')).toBeLessThan(1e-5)
  })

  it('fills the table where the file has its name alone, for tasks without a head too', async () => {
    const { H, changed, off } = await setUp()
    const source = await changed((tensors) => {
      tensors.delete(tableKey)
      tensors.set(headKey, H)
    })
    const model = await load(source, { task })
    expect(off(model, 'head_alone')).toBeLessThan(1e-5)
    expect(model.parts.ties).toEqual(new Map([[headKey, tableKey]]))
    const features = await load(source, { task: 'feature-extraction' })
    const found = features.parts.params.get(tableKey.slice(tableKey.indexOf('.') + 1))
    expect(valuesOf(found as FrozenWeight)).toEqual(H.data)
  })

  it('does not fill the table where config.json has them apart', async () => {
    const { H, changed } = await setUp()
    const source = await changed((tensors) => {
      tensors.delete(tableKey)
      tensors.set(headKey, H)
    }, { tie_word_embeddings: false })
    await expect(loadModel(source, { task })).rejects.toThrow(`The checkpoint does not fit the model:\n  - missing: ${tableKey}`)
  })

  it('is compared as it is held: two tensors that round to the same bfloat16 are one in bfloat16', async () => {
    const { changed, logits } = await setUp()
    const source = await changed((tensors) => {
      const { shape, data } = tensors.get(tableKey) as Values
      tensors.set(headKey, { shape, data: data.map((value) => value * (1 + 2 ** -20)) })
    })
    const [half, full] = [await load(source, { task, dtype: 'bfloat16' }), await load(source, { task })]
    expect([half.parts.ties.size, full.parts.ties.size]).toEqual([1, 0])
    expect(logits(half).every(Number.isFinite)).toBe(true)
  })

  it.runIf(otherBias !== undefined)('adds the bias at the decoder, not the one above it, and writes both keys where it is untied', async () => {
    const { H, bias, changed, off, again } = await setUp()
    const both = (tensors: Map<string, Values>): void => {
      tensors.set(biasKey, bias('bias')).set(otherBias ?? '', bias('other_bias'))
    }
    const tied = await load(await changed(both), { task })
    expect(off(tied, 'two_biases')).toBeLessThan(1e-5)
    const savedTied = await again(tied)
    expect((await keysIn(savedTied.folder)).filter((key) => key === biasKey || key === otherBias)).toEqual([otherBias])
    expect(off(savedTied.model, 'two_biases')).toBeLessThan(1e-5)
    const untied = await load(await changed((tensors) => { both(tensors); tensors.set(headKey, H) }, { tie_word_embeddings: false }), { task })
    expect(off(untied, 'untied')).toBeLessThan(1e-5)
    const saved = await again(untied)
    expect(await keysIn(saved.folder)).toEqual(expect.arrayContaining([biasKey, otherBias, headKey]))
    expect(off(saved.model, 'untied')).toBeLessThan(1e-5)
  })

  it('merges into one tensor where both were trained, and into two where one was', async () => {
    const { changed, logits, again } = await setUp()
    const model = await load(await changed(() => undefined), { task })
    const merged = async (adapter: ReturnType<typeof attach>, ties: number): Promise<void> => {
      setActive(model, adapter.name)
      const expected = logits(model)
      const folded = merge(model, adapter)
      expect(largestDifference(logits(folded), expected)).toBeLessThan(1e-5)
      expect(folded.parts.ties.size).toBe(ties)
      expect(folded.parts.notes).toEqual(ties === 1 ? [] : [
        `merge: ${tableKey} and ${headKey} were one tensor, and the adapter does not change them alike: the merged model has two ` +
          '(tie_word_embeddings: false). PEFT changes both when it merges, and its merged model computes otherwise than the adapted one.',
      ])
      const saved = await again(folded)
      expect(largestDifference(logits(saved.model), expected)).toBeLessThan(1e-5)
      expect((await settings(saved.folder))['tie_word_embeddings']).toBe(ties === 1)
      folded.dispose()
    }
    await merged(attachTrained(model, 'table', lora({ targets: ['q_proj', 'c_attn', 'query', 'q_lin'].filter((name) => hasSite(model, name)) }), { train: [table] }), 1)
    await merged(attachTrained(model, 'head', fullFineTuning(), {}), 1)
    await merged(attachTrained(model, 'update', lora({ targets: [table], rank: 2 })), 0)
    await merged(attachTrained(model, 'updated head', lora({ targets: [head], rank: 2 })), 0)
  })
})

describe('a tied head', () => {
  it('moves with the table whichever of the two is trained, by one tensor', async () => {
    const model = await load((await modelOf('llama')), { task: 'causal-lm' })
    for (const name of ['embed_tokens', 'lm_head']) {
      const adapter = attach(model, bitFit(), { name, train: [name], enabled: false })
      expect(Object.keys(adapter.trainable)).toEqual(['model.embed_tokens.weight'])
    }
  })

  it('is one tensor in a model that is made new, too', async () => {
    const model = await createModel({ model_type: 'gpt2', vocab_size: 20, n_positions: 8, n_embd: 8, n_layer: 1, n_head: 2 })
    open.push(model)
    expect([...model.parts.params.keys()]).not.toContain('lm_head.weight')
    expect(model.parts.ties).toEqual(new Map([['lm_head.weight', 'transformer.wte.weight']]))
  })

  it('frees every tensor, one or two', async () => {
    const before = tf.memory().numTensors
    const model = await loadModel(await modelOf('gpt2'), { task: 'causal-lm' })
    const folded = merge(model, attachTrained(model, 'a', lora({ targets: ['wte'], rank: 2 })))
    folded.dispose()
    closeModel(model)
    expect(tf.memory().numTensors).toBe(before)
  })
})

function modelOf(family: string): Promise<string> {
  return rewritten(FAMILIES[family]?.source ?? '', temporary(`model ${folders++}`), () => undefined)
}

function hasSite(model: Model, name: string): boolean {
  return model.parts.sites.some((site) => site.name.endsWith(`.${name}`))
}
