import { prefix } from '../../src/prefix/prefix.ts'
import { columns, sameLogits, sameTraining, type PeftCase } from '../prompt-learning.ts'

/** Layer after layer, keys and then values. */
function columnOf(name: string, width: number): number {
  const [, layer = ''] = /\.(\d+)\./.exec(name) ?? []
  return (2 * Number(layer) + (/\.key\w*$/.test(name) ? 0 : 1)) * width
}

/** For keys of some width, all heads together. */
function direct(width: number): PeftCase['peft'] {
  return (name, peft) =>
    name.startsWith('classifier') ? peft(name).values : columns(peft('embedding.weight'), columnOf(name, width), width)
}

const NETWORK: Readonly<Record<string, string>> = {
  embedding: 'embedding.weight',
  hiddenWeight: 'transform.0.weight',
  hiddenBias: 'transform.0.bias',
}

function projected(width: number): PeftCase['peft'] {
  return (name, peft) => {
    const whole = NETWORK[name]
    if (whole !== undefined || name.startsWith('classifier')) return peft(whole ?? name).values
    const { shape, values } = peft(name.endsWith('Weight') ? 'transform.2.weight' : 'transform.2.bias')
    const rowSize = shape[1] ?? 1
    const start = columnOf(name, width)
    return Array.from(values).slice(start * rowSize, (start + width) * rowSize)
  }
}

const CASES: readonly PeftCase[] = [
  { folder: 'prefix/direct', task: 'sequence-classification', method: () => prefix({ virtualTokens: 4 }), peft: direct(32) },
  { folder: 'prefix/tokens', task: 'token-classification', method: () => prefix({ virtualTokens: 3 }), peft: direct(32) },
  {
    folder: 'prefix/projected',
    task: 'sequence-classification',
    method: () => prefix({ virtualTokens: 4, reparametrization: { hiddenSize: 10 } }),
    peft: projected(32),
  },
  { folder: 'prefix/gpt2', base: 'gpt2/causal_lm', task: 'causal-lm', method: () => prefix({ virtualTokens: 4 }), peft: direct(24) },
  {
    folder: 'prefix/llama',
    base: 'llama/causal_lm',
    task: 'causal-lm',
    method: () => prefix({ virtualTokens: 3, reparametrization: { hiddenSize: 10 } }),
    peft: projected(12), // two heads of six share the keys of four
  },
]

for (const row of CASES) {
  sameLogits(row)
  sameTraining(row)
}
