// Workers and one alone, on each kind of row: a worker's tokens are as many as its rows happen to have, and the mean is over those of all.

import { describe, expect, it } from 'vitest'
import { createModel } from '../../src/base/checkpoint/create.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { ConfigJson } from '../../src/base/architecture.ts'
import type { Model } from '../../src/base/model.ts'
import type { Task } from '../../src/base/tasks/task.ts'
import { lora } from '../../src/lora/lora.ts'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import { embed } from '../../src/training/embed.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { goldenPath } from '../golden.ts'
import { BERT, expectSame, ids, type Setup } from './shared-run.ts'
import { together } from './together.ts'

const made = (config: ConfigJson, task: Task, labels?: readonly string[], more: object = {}) => async (): Promise<Model> =>
  await createModel(config, { task, seed: 4, ...(labels === undefined ? {} : { labels }), ...more })

const LLAMA = {
  model_type: 'llama', vocab_size: 37, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 48, max_position_embeddings: 24, bos_token_id: 0, eos_token_id: 1,
}
const MIXTRAL = { ...LLAMA, model_type: 'mixtral', num_key_value_heads: 2, num_local_experts: 4, num_experts_per_tok: 2, sliding_window: null }
const VIT = { model_type: 'vit', hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, intermediate_size: 48, image_size: 8, patch_size: 4, num_channels: 3, hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 }
const T5 = { model_type: 't5', vocab_size: 37, d_model: 32, d_kv: 8, d_ff: 48, num_layers: 1, num_heads: 4, dropout_rate: 0, decoder_start_token_id: 0, pad_token_id: 0, eos_token_id: 1 }

/** Of each row the first tokens do not count, of some nearly none do. */
const behind = ids.map((row, i) => row.map((id, t) => (t < (i % 3) * 2 ? -100 : id)))
const pixels = ids.map((_, i) => Float32Array.from({ length: 3 * 8 * 8 }, (__, j) => Math.sin(i + j * (1 + (i % 2)))))
const [two, three] = [['a', 'b'], ['x', 'y', 'z']]

const TASKS: Readonly<Record<string, Setup>> = {
  'a causal LM': { base: made(LLAMA, 'causal-lm'), train: { ids } },
  'a causal LM on answers alone': { base: made(LLAMA, 'causal-lm'), train: { ids, tokenLabels: behind } },
  'a causal LM with experts, adapted too': {
    base: made(MIXTRAL, 'causal-lm'), train: { ids }, method: lora({ rank: 2, targets: ['q_proj'], targetParameters: ['experts.gate_up_proj', 'experts.down_proj'] }),
  },
  'a masked LM': { base: made(BERT, 'masked-lm'), train: { ids, tokenLabels: ids.map((row, i) => row.map((id, t) => ((i + t) % 4 === 0 ? id : -100))) } },
  'classes of tokens': { base: made(BERT, 'token-classification', three), train: { ids, tokenLabels: ids.map((row, i) => row.map((id, t) => (t < i % 5 ? -100 : id % 3))) } },
  'answers to questions': {
    base: made(BERT, 'question-answering'), train: { ids, spans: ids.map((row, i): [number, number] => (i % 4 === 0 ? [-100, -100] : [i % 3, row.length - 1])) },
    groups: [{ match: (name) => name.endsWith('qa_outputs.bias'), learningRateScale: 0 }], // one number beside all places: its gradient is rounding alone, which Adam makes large
  },
  'an encoder-decoder': { base: made(T5, 'seq2seq-lm'), train: { ids, targets: ids.map((row, i) => row.slice(0, 1 + (i % 3)).map((id) => (id * 5) % 30 + 2)) } },
  'pictures': { base: made(VIT, 'image-classification', two), train: { pixels, labels: ids.map((_, i) => i % 2) } },
  'numbers': { base: made(BERT, 'sequence-classification', ['price'], { problemType: 'regression' }), train: { ids, labels: ids.map((row) => row.length / 5) } },
  'several labels a row': {
    base: made(BERT, 'sequence-classification', three, { problemType: 'multi_label_classification' }), train: { ids, labels: ids.map((_, i) => [i % 2, (i >> 1) % 2, (i >> 2) % 2]) },
  },
}

describe('workers that share a training', () => {
  it.each(Object.entries(TASKS))('of %s give the losses and weights of one that has all their rows', async (_, setup) => {
    await expectSame(setup, { count: 3 })
    expect.hasAssertions()
  })

  it('of pictures with texts are refused, whose loss compares the rows of a batch', async () => {
    const model = await loadModel(goldenPath('clip/base'), { task: 'image-text' })
    const adapter = attach(model, lora({ rank: 2 }))
    const [distributed] = together(2)
    const size = 3 * 12 * 12
    const train = { ids: ids.slice(0, 4).map((row) => [...row].map((id, t) => (t === row.length - 1 ? 18 : id % 17))), pixels: ids.slice(0, 4).map(() => new Float32Array(size)) }
    expect(() => new Trainer({ model, train, batchSize: 2, ...(distributed === undefined ? {} : { distributed }) })).toThrow(
      "distributed: expected a loss of each row by itself; those of 'image-text' compare the rows of a batch, which workers share out")
    detach(adapter)
    model.dispose()
  })
})

it('workers share out the embedding of texts, and all have the whole', async () => {
  const model = await createModel(BERT, { task: 'sentence-embedding' })
  const alone = await embed(model, { ids }, { batchSize: 4 })
  for (const shared of await Promise.all(together(3).map((distributed) => embed(model, { ids }, { batchSize: 4, distributed })))) expect(shared).toEqual(alone)
  model.dispose()
})
