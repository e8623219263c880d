// Steps of decoding: passes that do the same with other numbers. Two that follow each other are noted down as they run; where they are the
// same, the next ones run as a program. It holds for the tensors that it was made with, and no longer.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { nativePrefix, nativePrograms } from '../engine/native.ts'
import { descriptionOf, programOf, type Program } from '../engine/program.ts'
import { idOf, recordedBackend, Recording } from '../engine/recording.ts'
import { rounds } from '../engine/rounded-rows.ts'

/** What a step depends on besides its numbers. */
export interface StepConditions {
  /** Things that are what they are as long as they are the same. */
  readonly same: readonly object[]
  /** Tensors that may be given other numbers. */
  readonly tensors: () => readonly Tensor[]
  /** Positions up to which steps do the same. */
  readonly most: number
}

interface Captured {
  readonly program: Program
  readonly shape: readonly number[]
  readonly same: readonly unknown[]
  readonly tensors: readonly (readonly [Tensor, object])[]
}

/** Passes that are noted down in vain before it is given up. */
const TRIES = 4

let isOn = true

/** Switches programs of steps off, or on again; for tests and benchmarks. */
export function useStepPrograms(on: boolean): void {
  isOn = on
}

/** The steps of one cache. */
export class Steps {
  #captured: Captured | undefined
  #last: string | undefined
  #tries = 0

  /** What the step gives, where there is a program for it. @param inputs its numbers @param room of the cache */
  replay(inputs: readonly Int32Array[], room: number, conditions: StepConditions): Tensor | undefined {
    if (this.#captured === undefined) return undefined
    const { program, shape, tensors, same } = this.#captured
    const now = conditionsOf(room, conditions)
    const { tensorMap } = recordedBackend()
    const holds = isOn && now.length === same.length && now.every((each, i) => each === same[i])
      && tensors.every(([tensor, dataId]) => !tensor.isDisposed && tensor.dataId === dataId) && program.used.every((dataId) => tensorMap.has(dataId))
    if (holds) return tf.tensor(program.run(joined(inputs)), [...shape], 'float32')
    this.end()
    return undefined
  }

  /** Runs the step by itself, and makes a program of it where it does the same as the one before. @param changing what steps write into */
  record(inputs: readonly Int32Array[], room: number, conditions: StepConditions, changing: readonly Tensor[], run: () => Tensor): Tensor {
    if (!isOn || nativePrograms() === undefined || this.#tries >= TRIES) return run()
    const recording = new Recording()
    try {
      const output = recording.run(run)
      const pass = { recording, inputs, changing: new Set(changing.map(idOf)), output: idOf(output) }
      const same = conditionsOf(room, conditions)
      const description = descriptionOf(pass)
      const isRepeated = description === this.#last
      this.#last = description
      this.#tries++
      if (!isRepeated) return output
      const program = programOf(pass)
      this.#tries = program === undefined ? TRIES : 0
      if (program === undefined) return output
      const tensors = conditions.tensors().map((tensor) => [tensor, tensor.dataId] as const)
      this.#captured = { program, shape: output.shape, same, tensors }
      return output
    } finally {
      recording.end()
    }
  }

  end(): void {
    this.#captured?.program.end()
    this.#captured = this.#last = undefined
    this.#tries = 0
  }
}

function conditionsOf(room: number, { same }: StepConditions): readonly unknown[] {
  return [room, nativePrefix(), rounds(), ...same]
}

function joined(inputs: readonly Int32Array[]): Int32Array {
  const all = new Int32Array(inputs.reduce((sum, { length }) => sum + length, 0))
  inputs.reduce((begin, input) => {
    all.set(input, begin)
    return begin + input.length
  }, 0)
  return all
}
