// What workers compare before the first step: each that differs is named, in one text on both.

import { afterEach, expect, it, vi } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { createModel } from '../../src/base/checkpoint/create.ts'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { nativeSources } from '../../src/base/engine/load-native.ts'
import { nativeState, useNative } from '../../src/base/engine/native.ts'
import type { Model } from '../../src/base/model.ts'
import { ewc } from '../../src/forgetting/ewc.ts'
import { lora } from '../../src/lora/lora.ts'
import type { TrainerOptions } from '../../src/training/trainer-options.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { BERT, ids, train } from './shared-run.ts'
import { together } from './together.ts'

const versions = vi.hoisted(() => ({ library: '0.1.0', engine: '2.9.1' }))
vi.mock('../../src/base/engine/version.ts', () => ({ libraryVersion: () => versions.library, engineVersion: () => versions.engine }))

interface Other {
  readonly config?: object
  readonly modelSeed?: number
  readonly method?: Parameters<typeof lora>[0]
  readonly attachSeed?: number
  readonly options?: Partial<TrainerOptions>
  /** Changes what runs the second worker, once the first has said what runs it. */
  readonly change?: () => void
}

await loadEngine()
const native = nativeState()
const kernels = native.loaded ? native.instructionSet : undefined
const node = process.version
const setNode = (version: string): void => void Object.defineProperty(process, 'version', { value: version, configurable: true })
afterEach(() => {
  Object.assign(versions, { library: '0.1.0', engine: '2.9.1' })
  setNode(node)
  useNative(kernels)
})

async function trainerOf({ config = {}, modelSeed = 0, method = {}, attachSeed = 1, options = {} }: Other, distributed: TrainerOptions['distributed']): Promise<{ readonly model: Model; readonly trainer: Trainer }> {
  const model = await createModel({ ...BERT, ...config }, { task: 'sequence-classification', labels: ['a', 'b'], seed: modelSeed })
  attach(model, lora({ rank: 4, targets: 'all-linear', ...method }), { seed: attachSeed })
  return { model, trainer: new Trainer({ model, train, batchSize: 4, maxSteps: 2, ...(distributed === undefined ? {} : { distributed }), ...options }) }
}

/** What a worker like the others, and one that is not, say before the first step. */
async function told(other: Other): Promise<readonly string[]> {
  const [first, second] = together(2)
  const [one, two] = [await trainerOf({}, first), await trainerOf(other, second)]
  const trainings = [one.trainer.run(), two.trainer.run()]
  const begun = trainings.map((training, rank) => {
    if (rank === 1) other.change?.()
    return training.next()
  })
  const ended = await Promise.allSettled(begun)
  await Promise.all(trainings.map((training) => training.return()))
  for (const { model } of [one, two]) model.dispose()
  return ended.map((each) => (each.status === 'rejected' ? (each.reason as Error).message : 'began'))
}

const others = ids.map((_, i) => (i + 1) % 2)
const CASES: readonly (readonly [what: string, other: Other, lines: readonly string[]])[] = [
  ['another version of the library', { change: () => { versions.library = '0.2.0' } }, ['tfjs-peft: 0.2.0 there, 0.1.0 here']],
  ['another Node', { change: () => setNode('v18.0.0') }, [`node: v18.0.0 there, ${node} here`]],
  ['another TensorFlow', { change: () => { versions.engine = '2.21.0' } }, ['tensorflow: 2.21.0 there, 2.9.1 here']],
  ...(kernels === undefined ? [] : [['no fused kernels', { change: () => useNative(undefined) }, [`kernels: composed there, ${kernels} of ${nativeSources().hash} here`]] as const]),
  ['another base', { modelSeed: 5 }, ['numbers of the model: others there than here', 'numbers at the start: others there than here']],
  ['another start', { attachSeed: 2 }, ['numbers at the start: others there than here']],
  ['another rank', { method: { rank: 2 } }, ['method.rank: 2 there, 4 here', 'numbers at the start: others there than here']],
  ['another width of the base', { config: { intermediate_size: 48 } },
    ['trained: others there than here', 'numbers of the model: others there than here', 'numbers at the start: others there than here']],
  ['another seed', { options: { seed: 7 } }, ['seed: 7 there, 0 here']],
  ['other rows', { options: { train: { ids, labels: others } } }, ['data: others there than here']],
  ['other settings', { options: { learningRate: 0.5, batchSize: 8, accumulate: 2, warmup: 0.5, maxGradNorm: 3, labelSmoothing: 0.1, classWeights: [1, 2] } }, [
    'batchSize: 16 there, 8 here', 'accumulate: 2 there, 1 here', 'learningRate: 0.5 there, 0.0005 here', 'warmup: 0.5 there, 0 here', 'maxGradNorm: 3 there, 1 here',
    'labelSmoothing: 0.1 there, none here', 'classWeights: some there, none here']],
  ['other evaluations and checkpoints', { options: { evaluate: train, evaluateEvery: 1, checkpoints: { folder: 'never', every: 3 }, nonFinite: 'skip' } }, [
    'evaluate: some there, none here', 'evaluateEvery: 1 there, every epoch here', 'nonFinite: skip there, throw here', 'checkpoints: 3 there, none here']],
  ['a guard', { options: { guards: [ewc({ strength: 1 })] } }, ['guards: ewc(1) there, none here']],
]

it.each(CASES)('a worker with %s is named to all before the first step, and what differs', async (_, other, lines) => {
  const texts = await told(other)
  const text = ['The workers would not train the same. Start all with one program, on the same files:', ...lines.map((line) => `  - worker 1 and worker 0: ${line}`)].join('\n')
  expect(texts).toEqual([text, text])
})

it('workers that are alike begin', async () => {
  expect(await told({})).toEqual(['began', 'began'])
})
