import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { attach, bottleneck, detach, dora, ia3, loadModel, lora, prefix, prompt, type LoadOptions, type Method, type Model } from '../../../src/index.ts'
import { KvCache } from '../../../src/base/generate/cache.ts'
import { useStepPrograms } from '../../../src/base/generate/steps.ts'
import { nativeState } from '../../../src/base/engine/native.ts'
import { recordedBackend } from '../../../src/base/engine/recording.ts'
import { goldenPath } from '../../golden.ts'

const STEPS = 40 // past the room that is made at first

afterEach(() => { useStepPrograms(true) })

/** The logits of a prompt and of steps after it, and how many operations each took of the runtime. */
function decoded(model: Model, { batch = 2, mask, steps = STEPS }: { readonly batch?: number; readonly mask?: Int32Array; readonly steps?: number } = {}): { readonly logits: Float32Array[]; readonly operations: number[] } {
  const { vocabSize = 0, decoderStart } = { ...model.limits, decoderStart: model.parts.architecture.decoderStart }
  const cache = new KvCache()
  const ids = (count: number, from: number): Int32Array => Int32Array.from({ length: count }, (_, i) => ((from + i) * 7 + i * i) % vocabSize)
  const text = { ids: ids(batch * 5, 1), batch, length: 5, ...(mask === undefined ? {} : { mask }) }
  const operations: number[] = []
  const logits = Array.from({ length: steps }, (_, step) => {
    const own = decoderStart === undefined ? (step === 0 ? text : { ids: ids(batch, step), batch, length: 1 }) : { ...text, decoderIds: step === 0 ? new Int32Array(batch).fill(decoderStart) : ids(batch, step) }
    return counted(operations, () => tf.tidy(() => model.forward(own, { cache }).dataSync<'float32'>().slice()))
  })
  cache.dispose()
  return { logits, operations }
}

function counted<T>(operations: number[], run: () => T): T {
  const backend = recordedBackend()
  const { binding } = backend
  let count = 0
  backend.binding = Object.create(binding, { executeOp: { value: (...call: Parameters<typeof binding.executeOp>) => {
    count++
    return binding.executeOp(...call)
  } } }) as typeof binding
  try {
    return run()
  } finally {
    backend.binding = binding
    operations.push(count)
  }
}

/** Steps as programs give what they give one operation at a time, bit for bit; nearly all are programs. */
function expectSame(model: Model, options: Parameters<typeof decoded>[1] = {}, programs = STEPS / 2): void {
  useStepPrograms(false)
  const alone = decoded(model, options)
  expect(alone.operations.every((count) => count > 0)).toBe(true)
  useStepPrograms(true)
  const before = tf.memory().numTensors
  const { logits, operations } = decoded(model, options)
  expect(logits).toEqual(alone.logits)
  expect(operations.filter((count) => count === 0).length).toBeGreaterThanOrEqual(nativeState().loaded ? programs : 0)
  expect(tf.memory().numTensors).toBe(before)
}

describe.each([
  'gpt2/causal_lm', 'llama/causal_lm', 'llama/tied', 'mistral/window', 'qwen3/causal_lm', 'relatives/gemma3_text_causal_lm', 'bart/seq2seq',
])('steps of %s', (path) => {
  it.each([1, 3])('as a program give the same bits, %i rows', async (batch) => {
    const model = await loadModel(goldenPath(path), { task: path.startsWith('bart') ? 'seq2seq-lm' : 'causal-lm' })
    expectSame(model, { batch })
    model.dispose()
  })
})

it.each(['bfloat16', 'int8', 'nf4'] as const)('steps on a base in %s give the same bits as a program', async (dtype: NonNullable<LoadOptions['dtype']>) => {
  const model = await loadModel(goldenPath('llama/causal_lm'), { task: 'causal-lm', dtype })
  expectSame(model)
  model.dispose()
})

const METHODS: Readonly<Record<string, () => Method>> = {
  lora: () => lora({ rank: 4, init: 'gaussian' }),
  'lora of all products': () => lora({ rank: 2, targets: ['c_attn', 'c_fc', 'c_proj'], init: 'gaussian' }),
  dora: () => dora({ rank: 4 }),
  ia3: () => ia3(),
  bottleneck: () => bottleneck({ reductionFactor: 2 }),
  'a prefix': () => prefix({ virtualTokens: 3 }),
  'a prefix made by a network': () => prefix({ virtualTokens: 3, reparametrization: { hiddenSize: 5 } }),
  'a prompt': () => prompt({ virtualTokens: 4 }),
}

it.each(Object.keys(METHODS))('steps with %s give the same bits as a program', async (name) => {
  const model = await loadModel(goldenPath('gpt2/causal_lm'), { task: 'causal-lm' })
  const adapter = attach(model, METHODS[name]?.() as Method)
  expectSame(model, { mask: Int32Array.of(1, 1, 1, 1, 1, 0, 0, 1, 1, 1) })
  detach(adapter)
  model.dispose()
})

it('a step with operations that programs do not have stays as it is', async () => {
  const model = await loadModel(goldenPath('gpt2/causal_lm'), { task: 'causal-lm' })
  attach(model, lora({ rank: 2, targets: ['wte'], init: 'gaussian' }))
  expectSame(model, {}, 0)
  model.dispose()
})

it('what is attached, trained, switched or detached between two steps is seen', async () => {
  const model = await loadModel(goldenPath('gpt2/causal_lm'), { task: 'causal-lm' })
  const last = (change: (turn: number) => void): number[] => {
    const cache = new KvCache()
    const outcomes = Array.from({ length: 24 }, (_, step) => {
      change(step)
      return tf.tidy(() => model.forward(step === 0 ? { ids: Int32Array.of(1, 2, 3), batch: 1, length: 3 } : { ids: Int32Array.of(step % 5), batch: 1, length: 1 }, { cache }).dataSync()[0] as number)
    })
    cache.dispose()
    return outcomes
  }
  const run = (): number[] => {
    let adapter: ReturnType<typeof attach> | undefined
    const outcomes = last((step) => {
      if (step === 6) adapter = attach(model, lora({ rank: 2, init: 'gaussian' }))
      if (step === 12) for (const variable of Object.values(adapter?.trainable ?? {})) variable.assign(tf.tidy(() => tf.add(variable, 0.1)))
      if (step === 18) { if (adapter !== undefined) detach(adapter) }
    })
    return outcomes
  }
  useStepPrograms(false)
  const alone = run()
  useStepPrograms(true)
  expect(run()).toEqual(alone)
  model.dispose()
})

it('texts that are read on after steps are those of the steps', async () => {
  const model = await loadModel(goldenPath('gpt2/causal_lm'), { task: 'causal-lm' })
  const ids = Int32Array.from({ length: 24 }, (_, i) => (i * 5) % 11)
  const cache = new KvCache()
  let done = 0
  for (const length of [4, 1, 1, 1, 1, 1, 1, 4, 1, 1, 1, 1, 1, 2]) {
    const next = tf.tidy(() => model.forward({ ids: ids.slice(done, done + length), batch: 1, length }, { cache }).dataSync<'float32'>().slice())
    done += length
    const whole = tf.tidy(() => model.forward({ ids: ids.slice(0, done), batch: 1, length: done }).dataSync<'float32'>().slice(-next.length))
    next.forEach((value, i) => { expect(Math.abs(value - (whole[i] ?? NaN))).toBeLessThan(2e-5) })
  }
  cache.dispose()
  model.dispose()
})

it('where a text that grows turns its tokens in another way, steps are no program', async () => {
  const model = await loadModel(goldenPath('llama/rope_dynamic'), { task: 'feature-extraction' })
  expectSame(model, { steps: (model.limits?.maxLength ?? 0) - 4 }, 1)
  model.dispose()
})

it('a step beyond the last position is the error that it is without programs', async () => {
  const model = await loadModel(goldenPath('gpt2/causal_lm'), { task: 'causal-lm' })
  const most = model.limits?.maxLength ?? 0
  expect(() => decoded(model, { steps: most - 3 })).toThrow(`more than the ${most} positions of the model`)
  model.dispose()
})

it('a program whose tensors could not all be held leaves nothing to the next one', async ({ skip }) => {
  const model = await loadModel(goldenPath('gpt2/causal_lm'), { task: 'causal-lm' })
  skip(!nativeState().loaded, 'no programs')
  const backend = recordedBackend()
  const { binding } = backend
  let pins = 0
  backend.binding = Object.create(binding, { executeOp: { value: (...call: Parameters<typeof binding.executeOp>) => {
    if (call[0].includes('_Pin') && ++pins === 3) throw new Error('no third one')
    return binding.executeOp(...call)
  } } }) as typeof binding
  expect(() => decoded(model)).toThrow('no third one')
  backend.binding = binding
  expectSame(model)
  model.dispose()
})
