import { prefix } from '../../src/prefix/prefix.ts'
import { columns, sameLogits, sameTraining, type Peft, type PeftCase } from '../prompt-learning.ts'

const WIDTH = 32

/** Layer after layer, keys and then values. */
function columnOf(name: string): number {
  const [, layer = '', kind = ''] = /layer\.(\d+)\.attention\.self\.(key|value)/.exec(name) ?? []
  return (2 * Number(layer) + (kind === 'key' ? 0 : 1)) * WIDTH
}

function direct(name: string, peft: Peft): ArrayLike<number> {
  return name.startsWith('classifier') ? peft(name).values : columns(peft('embedding.weight'), columnOf(name), WIDTH)
}

const NETWORK: Readonly<Record<string, string>> = {
  embedding: 'embedding.weight',
  hiddenWeight: 'transform.0.weight',
  hiddenBias: 'transform.0.bias',
}

function projected(name: string, peft: Peft): ArrayLike<number> {
  const whole = NETWORK[name]
  if (whole !== undefined || name.startsWith('classifier')) return peft(whole ?? name).values
  const { shape, values } = peft(name.endsWith('Weight') ? 'transform.2.weight' : 'transform.2.bias')
  const rowSize = shape[1] ?? 1
  return Array.from(values).slice(columnOf(name) * rowSize, (columnOf(name) + WIDTH) * rowSize)
}

const CASES: readonly PeftCase[] = [
  { folder: 'prefix/direct', task: 'sequence-classification', method: () => prefix({ virtualTokens: 4 }), peft: direct },
  { folder: 'prefix/tokens', task: 'token-classification', method: () => prefix({ virtualTokens: 3 }), peft: direct },
  {
    folder: 'prefix/projected',
    task: 'sequence-classification',
    method: () => prefix({ virtualTokens: 4, reparametrization: { hiddenSize: 10 } }),
    peft: projected,
  },
]

for (const row of CASES) {
  sameLogits(row)
  sameTraining(row)
}
