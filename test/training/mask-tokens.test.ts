import { describe, expect, it } from 'vitest'
import { InputError } from '../../src/errors.ts'
import { prepareBatches, type PaddedBatch } from '../../src/training/batches.ts'
import { nextTokenLabels } from '../../src/base/tasks/next-token.ts'
import { maskTokens, type MaskOptions } from '../../src/training/mask-tokens.ts'

const PAD = 0, CLS = 1, SEP = 2, MASK = 3
/** Ids from 4 on are words; every third one goes on with the word before it. */
const tokenizer: MaskOptions['tokenizer'] = {
  maskId: MASK, specialIds: [PAD, CLS, SEP, MASK], vocabSize: 1000, idToToken: (id) => (id > 3 && id % 3 === 0 ? `##t${id}` : `t${id}`),
}

const rows = Array.from({ length: 200 }, (_, row) => [CLS, ...Array.from({ length: 20 + (row % 60) }, (_, i) => 4 + ((row * 131 + i * 37) % 996)), SEP])

function masked(options: Partial<MaskOptions> = {}, { epoch = 0, batchSize = 16, order = undefined as readonly number[] | undefined } = {}): PaddedBatch[] {
  return [...prepareBatches({ ids: rows }, {
    batchSize, transform: maskTokens({ tokenizer, ...options }), ...(order === undefined ? {} : { order }),
  }).epoch(epoch)]
}

interface Token {
  readonly original: number
  readonly shown: number
  readonly chosen: boolean
}

/** The tokens of each row, padding left out. */
function byRow(batches: readonly PaddedBatch[]): Map<number, Token[]> {
  return new Map(batches.flatMap(({ ids = new Int32Array(), labels = new Int32Array(), rows: numbers, length }) =>
    Array.from(numbers, (number, i) => {
      const original = rows[number] ?? []
      const row = [ids, labels].map((values) => values.subarray(i * length, (i + 1) * length))
      const [shown = ids, label = labels] = row
      expect(row.map((values) => values.subarray(original.length).find((value) => value !== PAD && value !== -100))).toEqual([undefined, undefined])
      expect(original.every((id, t) => label[t] === id || label[t] === -100)).toBe(true)
      return [number, original.map((id, t) => ({ original: id, shown: shown[t] ?? NaN, chosen: label[t] === id }))] as const
    })))
}

describe('maskTokens', () => {
  it('chooses 15 % of the tokens; 80 % of those are masked, 10 % random, 10 % left', () => {
    const tokens = [...byRow(masked()).values()].flat().filter(({ original }) => original > 3)
    const chosen = tokens.filter(({ chosen }) => chosen)
    const near = (count: number, of: number, share: number): void => {
      expect(Math.abs(count - of * share)).toBeLessThan(4 * Math.sqrt(of * share * (1 - share))) // four standard deviations
    }
    near(chosen.length, tokens.length, 0.15)
    near(chosen.filter(({ shown }) => shown === MASK).length, chosen.length, 0.8)
    near(chosen.filter(({ shown, original }) => shown === original).length, chosen.length, 0.1)
    const random = chosen.filter(({ shown, original }) => shown !== MASK && shown !== original)
    near(random.length, chosen.length, 0.1)
    near(random.filter(({ shown }) => shown < 500).length, random.length, 0.5)
    expect(tokens.filter(({ chosen }) => !chosen).every(({ shown, original }) => shown === original)).toBe(true)
  })

  it('chooses one word of a batch in which chance chose none, and none where none is asked for', () => {
    const short = Array.from({ length: 300 }, (_, row) => [CLS, 4 + 3 * row, 6 + 3 * row, 7 + 3 * row, SEP]) // two words, the first of two tokens
    const chosenIn = (options: Partial<MaskOptions>): number[] =>
      [...prepareBatches({ ids: short }, { batchSize: 3, transform: maskTokens({ tokenizer, ...options }) }).epoch(0)].map(({ labels }) => Array.from(labels ?? []).filter((label) => label !== -100).length)
    expect(Math.min(...chosenIn({ probability: 0.01 }))).toBe(1)
    const words = chosenIn({ probability: 0.01, wholeWords: true })
    expect(Math.min(...words)).toBe(1)
    expect(words).toContain(2)
    expect(Math.max(...words)).toBeLessThan(5)
    expect(new Set(chosenIn({ probability: 0 }))).toEqual(new Set([0]))
  })

  it('never chooses special tokens', () => {
    const tokens = [...byRow(masked({ probability: 1 })).values()].flat()
    expect(tokens.every(({ original, chosen }) => chosen === (original > 3))).toBe(true)
  })

  it('keeps to shares of its own', () => {
    const tokens = [...byRow(masked({ probability: 1, masked: 0, random: 0 })).values()].flat()
    expect(tokens.every(({ original, shown }) => original === shown)).toBe(true)
  })

  it('chooses whole words on request, each with 15 %', () => {
    let torn = 0
    let words = 0
    let chosenWords = 0
    for (const row of byRow(masked({ wholeWords: true })).values()) {
      row.forEach(({ original, chosen }, i) => {
        if (original <= 3) return
        const before = row[i - 1]
        const goesOn = original % 3 === 0 && before !== undefined && before.original > 3
        if (goesOn) torn += chosen === before.chosen ? 0 : 1
        else {
          words += 1
          chosenWords += chosen ? 1 : 0
        }
      })
    }
    expect(torn).toBe(0)
    expect(Math.abs(chosenWords - words * 0.15)).toBeLessThan(4 * Math.sqrt(words * 0.15 * 0.85))
  })

  it('knows the words of vocabularies that mark their beginnings', () => {
    const byteLevel = { ...tokenizer, idToToken: (id: number) => (id % 2 === 0 ? `Ġt${id}` : `t${id}`) }
    const torn = [...byRow(masked({ tokenizer: byteLevel, wholeWords: true })).values()].flatMap((row) => row.filter(({ original, chosen }, i) => {
      const before = row[i - 1]
      return original > 3 && original % 2 === 1 && before !== undefined && before.original > 3 && chosen !== before.chosen
    }))
    expect(torn).toEqual([])
  })

  it('chooses others in each epoch and for each seed, and the same ones again, whatever batch the row is in', () => {
    const first = byRow(masked())
    expect(byRow(masked())).toEqual(first)
    expect(byRow(masked({}, { epoch: 1 }))).not.toEqual(first)
    expect(byRow(masked({ seed: 1 }))).not.toEqual(first)
    const turned = byRow(masked({}, { batchSize: 7, order: Array.from(rows, (_, i) => rows.length - 1 - i) }))
    expect([...turned].sort(([a], [b]) => a - b)).toEqual([...first])
  })

  it('refuses options that make no sense, all at once', () => {
    const wrong = (): unknown => maskTokens({ tokenizer: { ...tokenizer, maskId: undefined }, probability: 1.5, masked: 0.9, random: 0.2, seed: 0.5 })
    expect(wrong).toThrow(InputError)
    expect(wrong).toThrow([
      'maskTokens: the options cannot be used:',
      '  - probability: expected a share from 0 to 1, got 1.5',
      '  - masked + random: expected a share from 0 to 1, got 1.1',
      '  - tokenizer: expected one with a mask token; name it as "mask_token" in tokenizer_config.json',
      '  - seed: expected an integer, got 0.5',
    ].join('\n'))
  })
})

describe('nextTokenLabels', () => {
  it.each([
    ['right', [-100, 6, 7, -100, 9, -100]],
    ['left', [-100, 6, 7, -100, -100, 9]],
  ] as const)('labels tokens with their ids, but for padding and the first one of a row: padded %s', (paddingSide, expected) => {
    const [batch] = prepareBatches({ ids: [[5, 6, 7], [8, 9]] }, { batchSize: 2, paddingSide, transform: nextTokenLabels }).epoch(0)
    expect(batch?.labels).toEqual(Int32Array.from(expected))
  })
})
