// Files that transformers and bitsandbytes made, and what they and HF PEFT computed with them: test/golden/make_quantised_models.py.

import * as tf from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { valueAndGrads } from '../../../src/base/autodiff/grads.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import type { FrozenWeight } from '../../../src/base/engine/frozen-weight.ts'
import { withoutRounding } from '../../../src/base/engine/rounded-rows.ts'
import { loadAdapter } from '../../../src/load-adapter.ts'
import type { Task } from '../../../src/base/tasks/task.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from '../../golden.ts'
import { temporaryFolder } from '../../temporary-folder.ts'
import { eachForm } from '../ops/forms.ts'

const CASES: readonly (readonly [name: string, task: Task, kind: string])[] = [
  ['llama_nf4', 'causal-lm', 'nf4'], ['gpt2_nf4', 'causal-lm', 'nf4'], ['bert_int8', 'sequence-classification', 'int8'], ['gpt2_int8', 'causal-lm', 'int8'],
]
const temporary = temporaryFolder()

eachForm('a checkpoint of bitsandbytes', () => {
  it.each(CASES)('%s is held as it is, and computes with its LoRA what transformers and HF PEFT do', async (name, task, kind) => {
    const golden = await readGolden(`quantised/${name}/golden.safetensors`)
    const model = await loadModel(goldenPath(`quantised/${name}`), { task })
    const packed = [...model.parts.params].filter(([, weight]) => weight.packed !== undefined)
    expect(new Set(packed.map(([, weight]) => weight.kind.name))).toEqual(new Set([kind]))
    for (const key of golden.names.filter((each) => each.startsWith('weight/'))) {
      const weight = model.parts.params.get(`${key.slice('weight/'.length)}.weight`) as FrozenWeight
      expect(tf.tidy(() => valuesOf(weight)).map((x) => x + 0), key).toEqual(Float32Array.from(golden.numbers(key)).map((x) => x + 0))
    }
    const batch = golden.batch('input_ids', 'attention_mask', undefined, 'labels')
    const counts = task === 'causal-lm' ? batch.mask : undefined
    // bitsandbytes rounds what int8 weights multiply under evaluation alone: test/base/engine/int8-products.test.ts
    const logits = (): Float32Array => withoutRounding(() => tf.tidy(() => valuesOf(model.forward(batch))))
    expect(largestDifference(logits(), golden.numbers('base/logits'), counts)).toBeLessThan(1e-4)
    const adapter = await loadAdapter(model, goldenPath(`quantised/${name}/adapter`))
    expect(largestDifference(logits(), golden.numbers('logits'), counts)).toBeLessThan(1e-4)
    const { value, grads } = withoutRounding(() => valueAndGrads(() => model.loss(batch), adapter.trainable))
    expect(largestDifference(valuesOf(value), golden.numbers('loss'))).toBeLessThan(1e-4)
    const keys = golden.names.filter((key) => key.startsWith('grad/'))
    expect(keys.length).toBe(Object.keys(grads).length)
    const found = Object.values(grads).map((grad) => valuesOf(grad))
    for (const key of keys) {
      const expected = golden.numbers(key)
      expect(Math.min(...found.filter(({ length }) => length === expected.length).map((grad) => largestDifference(grad, expected))), key).toBeLessThan(1e-4)
    }
    tf.dispose([value, grads])
    model.dispose()
  })
})

it.each(CASES)('%s is saved as bitsandbytes writes it, and loads again with equal weights', async (name, task) => {
  const model = await loadModel(goldenPath(`quantised/${name}`), { task })
  await model.save(temporary(name))
  const again = await loadModel(temporary(name), { task })
  for (const [key, weight] of model.parts.params) {
    const other = again.parts.params.get(key) as FrozenWeight
    expect(other.packed, key).toEqual(weight.packed)
    tf.tidy(() => { expect(valuesOf(other), key).toEqual(valuesOf(weight)) })
  }
  model.dispose()
  again.dispose()
})
