// Against transformers: golden/make_generation.py.

import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { generate } from '../../../src/base/generate/generate.ts'
import { penalise } from '../../../src/base/generate/rules.ts'
import { candidatesOf } from '../../../src/base/generate/sample.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import type { Model } from '../../../src/base/model.ts'
import { randomStream } from '../../../src/base/random.ts'
import { goldenPath, valuesOf } from '../../golden.ts'

interface Call {
  readonly options?: Readonly<Partial<Record<'temperature' | 'top_k' | 'top_p' | 'repetition_penalty', number>>>
  readonly file?: object
  readonly probabilities: readonly number[]
}

interface GenerationGolden {
  readonly sampling: { readonly prompt: readonly number[]; readonly calls: readonly Call[] }
  readonly ended: { readonly file: object; readonly rows: readonly (readonly number[])[]; readonly maxNewTokens: number; readonly tokens: readonly (readonly number[])[] }
}

let model: Model
let golden: GenerationGolden
let folder: string

const NO_CUTOFFS = { minP: 0, typicalP: 1, epsilonCutoff: 0, etaCutoff: 0 }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'generate-'))
  await cp(goldenPath('gpt2/causal_lm'), folder, { recursive: true })
  model = await loadModel(folder, { task: 'causal-lm' })
  golden = JSON.parse(await readFile(goldenPath('generation/golden.json'), 'utf8')) as GenerationGolden
})

afterAll(async () => {
  model.dispose()
  await rm(folder, { recursive: true })
})

/** With the model as it is loaded beside such a file. */
async function withFile<T>(file: object | string, run: (model: Model) => Promise<T>): Promise<T> {
  const path = join(folder, 'generation_config.json')
  await writeFile(path, typeof file === 'string' ? file : JSON.stringify(file))
  try {
    const loaded = await loadModel(folder, { task: 'causal-lm' })
    return await run(loaded).finally(() => { loaded.dispose() })
  } finally {
    await rm(path)
  }
}

const optionsOf = ({ options = {} }: Call): { temperature: number; topK?: number; topP?: number; repetitionPenalty?: number } => ({
  temperature: options.temperature ?? 1,
  ...(options.top_k === undefined ? {} : { topK: options.top_k }),
  ...(options.top_p === undefined ? {} : { topP: options.top_p }),
  ...(options.repetition_penalty === undefined ? {} : { repetitionPenalty: options.repetition_penalty }),
})

/** Σ (seen − expected)² / expected over what can be drawn; with that many draws almost surely below df + 4 √(2 df). */
function expectDrawnFrom(counts: readonly number[], probabilities: readonly number[]): void {
  const draws = counts.reduce((sum, count) => sum + count, 0)
  let statistic = 0
  let freedom = -1
  let rare = { seen: 0, expected: 0 } // cells of few draws are taken together
  const cell = (seen: number, expected: number): void => {
    statistic += (seen - expected) ** 2 / expected
    freedom++
  }
  probabilities.forEach((p, id) => {
    const [seen, expected] = [counts[id] ?? 0, p * draws]
    if (p === 0) expect(seen).toBe(0)
    else if (expected >= 8) cell(seen, expected)
    else rare = { seen: rare.seen + seen, expected: rare.expected + expected }
  })
  if (rare.expected > 0) cell(rare.seen, rare.expected)
  expect(statistic).toBeLessThanOrEqual(freedom + 4 * Math.sqrt(2 * freedom))
}

/** How often each token comes first behind the prompt, in 4,000 rows. */
async function countsOf(options: object, from = model): Promise<number[]> {
  const { prompt } = golden.sampling
  const batch = 4000
  const ids = Int32Array.from({ length: batch * prompt.length }, (_, i) => prompt[i % prompt.length] ?? 0)
  const counts = new Array<number>(37).fill(0)
  for await (const tokens of generate(from, { ids, batch, length: prompt.length }, { maxNewTokens: 1, seed: 11, stop: [], ...options })) {
    for (const id of tokens) if (id !== undefined) counts[id] = (counts[id] ?? 0) + 1
  }
  return counts
}

describe('sampling', () => {
  it('gives each token the probability it has in transformers', () => {
    const { prompt, calls } = golden.sampling
    const ids = Int32Array.from(prompt)
    const logits = tf.tidy(() => [...valuesOf(model.forward({ ids, batch: 1, length: prompt.length }))].slice(-37))
    for (const call of calls.filter(({ options }) => options !== undefined)) {
      const { temperature, topK = 37, topP = 1, repetitionPenalty = 1 } = optionsOf(call)
      const scores = Float32Array.from(logits)
      penalise(scores, prompt, repetitionPenalty)
      const candidates = candidatesOf(scores, { temperature, topK, topP, ...NO_CUTOFFS })
      const total = candidates.weights.reduce((sum, weight) => sum + weight, 0)
      const found = new Array<number>(37).fill(0)
      candidates.ids.forEach((id, i) => (found[id] = (candidates.weights[i] ?? 0) / total))
      found.forEach((p, id) => expect(p, `${JSON.stringify(call.options)} ${id}`).toBeCloseTo(call.probabilities[id] ?? NaN, 5))
    }
  })

  it('draws as often as those probabilities say', async () => {
    for (const call of golden.sampling.calls) {
      const counts = call.file === undefined ? await countsOf(optionsOf(call)) : await withFile(call.file, (loaded) => countsOf({}, loaded))
      expectDrawnFrom(counts, call.probabilities)
    }
  }, 60_000)

  it('notices a wrong distribution', async () => {
    const [call] = golden.sampling.calls
    const counts = await countsOf({ temperature: 1.15 })
    expect(() => expectDrawnFrom(counts, call?.probabilities ?? [])).toThrow()
  })

  it('finds the likeliest tokens of a large vocabulary as sorting it does', () => {
    const draw = randomStream(5, 'scores')
    for (const spread of [0, 1, 12]) {
      const scores = Float32Array.from({ length: 5000 }, () => (spread * draw()) / 2 ** 32)
      const order = [...scores.keys()].sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0))
      const sorted = order.map((id) => scores[id] ?? 0)
      const total = sorted.reduce((sum, score) => sum + Math.exp(score), 0)
      for (const topK of [1, 40, 4999]) {
        const { ids } = candidatesOf(scores, { temperature: 1, topK, topP: 1, ...NO_CUTOFFS })
        expect([...ids].map((id) => scores[id] ?? 0).sort((a, b) => b - a)).toEqual(spread === 0 ? sorted : sorted.slice(0, topK))
      }
      for (const topP of [0.001, 0.5, 0.999]) {
        const { ids, weights } = candidatesOf(scores, { temperature: 1, topK: 5000, topP, ...NO_CUTOFFS })
        let reached = 0
        const needed = sorted.findIndex((score) => (reached += Math.exp(score)) >= topP * total) + 1
        expect(Math.abs(ids.length - needed)).toBeLessThanOrEqual(1) // where sums in another order round otherwise
        expect([...ids].map((id) => scores[id] ?? 0).sort((a, b) => b - a)).toEqual(sorted.slice(0, ids.length))
        expect(weights).toHaveLength(ids.length)
      }
    }
  })
})

describe('generation_config.json', () => {
  it('says how texts end and which tokens are made less likely, as in transformers', async () => {
    const { file, rows, maxNewTokens, tokens } = golden.ended
    const found: number[][] = rows.map(() => [])
    await withFile(file, async (loaded) => {
      const prompt = { ids: Int32Array.from(rows.flat()), batch: rows.length, length: rows[0]?.length ?? 0 }
      for await (const next of generate(loaded, prompt, { maxNewTokens })) next.forEach((id, i) => id !== undefined && found[i]?.push(id))
    })
    expect(found).toEqual(tokens)
  })

  it('gives way to options', async () => {
    const greedy = await countsOf({})
    await withFile({ do_sample: true, temperature: 2, eos_token_id: [1, 2, 3] }, async (loaded) => {
      expect(await countsOf({ temperature: 0 }, loaded)).toEqual(greedy)
      expect(await countsOf({}, loaded)).not.toEqual(greedy)
      expect(await countsOf({ fileSettings: false }, loaded)).toEqual(greedy)
    })
    await withFile({ do_sample: false, temperature: 2, top_k: 3 }, async (loaded) => {
      expect(await countsOf({}, loaded)).toEqual(greedy)
    })
  })

  it('is asked for when the model is loaded, and must be JSON', async () => {
    await expect(withFile('{', async () => { await Promise.resolve() })).rejects.toThrow(/generation_config.json is not valid JSON: .* Expected settings of generation\./)
  })
})
