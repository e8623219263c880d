import * as tf from '@tensorflow/tfjs-core'

/** A tidy that gives back anything but tensors, which it would look for in all that a model holds. What is to outlast it is kept. */
export function tidied<T>(make: () => T): T {
  const made: T[] = []
  tf.tidy(() => { made.push(make()) })
  return made[0] as T // there is one, or it has thrown
}
