import { loadModel } from '../src/base/load.ts'
import { lora } from '../src/lora/lora.ts'
import { contract, type MethodRow, type ModelRow } from './contract.ts'
import { goldenPath } from './golden.ts'

const METHODS: readonly MethodRow[] = [
  { name: 'LoRA', method: () => lora({ rank: 4, alpha: 8 }), identity: true, mergeable: true },
  { name: 'LoRA, all-linear with dropout', method: () => lora({ targets: 'all-linear', dropout: 0.1 }), identity: true, mergeable: true },
  {
    name: 'LoRA, rank stabilised, patterns',
    method: () => lora({ rank: 4, rankStabilized: true, targets: ['query', 'value'], rankPattern: { value: 2 }, alphaPattern: { '1.*query': 3 } }),
    identity: true,
    mergeable: true,
  },
]

const tokens = {
  ids: Int32Array.from({ length: 4 * 7 }, (_, i) => 1 + ((i * 11) % 31)),
  mask: Int32Array.from({ length: 4 * 7 }, (_, i) => (i % 7 < 4 + (Math.floor(i / 7) % 4) ? 1 : 0)),
  batch: 4,
  length: 7,
}

const MODELS: readonly ModelRow[] = [
  {
    name: 'BERT, sequence classification',
    load: () => loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['a', 'b', 'c'] }),
    batch: { ...tokens, labels: Int32Array.of(0, 2, 1, 1) },
  },
  {
    name: 'BERT, sequence classification on the mean of the tokens',
    load: () => loadModel(goldenPath('bert/odd_sizes'), { task: 'sequence-classification', labels: ['a', 'b'], pooling: 'mean' }),
    batch: { ...tokens, labels: Int32Array.of(0, 1, 1, 0) },
  },
  {
    name: 'BERT, token classification',
    load: () => loadModel(goldenPath('bert/token_classification'), { task: 'token-classification' }),
    batch: { ...tokens, labels: tokens.mask.map((bit, i) => (bit === 1 ? i % 5 : -100)) },
  },
  {
    name: 'BERT, masked LM',
    load: () => loadModel(goldenPath('bert/masked_lm'), { task: 'masked-lm' }),
    batch: { ...tokens, labels: tokens.ids.map((id, i) => (i % 3 === 0 && tokens.mask[i] === 1 ? id : -100)) },
  },
]

for (const model of MODELS) for (const method of METHODS) contract(method, model)
