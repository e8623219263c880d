// Random models and adapters, exchanged with transformers and PEFT: what they make is loaded here and gives their numbers,
// what is made here is read by them, key for key, and gives ours.
//
//     npm run peers -- random-exchange                                        with a new seed, which is printed
//     TFJS_PEFT_SEED=7 npm run peers -- random-exchange                       the same cases again
//     TFJS_PEFT_SEED=7 TFJS_PEFT_CASES=12,40 npm run peers -- random-exchange two of them
//     TFJS_PEFT_FAMILIES=t5,vit npm run peers -- random-exchange              of these families alone

import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, describe, inject, it } from 'vitest'
import { PeftError } from '../../src/errors.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { FAMILIES } from './exchange/families.ts'
import { makeHere, readPeers, readResults, type Results } from './exchange/ours.ts'
import { startPeers, type Peers } from './exchange/python.ts'
import { recipeOf, type Maker, type Recipe } from './exchange/recipe.ts'
import { REFUSALS } from './exchange/refusals.ts'

const seed = Number(process.env['TFJS_PEFT_SEED'] ?? Date.now() % 1_000_000)
const only = process.env['TFJS_PEFT_FAMILIES']
const families = only?.split(',') ?? Object.keys(FAMILIES)
const cases = process.env['TFJS_PEFT_CASES']?.split(',').map(Number) ?? Array.from({ length: 300 }, (_, i) => i)

/** Of the largest number of an output. */
const TOLERANCE = 1e-5
/** Where PEFT and we find a start in the weight again: a decomposition in float32 whose error grows where two values are near. */
const START_TOLERANCE = 1e-4
/** Some random models amplify every rounding: no nearer than a few times as far as float32 moves the peers themselves. */
const ROUNDINGS = 4

const temporary = temporaryFolder()
const tally = new Map<string, number>()
let furthestEqual = 0
let peers: Peers

beforeAll(() => {
  peers = startPeers(inject('python'))
})

afterAll(() => {
  peers.stop()
  const lines = [...tally].sort(([, a], [, b]) => b - a).map(([name, count]) => `${String(count).padStart(5)} ${name}`)
  console.log(`random exchange, TFJS_PEFT_SEED=${seed}; equal numbers are up to ${furthestEqual.toExponential(1)} of their size apart\n${lines.join('\n')}`)
})

const count = (name: string): void => {
  tally.set(name, (tally.get(name) ?? 0) + 1)
}

describe.concurrent('models and adapters of transformers and PEFT give their numbers here', () => {
  it.for(cases)('case %i', (number) =>
    run('peers', number, async (recipe, folder) => {
      const { refused, error, trace } = await peers.ask('make', recipe, folder)
      if (error !== undefined) throw new Error(`the peers: ${error}`, { cause: trace })
      if (refused !== undefined) {
        count(`peers refuse: ${(refused.split('\n')[0] ?? '').slice(0, 100)}`)
        return
      }
      const theirs = await readResults(folder)
      compare(recipe, await readPeers(recipe, folder, Object.keys(theirs)), theirs)
      count('made by the peers: equal here')
    }),
  )
})

describe.concurrent('models and adapters made here give the same numbers in transformers and PEFT', () => {
  it.for(cases)('case %i', (number) =>
    run('here', number, async (recipe, folder) => {
      const ours = await makeHere(recipe, folder)
      const { error, trace, problems = [] } = await peers.ask('check', recipe, folder)
      if (error !== undefined) throw new Error(`the peers: ${error}`, { cause: trace })
      if (problems.length > 0) throw new Error(`the peers cannot place: ${problems.join('; ')}`)
      compare(recipe, ours, await readResults(folder))
      count('made here: equal there')
    }),
  )
})

/** Runs a case; a failure is told with all that is needed to see it again. */
async function run(maker: Maker, number: number, exchange: (recipe: Recipe, folder: string) => Promise<void>): Promise<void> {
  const recipe = recipeOf(maker, seed, number, families)
  const folder = temporary(`${maker}-${number}`)
  try {
    await exchange(recipe, folder)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const allowed = error instanceof PeftError ? REFUSALS.find(({ pattern, maker: whose = maker }) => whose === maker && pattern.test(message)) : undefined
    count(allowed === undefined ? 'FAILED' : `refused here: ${allowed.name}`)
    if (allowed !== undefined) return
    const again = `${only === undefined ? '' : `TFJS_PEFT_FAMILIES=${only} `}TFJS_PEFT_SEED=${seed} TFJS_PEFT_CASES=${number} npm run peers -- random-exchange`
    throw new Error(`${message}\n\nRecipe: ${JSON.stringify(recipe)}\nAgain: ${again}`, { cause: error })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Fails where one of the results is further away than float32 explains. */
function compare({ adapter: { options }, batch: { rows, length, mask }, model: { task } }: Recipe, ours: Results, theirs: Results): void {
  const names = Object.keys(theirs).filter((name) => !name.endsWith('.error'))
  if (Object.keys(ours).sort().join() !== names.sort().join()) throw new Error(`results: here ${Object.keys(ours).join()}, there ${names.join()}`)
  const perToken = !['sequence-classification', 'seq2seq-lm', 'image-text'].includes(task) // what a model says at padding is nobody's business, and differs
  const tolerance = /"(pissa|olora)/.test(JSON.stringify(options)) ? START_TOLERANCE : TOLERANCE
  const rounding = Math.max(...names.map((name) => theirs[`${name}.error`]?.[0] ?? NaN))
  const problems: string[] = []
  for (const name of names) {
    const [actual, expected] = [ours[name], theirs[name]] as [Float32Array, Float32Array] // the same names
    if (actual.length !== expected.length) problems.push(`${name}: ${actual.length} numbers here, ${expected.length} there`)
    const width = expected.length / (rows * length)
    const size = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1)
    const furthest = expected.reduce((most, value, i) => {
      if (perToken && mask?.[Math.floor(i / width)] === 0) return most
      const difference = Math.abs(value - (actual[i] ?? NaN))
      return difference <= most ? most : difference // NaN counts as the largest of all
    }, 0)
    if (!(furthest <= Math.max(tolerance * size, ROUNDINGS * rounding))) problems.push(`${name}: ${furthest} away, of numbers up to ${size}; float32 alone moves them by ${rounding}`)
    else furthestEqual = Math.max(furthestEqual, furthest / size)
  }
  if (problems.length > 0) throw new Error(`other numbers: ${problems.join('; ')}`)
}
