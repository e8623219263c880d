import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../../src/base/adapter/attached.ts'
import { paramOf } from '../../src/base/parameters.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import type { Model } from '../../src/base/model.ts'
import { CheckpointError, InputError } from '../../src/errors.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { pTuning } from '../../src/prompt/p-tuning.ts'
import { prompt } from '../../src/prompt/prompt.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath } from '../golden.ts'
import type { PromptOptions } from '../../src/prompt/options.ts'

const temporary = temporaryFolder()
const ROWS = 'bert.embeddings.tokens.prompt'
let model: Model

beforeEach(async () => {
  model = await loadModel(goldenPath('lora/base'), { task: 'token-classification' })
})

afterEach(() => {
  for (const adapter of adaptersOf(model)) detach(adapter)
  model.dispose()
})

function start(options: PromptOptions, seed = 0): number[][] {
  const { trainable } = attach(model, prompt(options), { name: String(adaptersOf(model).length), train: [], seed })
  return (trainable[ROWS] as tf.Tensor as tf.Tensor2D).arraySync()
}

function words(): number[][] {
  return (paramOf(model, 'bert.embeddings.word_embeddings.weight') as tf.Tensor2D).arraySync()
}

describe('a prompt starts', () => {
  it('as N(0, 1)', () => {
    const values = Array.from({ length: 10 }, (_, seed) => start({ virtualTokens: 20 }, seed)).flat(2)
    expect(values.reduce((sum, x) => sum + x, 0) / values.length).toBeCloseTo(0, 1)
    expect(values.reduce((sum, x) => sum + x * x, 0) / values.length).toBeCloseTo(1, 1)
  })

  it('as embeddings of tokens drawn from the vocabulary', () => {
    const [rows, table] = [start({ virtualTokens: 12, init: 'vocabulary' }), words()]
    const found = rows.map((row) => table.findIndex((word) => word.every((x, i) => x === row[i])))
    expect(found).not.toContain(-1)
    expect(new Set(found).size).toBeGreaterThan(6)
  })

  it('as the embeddings of a text, repeated or cut to the number of rows', () => {
    const table = words()
    const ids = [7, 2, 30]
    expect(start({ init: { ids } })).toEqual(ids.map((id) => table[id]))
    expect(start({ virtualTokens: 5, init: { ids } })).toEqual([7, 2, 30, 7, 2].map((id) => table[id]))
    expect(start({ virtualTokens: 2, init: { ids } })).toEqual([7, 2].map((id) => table[id]))
  })
})

describe('outputs', () => {
  it('are for the tokens of the text alone, with any number of prompts', () => {
    attach(model, prompt({ virtualTokens: 3 }))
    attach(model, pTuning({ virtualTokens: 2 }), { name: 'second', train: [] })
    const batch = { ids: Int32Array.of(3, 7, 9, 4, 5, 1), batch: 2, length: 3 }
    tf.tidy(() => { expect(model.forward(batch).shape).toEqual([2, 3, 3]) })
  })

  it('do not exist for a text that leaves no room for the prompt', () => {
    attach(model, prompt({ virtualTokens: 20 }))
    const batch = { ids: new Int32Array(5).fill(5), batch: 1, length: 5 }
    expect(() => model.forward(batch)).toThrow(/5 tokens and 20 .* before them, more than the 24 positions/)
  })
})

describe('what cannot be', () => {
  it('as many rows as there are positions', () => {
    for (const method of [prompt({ virtualTokens: 24 }), pTuning({ virtualTokens: 30 })]) {
      expect(() => attach(model, method)).toThrow(/^(prompt|pTuning): virtualTokens: expected fewer than the 24 positions of the model.* got (24|30)/)
    }
  })

  it('options out of range', () => {
    expect(() => prompt({ virtualTokens: 0 })).toThrow(new InputError('prompt: virtualTokens: expected an integer of at least 1, got 0.'))
    expect(() => prompt({ virtualTokens: 3, init: { ids: [] } })).toThrow(new InputError('prompt: init.ids: expected at least one token, got none.'))
    expect(() => attach(model, prompt({ init: { ids: [3, 37] } }))).toThrow(
      "prompt: init.ids: 37 is outside the vocabulary of 37; is it this model's tokenizer?",
    )
    expect(() => pTuning({ hiddenSize: 0, layers: 1.5 })).toThrow(
      new InputError('pTuning: the options cannot be used:', [
        'hiddenSize: expected an integer of at least 1, got 0',
        'layers: expected an integer of at least 1, got 1.5',
      ]),
    )
  })

  it('to merge it', () => {
    expect(() => merge(model, attach(model, prompt()))).toThrow("prompt at 'bert.embeddings.tokens' cannot be folded into a weight.")
  })

  it('a file that does not fit the model, with everything that is wrong', async () => {
    const folder = temporary('other')
    await cp(goldenPath('prompt/tokens/adapter'), folder, { recursive: true })
    const path = join(folder, 'adapter_config.json')
    const json = JSON.parse(await readFile(path, 'utf8')) as object
    await writeFile(path, JSON.stringify({ ...json, num_virtual_tokens: 5, modules_to_save: ['classifier', 'embeddings.LayerNorm'] }))
    await expect(loadAdapter(model, folder)).rejects.toThrow(
      new CheckpointError('The adapter does not fit the model:', [
        `${ROWS}: expected [5, 32], the file has [4, 32]`,
        'missing: bert.embeddings.LayerNorm.weight [32]',
        'missing: bert.embeddings.LayerNorm.bias [32]',
      ]),
    )
  })
})
