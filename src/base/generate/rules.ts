// Rules on the scores of the next token, in transformers' order. A row is its text alone: padding never counts.

/** A sequence of tokens, and what its last one's score gets where the row ends with those before it. */
export type SequenceBias = readonly [tokens: readonly number[], bias: number]

export interface RuleSettings {
  readonly repetitionPenalty: number
  readonly noRepeatNgramSize: number
  readonly sequenceBias: readonly SequenceBias[]
  readonly badWords: readonly (readonly number[])[]
  /** Of the whole text, prompt included. */
  readonly minLength: number
  readonly minNewTokens: number
  readonly suppressTokens: readonly number[]
  readonly beginSuppressTokens: readonly number[]
  /** The second token of a text, where the prompt is the first alone. */
  readonly forcedFirst: number | undefined
  /** The last new token of all. */
  readonly forcedLast: readonly number[]
  readonly removeInvalid: boolean
  /** From so many new tokens on the ends of a text become likelier by this factor to the power of the tokens since. */
  readonly decay: { readonly start: number; readonly factor: number } | undefined
  /** What ends a text. */
  readonly stop: readonly number[]
  readonly maxNewTokens: number
}

/** Changes the scores of a row's next token. @param prompt how many of the row's tokens are the prompt */
export type Rule = (scores: Float32Array, row: readonly number[], prompt: number) => void

/** The rules that the settings ask for. */
export function rulesOf(settings: RuleSettings): readonly Rule[] {
  const { repetitionPenalty, noRepeatNgramSize: ngram, sequenceBias, minLength, minNewTokens, maxNewTokens, stop, decay } = settings
  const { suppressTokens, beginSuppressTokens, forcedFirst, forcedLast, removeInvalid } = settings
  const isStop = (words: readonly number[]): boolean => words.length === 1 && stop.includes(words[0] ?? -1)
  const badWords = settings.badWords.filter((words) => !isStop(words)).map((words) => [words, -Infinity] as const)
  const rules: readonly (readonly [asked: boolean, rule: Rule])[] = [
    [sequenceBias.length > 0, biased(sequenceBias)],
    [repetitionPenalty !== 1, (scores, row) => { penalise(scores, row, repetitionPenalty) }],
    [ngram > 0, (scores, row) => { forbidRepeats(scores, row, ngram) }],
    [badWords.length > 0, biased(badWords)],
    [minLength > 0, (scores, row) => { if (row.length < minLength) forbid(scores, stop) }],
    [minNewTokens > 0, (scores, row, prompt) => { if (row.length - prompt < minNewTokens) forbid(scores, stop) }],
    [forcedFirst !== undefined, (scores, row) => { if (row.length === 1) force(scores, [forcedFirst ?? 0]) }],
    [forcedLast.length > 0, (scores, row, prompt) => { if (row.length - prompt === maxNewTokens - 1) force(scores, forcedLast) }],
    [removeInvalid, makeFinite],
    [decay !== undefined, (scores, row, prompt) => { if (decay !== undefined) endSooner(scores, stop, decay.factor, row.length - prompt - decay.start) }],
    [suppressTokens.length > 0, (scores) => { forbid(scores, suppressTokens) }],
    [beginSuppressTokens.length > 0, (scores, row, prompt) => {
      const begin = prompt === 1 && forcedFirst !== undefined ? 1 : 0
      if (row.length - prompt === begin) forbid(scores, beginSuppressTokens)
    }],
  ]
  return rules.filter(([asked]) => asked).map(([, rule]) => rule)
}

/** Makes tokens that are in the row less likely: Keskar et al. 2019, arXiv:1909.05858. */
export function penalise(scores: Float32Array, row: readonly number[], penalty: number): void {
  for (const id of new Set(row)) {
    const score = scores[id] ?? 0
    scores[id] = score < 0 ? score * penalty : score / penalty
  }
}

/** Forbids the tokens that would complete n tokens which the row has already. */
function forbidRepeats(scores: Float32Array, row: readonly number[], n: number): void {
  const from = row.length - n + 1 // of the n − 1 tokens at the end
  for (let start = 0; start < from; start++) {
    let alike = 0
    while (alike < n - 1 && row[start + alike] === row[from + alike]) alike++
    if (alike === n - 1) forbid(scores, [row[start + n - 1] ?? 0])
  }
}

/** Adds to the score of each sequence's last token where the row ends with the tokens before it; of equal sequences the last counts. */
function biased(biases: readonly SequenceBias[]): Rule {
  const sequences = [...new Map(biases.map((one) => [one[0].join(), one])).values()]
  return (scores, row) => {
    const sums = new Map<number, number>()
    for (const [tokens, bias] of sequences) {
      const before = tokens.length - 1
      const last = tokens[before]
      if (last === undefined || before > row.length) continue
      if (tokens.every((token, i) => i === before || row[row.length - before + i] === token)) sums.set(last, (sums.get(last) ?? 0) + bias)
    }
    for (const [id, sum] of sums) scores[id] = (scores[id] ?? 0) + sum
  }
}

function forbid(scores: Float32Array, ids: readonly number[]): void {
  for (const id of ids) if (id >= 0 && id < scores.length) scores[id] = -Infinity
}

function force(scores: Float32Array, ids: readonly number[]): void {
  scores.fill(-Infinity)
  for (const id of ids) scores[id] = 0
}

const LARGEST = 3.4028234663852886e38 // of float32

function makeFinite(scores: Float32Array): void {
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i] ?? 0
    if (!Number.isFinite(score)) scores[i] = Number.isNaN(score) ? 0 : Math.sign(score) * LARGEST
  }
}

function endSooner(scores: Float32Array, stop: readonly number[], factor: number, late: number): void {
  if (late <= 0) return
  for (const id of stop) {
    const score = scores[id] ?? 0
    if (Number.isFinite(score)) scores[id] = score + Math.abs(score) * (factor ** late - 1)
  }
}
