import type { Cost } from './cost.ts'

/** What a training has cost, in a line. */
export function shownCost({ seconds, tokens, operations, memory, joules, energySource, gramsOfCo2 }: Cost): string {
  return [
    `${seconds.toFixed(1)} s`, `${tokens} tokens`, `${prefixed(operations)}FLOP`, `${(memory / 2 ** 20).toFixed(0)} MiB`,
    ...(joules === undefined ? [] : [`${prefixed(joules)}J (${energySource ?? ''})`]), ...(gramsOfCo2 === undefined ? [] : [`${gramsOfCo2.toPrecision(2)} g CO2`]),
  ].join(', ')
}

const PREFIXES = ['', 'k', 'M', 'G', 'T', 'P', 'E']

/** Three digits and the prefix of SI, as in '1.25 G'. */
export function prefixed(value: number): string {
  const power = Math.min(PREFIXES.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(value, 1)) / 3)))
  return `${(value / 1000 ** power).toPrecision(3)} ${PREFIXES[power] ?? ''}`
}
