// Against transformers: golden/make_generation_config.py.

import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { DONE, IDLE, REFUSED } from '../../../src/base/generate/fields.ts'
import { candidatesOf } from '../../../src/base/generate/sample.ts'
import { settingsOf, type GenerateOptions } from '../../../src/base/generate/settings.ts'
import { generate } from '../../../src/base/generate/generate.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import type { Model } from '../../../src/base/model.ts'
import { CheckpointError, InputError } from '../../../src/errors.ts'
import { goldenPath, largestDifference, readGolden, type Golden } from '../../golden.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

interface Case {
  readonly file: Readonly<Record<string, unknown>>
  readonly rows: readonly (readonly number[])[]
  readonly newTokens: number
  readonly tokens: readonly (readonly number[])[]
}

const temporary = temporaryFolder()
let cases: readonly Case[]
let golden: Golden

beforeAll(async () => {
  cases = (JSON.parse(await readFile(goldenPath('generation/rules/cases.json'), 'utf8')) as { readonly cases: readonly Case[] }).cases
  golden = await readGolden('generation/rules/golden.safetensors')
  await cp(goldenPath('gpt2/causal_lm'), temporary(), { recursive: true })
})

/** Runs with the model beside such a generation_config.json, or beside none and settings in its config.json. */
async function using(files: { readonly generation?: object; readonly config?: object }, run: (model: Model) => void | Promise<void>): Promise<void> {
  const config = JSON.parse(await readFile(goldenPath('gpt2/causal_lm/config.json'), 'utf8')) as object
  await writeFile(temporary('config.json'), JSON.stringify({ ...config, ...files.config }))
  await rm(temporary('generation_config.json'), { force: true })
  if (files.generation !== undefined) await writeFile(temporary('generation_config.json'), JSON.stringify(files.generation))
  const model = await loadModel(temporary(), { task: 'causal-lm' })
  try {
    await run(model)
  } finally {
    model.dispose()
  }
}

async function collect(model: Model, rows: Case['rows'], options: GenerateOptions): Promise<number[][]> {
  const found: number[][] = rows.map(() => [])
  const prompt = { ids: Int32Array.from(rows.flat()), batch: rows.length, length: rows[0]?.length ?? 0 }
  for await (const next of generate(model, prompt, options)) next.forEach((id, i) => id !== undefined && found[i]?.push(id))
  return found
}

function logSoftmax(scores: ArrayLike<number>): number[] {
  const all = Array.from(scores)
  const most = Math.max(...all)
  const sum = Math.log(all.reduce((total, score) => total + Math.exp(score - most), 0))
  return all.map((score) => score - most - sum)
}

/** By place; what is −∞ in one must be in both. */
function expectAlike(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  const finite = Array.from(expected).flatMap((score, i) => (Number.isFinite(score) ? [i] : []))
  expect(Array.from(actual).flatMap((score, i) => (Number.isFinite(score) ? [i] : []))).toEqual(finite)
  expect(largestDifference(finite.map((i) => actual[i] ?? NaN), finite.map((i) => expected[i] ?? NaN))).toBeLessThan(tolerance)
}

describe('the fields of GenerationConfig', () => {
  it('are each done, refused or without effect, and nothing else is in the lists', async () => {
    const { fields } = JSON.parse(await readFile(goldenPath('generation/fields.json'), 'utf8')) as { readonly fields: Readonly<Record<string, unknown>> }
    const listed = [DONE, REFUSED, IDLE].flatMap((list) => Object.keys(list))
    expect(listed.sort()).toEqual(Object.keys(fields).sort())
    for (const [name, { off }] of Object.entries(REFUSED)) expect([null, ...off]).toContain(fields[name])
  })

  it('with their defaults in the file change nothing', async () => {
    const { fields } = JSON.parse(await readFile(goldenPath('generation/fields.json'), 'utf8')) as { readonly fields: object }
    const [plain] = cases
    await using({ generation: fields }, async (model) => {
      expect(await collect(model, plain?.rows ?? [], { maxNewTokens: 6 })).toEqual(plain?.tokens)
    })
  })
})

describe('generation_config.json', () => {
  it('gives the scores that transformers chooses from', async () => {
    for (const [number, { file, rows, newTokens, tokens }] of cases.entries()) {
      await using({ generation: file }, (model) => {
        const settings = settingsOf(model, { maxNewTokens: newTokens })
        const [prompt = []] = rows
        const row = [...prompt]
        const [steps = 0, V = 0] = golden.shape(`${number}/logits`)
        for (let step = 0; step < steps; step++) {
          const scores = Float32Array.from(golden.numbers(`${number}/logits`).subarray(step * V, (step + 1) * V))
          const expected = golden.numbers(`${number}/scores`).subarray(step * V, (step + 1) * V)
          for (const rule of settings.rules) rule(scores, row, prompt.length)
          if (file['do_sample'] === true) {
            const { ids, weights } = candidatesOf(scores, settings)
            const found = new Array<number>(V).fill(-Infinity)
            ids.forEach((id, i) => (found[id] = Math.log(weights[i] ?? NaN)))
            expectAlike(logSoftmax(found), logSoftmax(expected), 2e-5)
          } else if (file['renormalize_logits'] === true) expectAlike(logSoftmax(scores), expected, 2e-5)
          else expectAlike(scores, expected, 2e-5)
          row.push(tokens[0]?.[step] ?? NaN)
        }
      })
    }
  })

  it('gives the tokens of transformers where nothing is drawn, and the same from options', async () => {
    for (const { file, rows, newTokens, tokens } of cases.filter((one) => one.file['do_sample'] !== true)) {
      await using({ generation: file }, async (model) => {
        expect({ file, tokens: await collect(model, rows, { maxNewTokens: newTokens }) }).toEqual({ file, tokens })
      })
      const { eos_token_id: stop, ...rest } = file
      if (Object.keys(rest).some((name) => !(name in DONE) || DONE[name] === '' || ['min_length', 'temperature', 'top_k'].includes(name))) continue
      const options = Object.fromEntries(Object.entries(rest).map(([name, value]) => [DONE[name] ?? '', Array.isArray(value) ? value.filter((id) => id !== 99 && id !== -1) as unknown : value]))
      await using({ generation: {} }, async (model) => {
        expect({ options, tokens: await collect(model, rows, { ...options, maxNewTokens: newTokens, stop: [stop ?? []].flat() as number[] }) }).toEqual({ options, tokens })
      })
    }
  })

  it('takes the place of what config.json says, which counts where there is none', async () => {
    const config = { eos_token_id: 18, repetition_penalty: 1.5, do_sample: true, temperature: 0.5 }
    const settings = (model: Model): unknown => {
      const { temperature, topK, rules, ends } = settingsOf(model, { maxNewTokens: 1 })
      return { temperature, topK, rules: rules.length, ends: ends([5, 18]) }
    }
    await using({ config }, (model) => { expect(settings(model)).toEqual({ temperature: 0.5, topK: 50, rules: 1, ends: true }) })
    await using({ config, generation: {} }, (model) => { expect(settings(model)).toEqual({ temperature: 0, topK: 50, rules: 0, ends: false }) })
    await using({ config, generation: { do_sample: true, top_k: 0 } }, (model) => { expect(settings(model)).toEqual({ temperature: 1, topK: 37, rules: 0, ends: false }) })
    await using({ config: { num_beams: 4 } }, (model) => {
      expect(() => generate(model, [1], { maxNewTokens: 1 })).toThrow(new CheckpointError(`${temporary('config.json')} cannot be used as settings of generation:`, [
        'num_beams: expected 1, got 4, which is not supported; tokens are chosen one by one, greedily or by drawing',
      ]))
    })
  })

  it('is refused with everything that is wrong, and can be left out', async () => {
    const generation = {
      num_beams: 4, penalty_alpha: 0.6, guidance_scale: 2, watermarking_config: {}, token_healing: true, top_h: 0.4, dola_layers: 'low',
      max_time: 3, num_return_sequences: 2, cache_implementation: 'quantized', do_sample: 'yes', temperature: '0.7', top_k: 5.5, top_p: 1.5,
      min_p: -1, typical_p: 0, epsilon_cutoff: 1, eta_cutoff: null, repetition_penalty: 0, no_repeat_ngram_size: -1, bad_words_ids: [[]],
      sequence_bias: { 5: -1 }, min_new_tokens: '2', min_length: -3, suppress_tokens: 'all', begin_suppress_tokens: [1.5], eos_token_id: [null],
      stop_strings: [3], forced_bos_token_id: 37, forced_eos_token_id: [-1], exponential_decay_length_penalty: [1], remove_invalid_values: 1,
    }
    await using({ generation }, (model) => {
      expect(() => generate(model, [1], { maxNewTokens: 1 })).toThrow(new CheckpointError(`${temporary('generation_config.json')} cannot be used as settings of generation:`, [
        'num_beams: expected 1, got 4, which is not supported; tokens are chosen one by one, greedily or by drawing',
        'penalty_alpha: expected 0, got 0.6, which is not supported; tokens are chosen one by one, greedily or by drawing',
        'dola_layers: expected none, got "low", which is not supported; tokens are chosen one by one, greedily or by drawing',
        'num_return_sequences: expected 1, got 2, which is not supported; give generate a batch with the prompt as often as there are to be answers',
        'top_h: expected none, got 0.4, which is not supported; minP and etaCutoff cut by the shape of the distribution too',
        'guidance_scale: expected 1, got 2, which is not supported; the model is run once for each token',
        'token_healing: expected false, got true, which is not supported; end the prompt before the token that is cut',
        'watermarking_config: expected none, got {}, which is not supported; texts are not marked',
        'max_time: expected none, got 3, which is not supported; leave the loop over generate when the time is over',
        'cache_implementation: expected "dynamic" or "static" or "offloaded" or "offloaded_static" or "sliding_window" or "hybrid" or ' +
          '"hybrid_chunked" or "offloaded_hybrid" or "offloaded_hybrid_chunked", got "quantized", which is not supported; keys and values are kept as they are',
        'do_sample: expected true or false, got "yes"',
        'temperature: expected a number of at least 0, got "0.7"',
        'top_k: expected an integer of at least 0, got 5.5',
        'top_p: expected a number of at least 0 and of at most 1, got 1.5',
        'min_p: expected a number of at least 0 and of at most 1, got -1',
        'typical_p: expected a number above 0 and of at most 1, got 0',
        'epsilon_cutoff: expected a number of at least 0 and below 1, got 1',
        'repetition_penalty: expected a number above 0, got 0',
        'no_repeat_ngram_size: expected an integer of at least 0, got -1',
        'bad_words_ids: expected lists of token ids below 37, got [[]]',
        'sequence_bias: expected pairs of a list of token ids below 37 and a number, got {"5":-1}',
        'min_new_tokens: expected an integer of at least 0, got "2"',
        'suppress_tokens: expected a list of integers, got "all"',
        'begin_suppress_tokens: expected a list of integers, got [1.5]',
        'eos_token_id: expected a list of integers, got [null]',
        'stop_strings: expected a list of texts, got [3]',
        'min_length: expected an integer of at least 0, got -3',
        'forced_bos_token_id: expected an integer of at least 0 and below 37, got 37',
        'forced_eos_token_id: expected a list of integers of at least 0 and below 37, got [-1]',
        'remove_invalid_values: expected true or false, got 1',
        'exponential_decay_length_penalty: expected a number of new tokens and a factor, got [1]',
        'exponential_decay_length_penalty: expected an eos_token_id, which it makes likelier, got none',
      ]))
    })
    await using({ generation: { num_beams: 4, repetition_penalty: 3, eos_token_id: 31 } }, async (model) => {
      expect(await collect(model, [[5, 9, 11]], { maxNewTokens: 8, fileSettings: false })).toEqual([[31]])
    })
    await using({ generation: { do_sample: true, temperature: 0 } }, (model) => {
      expect(() => generate(model, [1], { maxNewTokens: 1 })).toThrow(new CheckpointError(`${temporary('generation_config.json')} cannot be used as settings of generation:`, [
        'temperature: expected a number above 0 where do_sample is true, got 0',
      ]))
    })
    await using({ generation: { stop_strings: ['end'] } }, (model) => {
      expect(() => generate(model, [1], { maxNewTokens: 1 })).toThrow("stopStrings: they need the model's tokenizer, as in { tokenizer }")
    })
  })
})

it('options that cannot be used are told all at once', async () => {
  await using({}, (model) => {
    const options = {
      maxNewTokens: 2, minNewTokens: 3, badWords: [[37]], sequenceBias: [[[1], Infinity]] as const, suppressTokens: [-1], noRepeatNgramSize: 1.5, minP: NaN, typicalP: 2,
    }
    expect(() => generate(model, [1], options)).toThrow(new InputError('generate: the options cannot be used:', [
      'minP: expected a number of at least 0 and of at most 1, got NaN',
      'typicalP: expected a number above 0 and of at most 1, got 2',
      'noRepeatNgramSize: expected an integer of at least 0, got 1.5',
      'badWords: expected lists of token ids below 37, got [[37]]',
      'sequenceBias: expected pairs of a list of token ids below 37 and a number, got [[[1],null]]',
      'suppressTokens: expected a list of integers of at least 0 and below 37, got [-1]',
      'minNewTokens: expected at most the 2 of maxNewTokens, got 3',
      'minP, typicalP: what is drawn from, and with temperature 0 nothing is; give a temperature',
    ]))
    const cut = [1.5, '3', null] as unknown as number[]
    expect(() => generate(model, cut, { maxNewTokens: 1 })).toThrow(new InputError('generate: the prompt cannot be continued:', [
      'token 0: expected a token id, got 1.5', 'token 1: expected a token id, got "3"', 'token 2: expected a token id, got null',
    ]))
  })
})

it('where every token is forbidden, an error says so', async () => {
  await using({}, async (model) => {
    const all = Array.from({ length: 37 }, (_, id) => id)
    for (const temperature of [0, 1]) {
      await expect(collect(model, [[5]], { maxNewTokens: 1, suppressTokens: all, temperature })).rejects.toThrow(
        new InputError('generate: no token may come next: suppressTokens, badWords, noRepeatNgramSize and the like forbid all of them.'))
    }
  })
})
