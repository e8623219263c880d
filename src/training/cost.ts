// What a training costs, from its first step to its last, evaluations and checkpoints included.

import { countOperations } from '../base/engine/operations.ts'
import type { StepEvent } from './events.ts'
import { startEnergy } from './energy.ts'
import type { PowerOptions } from './power.ts'

/** What a run of a training has cost; of one that resumes, since then. With several workers, this one's. */
export interface Cost {
  readonly seconds: number
  /** Tokens that were learned from, padding left out. */
  readonly tokens: number
  /** Floating-point operations of all products, forward and backward: of the steps, the evaluations, and the row that the memory is measured on before. */
  readonly operations: number
  /** The most memory that the process has had, bytes. */
  readonly memory: number
  /** Energy, where the machine tells it or its watts were stated. */
  readonly joules?: number
  /** How the energy is known: 'RAPL', 'nvidia-smi', both, or 'stated watts'. */
  readonly energySource?: string
  /** CO2, where `gramsPerKilowattHour` was given. */
  readonly gramsOfCo2?: number
}

const JOULES_IN_KILOWATT_HOUR = 3.6e6

/** Counts from now on. */
export function startCost({ watts, gramsPerKilowattHour }: PowerOptions = {}): { readonly see: (step: Pick<StepEvent, 'tokens'>) => void; readonly operations: () => number; readonly end: () => Cost } {
  const begin = performance.now()
  const products = countOperations()
  const energy = startEnergy(watts)
  let tokens = 0
  return {
    see: (step) => { tokens += step.tokens },
    operations: () => products.count,
    end: () => {
      const seconds = (performance.now() - begin) / 1000
      const used = energy.read(seconds)
      energy.stop()
      products.stop()
      return {
        seconds, tokens, operations: products.count, memory: process.resourceUsage().maxRSS * 1024,
        ...(used === undefined ? {} : { joules: used.joules, energySource: used.source }),
        ...(used === undefined || gramsPerKilowattHour === undefined ? {} : { gramsOfCo2: (used.joules / JOULES_IN_KILOWATT_HOUR) * gramsPerKilowattHour }),
      }
    },
  }
}
