import { prompt } from '../../src/prompt/prompt.ts'
import { pTuning } from '../../src/prompt/p-tuning.ts'
import { sameLogits, sameTraining, type PeftCase } from '../prompt-learning.ts'

/** PEFT's names by ours, for one encoder. */
function named(names: Readonly<Record<string, string>>): PeftCase['peft'] {
  return (name, peft) => {
    const local = name.slice(name.lastIndexOf('.') + 1)
    return peft(names[local] ?? name).values
  }
}

const MLP = Object.fromEntries(
  [1, 2, 3].flatMap((i) => [
    [`linear${i}Weight`, `mlp_head.${2 * i - 2}.weight`],
    [`linear${i}Bias`, `mlp_head.${2 * i - 2}.bias`],
  ]),
)

const LSTM = Object.fromEntries(
  [0, 1].flatMap((layer) =>
    ['Forward', 'Backward'].flatMap((direction) =>
      Object.entries({ inputWeight: 'weight_ih', stateWeight: 'weight_hh', inputBias: 'bias_ih', stateBias: 'bias_hh' }).map(([ours, theirs]) => [
        `${ours}${layer}${direction}`,
        `lstm_head.${theirs}_l${layer}${direction === 'Backward' ? '_reverse' : ''}`,
      ]),
    ),
  ),
)

const tokens: PeftCase = {
  folder: 'prompt/tokens',
  task: 'token-classification',
  method: () => prompt({ virtualTokens: 4 }),
  peft: named({ prompt: 'embedding.weight' }),
}

const CASES: readonly PeftCase[] = [
  tokens,
  {
    folder: 'prompt/mlp',
    task: 'token-classification',
    method: () => pTuning({ virtualTokens: 4, hiddenSize: 10 }),
    peft: named({ embedding: 'embedding.weight', ...MLP }),
  },
  {
    folder: 'prompt/lstm',
    task: 'token-classification',
    method: () => pTuning({ virtualTokens: 5, encoder: 'lstm', hiddenSize: 6 }),
    peft: named({ embedding: 'embedding.weight', ...MLP, ...LSTM }),
  },
  { ...tokens, folder: 'prompt/sequence', task: 'sequence-classification', method: () => prompt({ virtualTokens: 4, pooling: 'all' }) },
  {
    folder: 'prompt/gpt2',
    base: 'gpt2/causal_lm',
    task: 'causal-lm',
    method: () => prompt({ virtualTokens: 4 }),
    peft: named({ prompt: 'embedding.weight' }),
  },
  {
    folder: 'prompt/llama',
    base: 'llama/causal_lm',
    task: 'causal-lm',
    method: () => pTuning({ virtualTokens: 3, hiddenSize: 10 }),
    peft: named({ embedding: 'embedding.weight', ...MLP }),
  },
]

for (const row of CASES) {
  sameLogits(row)
  sameTraining(row)
}
