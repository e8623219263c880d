import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import type { Batch, Task } from '../../../src/advanced.ts'
import { detach } from '../../../src/base/adapter/attached.ts'
import { valueAndGrads } from '../../../src/base/autodiff/grads.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { generate } from '../../../src/base/generate/generate.ts'
import { loadAdapter } from '../../../src/load-adapter.ts'
import { goldenPath, largestDifference, readGolden, valuesOf, type Golden } from '../../golden.ts'

const CASES = [['base', 'feature-extraction'], ['tied', 'seq2seq-lm'], ['untied', 'seq2seq-lm'], ['mt5', 'seq2seq-lm']] as const satisfies readonly (readonly [string, Task])[]

function batchOf(golden: Golden, mask: boolean): Batch {
  const decoderIds = Int32Array.from(golden.numbers('decoder_input_ids'))
  return { ...(mask ? golden.batch('input_ids', 'attention_mask') : golden.batch('input_ids')), decoderIds }
}

it.each(CASES)('%s gives the numbers of transformers for %s, with padding left and right', async (name, task) => {
  const golden = await readGolden(`t5/${name}/golden.safetensors`)
  const model = await loadModel(goldenPath(`t5/${name}`), { task })
  const output = task === 'feature-extraction' ? 'last_hidden_state' : 'logits'
  for (const call of ['full', 'ids_only']) {
    const expected = golden.numbers(`${call}/${output}`)
    const actual = tf.tidy(() => valuesOf(model.forward(batchOf(golden, call === 'full'))))
    expect(largestDifference(actual, expected) / Math.max(1, ...expected.map(Math.abs)), call).toBeLessThan(1e-5)
  }
  model.dispose()
})

describe.each([['lora', 'tied'], ['lora_untied', 'untied']] as const)('%s on %s', (lora, base) => {
  it('gives the logits, the loss and the gradients of HF PEFT', async () => {
    const golden = await readGolden(`t5/${lora}/golden.safetensors`)
    const model = await loadModel(goldenPath(`t5/${base}`), { task: 'seq2seq-lm' })
    const adapter = await loadAdapter(model, goldenPath(`t5/${lora}/adapter`))
    const batch = { ...batchOf(golden, true), labels: Int32Array.from(golden.numbers('labels')) }
    const near = (actual: Float32Array, key: string, tolerance: number): void => {
      const expected = golden.numbers(key)
      expect(largestDifference(actual, expected) / Math.max(1, ...expected.map(Math.abs)), key).toBeLessThan(tolerance)
    }
    near(tf.tidy(() => valuesOf(model.forward(batch))), 'logits', 1e-5)
    const { value, grads } = valueAndGrads(() => model.loss(batch), adapter.trainable)
    near(valuesOf(value), 'loss', 1e-5)
    const keyOf = (name: string): string => `grad/base_model.model.${name.replace(/\.([AB])$/, '.lora_$1.weight')}`
    expect(Object.keys(grads).map(keyOf).sort()).toEqual(golden.names.filter((key) => key.startsWith('grad/')).sort())
    for (const [name, grad] of Object.entries(grads)) near(valuesOf(grad), keyOf(name), 1e-4)
    tf.dispose([value, grads])
    detach(adapter)
    model.dispose()
  })
})

it('writes the 64 tokens of transformers, with an adapter and without, and keeps no tensor', async () => {
  const golden = await readGolden('t5/generation/golden.safetensors')
  const prompt = golden.batch('input_ids', 'attention_mask')
  const model = await loadModel(goldenPath('t5/untied'), { task: 'seq2seq-lm' })
  const written = async (): Promise<number[]> => {
    const rows: number[][] = [[], [], []]
    for await (const tokens of generate(model, prompt, { maxNewTokens: 64, stop: [] })) tokens.forEach((token, row) => rows[row]?.push(token ?? -1))
    return rows.flat()
  }
  expect(await written()).toEqual([...golden.numbers('base/tokens')])
  const adapter = await loadAdapter(model, goldenPath('t5/lora_untied/adapter'))
  const tensors = tf.memory().numTensors
  expect(await written()).toEqual([...golden.numbers('adapted/tokens')])
  expect(tf.memory().numTensors).toBe(tensors)
  detach(adapter)
  model.dispose()
})
