// What runs by itself where an `await` was forgotten: a training, whose tensors are meanwhile those of some step in between, and a load.

import { InputError } from '../errors.ts'
import type { Model } from './model.ts'

/** The models of such trainings, and whether it has been said of each. */
const underway = new Map<Model, { told: boolean, isAside: boolean }>()

/** @returns what calls others between two steps, who look at these tensors on purpose, and what ends the training. @throws InputError where there is one */
export function begin(model: Model): { readonly aside: (work: () => void) => void, readonly end: () => void } {
  if (underway.has(model)) throw new InputError('Trainer.fit: another training of the same tensors is going on. Write `await` before its fit(…).')
  const training = { told: false, isAside: false }
  underway.set(model, training)
  return {
    aside: (work) => {
      training.isAside = true
      try {
        work()
      } finally {
        training.isAside = false
      }
    },
    end: () => { underway.delete(model) },
  }
}

export function isUnderway(model: Model): boolean {
  return underway.has(model)
}

/** Adapters that are being loaded, and are to take part. */
const loading = new Map<Model, Promise<unknown>>()

/** The same promise, of an adapter that is being loaded onto a model. */
export function whileLoading<T>(model: Model, load: Promise<T>): Promise<T> {
  loading.set(model, load)
  const done = (): void => { if (loading.get(model) === load) loading.delete(model) }
  load.then(done, done)
  return load
}

/** Says once of a load that the adapter takes no part yet. */
export function warnOfLoad(model: Model): void {
  if (loading.delete(model)) console.warn('The answers of a model: an adapter is being loaded onto it, and takes no part yet. Write `await` before loadAdapter(…), or name those that are to take part: { adapter }.')
}

/** Says once of a training that what was asked for is not its outcome. */
export function warnOfStep(caller: string, model: Model): void {
  const training = underway.get(model)
  if (training === undefined || training.told || training.isAside) return
  training.told = true
  console.warn(`${caller}: a training of this model is going on, and these are the tensors of a step in between. Write \`await\` before its fit(…); ` +
    'to look at it on its way, call this in `onEvent` or in a loop over trainer.run().')
}
