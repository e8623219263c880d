// How much the loss of each task counts where several are trained at once.

import * as tf from '@tensorflow/tfjs-core'
import { AdamW } from './adamw.ts'

/**
 * `'fixed'`: by `weight`. `'uncertainty'`: a task's loss L counts as exp(−s)·L + s/2, with an s that is trained along
 * (Kendall et al. 2018, arXiv:1705.07115): tasks whose loss stays high count for less. `'descent'`: tasks whose loss falls more slowly than the
 * others' count for more (dynamic weight average, Liu et al. 2019, arXiv:1803.10704), by the means of the last two stretches of 20 steps.
 */
export type TaskWeighting = 'fixed' | 'uncertainty' | 'descent'

/** Factors on the losses of tasks beside their own weights. */
export interface TaskWeights {
  readonly factorOf: (task: string) => Promise<number> | number
  /** @param parts what the step has trained: the loss of each task, and what it counted for in all */
  readonly learn: (parts: readonly { readonly name: string; readonly loss: number; readonly weight: number }[], learningRate: number) => void
  readonly dispose: () => void
}

const FIXED: TaskWeights = { factorOf: () => 1, learn: () => undefined, dispose: () => undefined }

/** @param learningRate of the weights that are trained */
export function taskWeights(weighting: TaskWeighting, tasks: readonly string[], learningRate: number): TaskWeights {
  if (weighting === 'fixed') return FIXED
  return weighting === 'uncertainty' ? byUncertainty(tasks, learningRate) : byDescent(tasks)
}

function byUncertainty(tasks: readonly string[], learningRate: number): TaskWeights {
  const logVariances = Object.fromEntries(tasks.map((name) => [name, tf.variable(tf.scalar(0))]))
  const optimizer = new AdamW(logVariances, { learningRate, weightDecay: 0 })
  return {
    factorOf: async (task) => Math.exp(-((await logVariances[task]?.data())?.[0] ?? 0)),
    learn: (parts, rate) => {
      const slopes = Object.fromEntries(parts.map(({ name, loss, weight }) => [name, tf.scalar(0.5 - weight * loss)]))
      optimizer.step(slopes, rate)
      tf.dispose(slopes)
    },
    dispose: () => {
      optimizer.dispose()
      tf.dispose(logVariances)
    },
  }
}

/** Steps whose losses are one mean, and how even the weights are: as in the paper, where a stretch is an epoch. */
const [STRETCH, TEMPERATURE] = [20, 2]

function byDescent(tasks: readonly string[]): TaskWeights {
  const stretches = new Map<string, number[][]>(tasks.map((name) => [name, [[]]]))
  const speedOf = (task: string): number => {
    const [before, last] = (stretches.get(task) ?? []).filter(({ length }) => length === STRETCH).slice(-2).map((losses) => losses.reduce((sum, loss) => sum + loss, 0))
    return before === undefined || last === undefined || before === 0 ? 1 : last / before
  }
  return {
    factorOf: (task) => {
      const shares = new Map(tasks.map((name) => [name, Math.exp(speedOf(name) / TEMPERATURE)]))
      return (tasks.length * (shares.get(task) ?? NaN)) / [...shares.values()].reduce((sum, share) => sum + share, 0)
    },
    learn: (parts) => {
      for (const { name, loss } of parts) {
        const own = stretches.get(name)
        own?.at(-1)?.push(loss)
        if (own?.at(-1)?.length === STRETCH) stretches.set(name, [...own.slice(-2), []])
      }
    },
    dispose: () => undefined,
  }
}
