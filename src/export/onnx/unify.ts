// Recordings of one pass at several sizes, as one that holds for any.

import { InputError } from '../../errors.ts'
import { OTHER_WAY, type Given, type Settings } from './form.ts'
import type { Numbers, Recording, Step } from './recorder.ts'
import { explain, type Size, type Sizes } from './sizes.ts'

/** A step at any size. */
export interface AnyStep extends Pick<Step, 'kind' | 'name' | 'inputs'> {
  readonly settings: Settings
  readonly outputs: readonly (Given & { readonly place: number })[]
  readonly numbers?: AnyNumbers
}

/** Numbers that JavaScript has made: the same at all sizes; or from `start` on in steps of `step`, which may be 0. */
export type AnyNumbers =
  | { readonly same: Numbers }
  | { readonly start: Size; readonly step: Size; readonly stop: Size }

/**
 * @param sizes of each recording
 * @throws InputError naming every operation of which something cannot be explained by the sizes
 */
export function unify(recordings: readonly Recording[], sizes: readonly Sizes[]): AnyStep[] {
  const [first] = recordings as [Recording]
  const problems: string[] = []
  const wrong = new Set<number>() // what follows from a step that cannot be explained is not told of
  const fail = (step: Step, problem: string): [] => {
    if (!step.inputs.some((place) => wrong.has(place))) problems.push(`${describe(step)}: ${problem}`)
    for (const { place } of step.outputs) wrong.add(place)
    return []
  }
  const steps = first.steps.flatMap((step, i): AnyStep[] => {
    const all = recordings.map((recording) => recording.steps[i])
    if (!all.every((other) => other !== undefined && isSameKind(step, other))) {
      return problems.length === 0 ? fail(step, 'other operations run at other sizes') : []
    }
    const same = all as readonly Step[]
    try {
      return [{
        kind: step.kind, name: step.name, inputs: step.inputs,
        settings: joined(same.map(({ settings }) => settings), sizes) as Settings,
        outputs: step.outputs.map((output, at) => ({ ...output, shape: joined(same.map(({ outputs }) => outputs[at]?.shape), sizes) as Size[] })),
        ...(step.numbers === undefined ? {} : { numbers: numbersOf(same.map(({ numbers }) => numbers as Numbers), sizes) }),
      }]
    } catch (error) {
      if (!(error instanceof Unexplained)) throw error
      return fail(step, error.message)
    }
  })
  if (problems.length > 0) throw new InputError(`exportOnnx: these operations of the model depend on the size of a batch in a way that a graph here cannot follow. ${OTHER_WAY}`, problems)
  return steps
}

class Unexplained extends Error {}

function isSameKind(a: Step, b: Step): boolean {
  return a.kind === b.kind && a.name === b.name && a.inputs.join() === b.inputs.join() && a.outputs.every(({ place, dtype, shape }, i) => {
    const other = b.outputs[i]
    return other?.place === place && other.dtype === dtype && other.shape.length === shape.length
  })
}

/** Settings and shapes of all recordings as one, its numbers as sizes. */
function joined(values: readonly unknown[], sizes: readonly Sizes[]): unknown {
  const [first] = values
  if (typeof first === 'number') {
    const size = explain(values as number[], sizes)
    return size ?? unexplained(`a number of it is ${values.join(', ')} at ${atSizes(sizes)}`)
  }
  if (Array.isArray(first)) return first.map((_, i) => joined(values.map((value) => (value as unknown[])[i]), sizes))
  if (typeof first === 'object' && first !== null) return Object.fromEntries(Object.keys(first).map((name) => [name, joined(values.map((value) => (value as Settings)[name]), sizes)]))
  return first
}

function numbersOf(all: readonly Numbers[], sizes: readonly Sizes[]): AnyNumbers {
  const [first] = all as [Numbers]
  if (all.every((numbers) => numbers.length === first.length && numbers.every((value, i) => Object.is(value, first[i])))) return { same: first }
  return inSteps(all, sizes) ?? unexplained(`they follow no rule that is known here at ${atSizes(sizes)}`)
}

function inSteps(all: readonly Numbers[], sizes: readonly Sizes[]): AnyNumbers | undefined {
  const lines = all.map((numbers) => {
    const [start = 0, second = start] = numbers
    return numbers.every((value, i) => value === start + i * (second - start)) ? { start, step: second - start, stop: start + numbers.length * (second - start) } : undefined
  })
  const [start, step, stop] = (['start', 'step', 'stop'] as const).map((name) => explain(lines.map((line) => line?.[name] ?? NaN), sizes))
  return start === undefined || step === undefined || stop === undefined || lines.includes(undefined) ? undefined : { start, step, stop }
}

function unexplained(what: string): never {
  throw new Unexplained(what)
}

/** Without sizes that are sums of others. */
function atSizes(sizes: readonly Sizes[]): string {
  return sizes.map((each) => Object.entries(each).filter(([name]) => !name.includes(' ')).map(([name, size]) => `${name} ${size}`).join(' and ')).join('; ')
}

function describe({ kind, name, outputs }: Step): string {
  const shape = outputs.map((output) => `[${output.shape.join(', ')}]`).join(', ')
  return kind === 'numbers' ? `numbers ${shape} that the model makes in JavaScript` : `${name} to ${shape}`
}
