// A backend such as WebGPU gives no tensor's numbers at once: what it is to run must wait for them.

import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { detach } from '../src/base/adapter/attached.ts'
import { attach } from '../src/base/adapter/attach.ts'
import { loadModel } from '../src/base/checkpoint/load.ts'
import type { Model } from '../src/base/model.ts'
import type { Task } from '../src/base/architecture.ts'
import { ewc } from '../src/forgetting/ewc.ts'
import { diagonalFisher } from '../src/forgetting/fisher.ts'
import { l2Sp } from '../src/forgetting/l2-sp.ts'
import { lwf } from '../src/forgetting/lwf.ts'
import { synapticIntelligence } from '../src/forgetting/synaptic-intelligence.ts'
import { bottleneck } from '../src/adapters/bottleneck.ts'
import type { Method } from '../src/base/method.ts'
import { dora } from '../src/lora/dora.ts'
import { ia3 } from '../src/lora/ia3.ts'
import { lora } from '../src/lora/lora.ts'
import { prefixFromText } from '../src/prefix/from-text.ts'
import { prefix } from '../src/prefix/prefix.ts'
import { pTuning } from '../src/prompt/p-tuning.ts'
import { prompt } from '../src/prompt/prompt.ts'
import { bitFit } from '../src/selective/bitfit.ts'
import { prepareBatches } from '../src/training/batches.ts'
import { embed } from '../src/training/embed.ts'
import type { TrainerEvent } from '../src/training/events.ts'
import { perplexity } from '../src/training/measure.ts'
import { trainTasks } from '../src/training/multi-task.ts'
import { predict } from '../src/training/predict.ts'
import { predictSpans } from '../src/training/predict-spans.ts'
import { predictTokens } from '../src/training/predict-tokens.ts'
import { Trainer } from '../src/training/trainer.ts'
import { goldenPath } from './golden.ts'
import { temporaryFolder } from './temporary-folder.ts'

const folder = temporaryFolder()

const load = (path: string, task: Task): Promise<Model> => loadModel(goldenPath(path), { task })
const ids = [[5, 6, 7, 8], [9], [3, 1, 4]]

function refuseAtOnce(): void {
  const refuse = (): never => { throw new Error('this backend gives no numbers at once') }
  for (const name of ['dataSync', 'arraySync'] as const) vi.spyOn(tf.Tensor.prototype, name).mockImplementation(refuse)
}

beforeEach(refuseAtOnce)
afterEach(() => { vi.restoreAllMocks() })

it('predictions of every kind wait for the numbers of tensors', async () => {
  expect((await predict(await load('bert/sequence_classification', 'sequence-classification'), { ids })).classes).toHaveLength(3)
  expect((await predictTokens(await load('bert/token_classification', 'token-classification'), { ids })).classes).toHaveLength(3)
  expect(await predictSpans(await load('bert/question_answering', 'question-answering'), { ids })).toHaveLength(3)
  expect(await embed(await load('bert/masked_lm', 'sentence-embedding'), { ids })).not.toHaveLength(0)
  expect(await perplexity(await load('gpt2/causal_lm', 'causal-lm'), { ids })).toBeGreaterThan(1)
})

it('a step of training, its guards and the information they hold by wait for the numbers of tensors', async () => {
  const model = await load('bert/sequence_classification', 'sequence-classification')
  const train = { ids, labels: [0, 1, 2] }
  const teacher = await load('bert/sequence_classification', 'sequence-classification')
  const { trainable } = attach(model, lora({ rank: 2 }))
  vi.restoreAllMocks() // what begins a guard looks at the numbers
  const [held, near, memory] = [ewc({ strength: 1 }), l2Sp(trainable, { alpha: 1 }), synapticIntelligence(trainable, { strength: 1 })]
  const information = await diagonalFisher(model, trainable, train)
  held.addTask(trainable, information)
  refuseAtOnce()
  await diagonalFisher(model, trainable, train, { kind: 'sampled' })
  const guards = [held, near, memory, lwf({ teacher: (batch) => teacher.forward(batch) })]
  const events: TrainerEvent[] = []
  await new Trainer({ model, train, evaluate: train, guards, batchSize: 1, accumulate: 2 }).fit({ onEvent: (event) => events.push(event) })
  expect(events.map(({ type }) => type)).toEqual(expect.arrayContaining(['step', 'evaluate']))
  for await (const { losses } of trainTasks({ model, tasks: [{ name: 'it', adapters: ['default'], train: prepareBatches(train, { batchSize: 2 }) }], steps: 1 })) {
    expect(losses['it']).toBeGreaterThan(0)
  }
})

it('every method is attached, runs and is saved without numbers at once', async () => {
  const model = await load('bert/sequence_classification', 'sequence-classification')
  const methods: Record<string, Method> = {
    dora: dora({ rank: 2 }), olora: lora({ rank: 2, init: 'olora' }), pissa: lora({ rank: 2, init: 'pissa' }), search: lora({ rank: 2, init: { kind: 'pissa', iterations: 2 } }),
    biases: lora({ rank: 2, bias: 'all' }), ia3: ia3(), bottleneck: bottleneck(), bitfit: bitFit(), words: prompt({ init: { ids: [5, 6] } }), drawn: prompt({ init: 'vocabulary' }),
    network: pTuning({ virtualTokens: 2 }), text: prefix({ init: await prefixFromText(model, [5, 6]) }), reparametrized: prefix({ reparametrization: { hiddenSize: 3 } }),
  }
  for (const [name, method] of Object.entries(methods)) {
    const adapter = attach(model, method, { name })
    model.forward({ ids: Int32Array.of(5, 6), batch: 1, length: 2 }).dispose()
    await adapter.save(folder(name))
    detach(adapter)
  }
})

it('positions that go by the longest text of padded rows are found without its tensors', async () => {
  const model = await load('llama/rope_dynamic', 'feature-extraction')
  model.forward({ ids: Int32Array.of(5, 6, 7, 8), mask: Int32Array.of(1, 1, 1, 0), batch: 1, length: 4 }).dispose()
})
