import * as tf from '@tensorflow/tfjs-core'
import type { Checkpoint } from './checkpoint.ts'
import { byTheFirst, fromTheFirst, several, type Workers } from './workers.ts'

/** A checkpoint that the first worker reads, for all: the others need not see its disk. */
export async function sharedCheckpoint<State>(
  workers: Workers | undefined, readIt: () => Promise<Checkpoint<State> | undefined>,
): Promise<Checkpoint<State> | undefined> {
  const many = several(workers)
  if (many === undefined) return await readIt()
  let own: Checkpoint<State> | undefined
  const told = await byTheFirst(many, async () => {
    own = await readIt()
    return own === undefined ? null : { step: own.step, state: own.state, shapes: Object.entries(own.tensors).map(([name, { shape }]) => [name, shape] as const) }
  })
  if (told === null) return undefined
  const tensors: Record<string, tf.Tensor> = {}
  for (const [name, shape] of told.shapes) {
    const given = own?.tensors[name]
    const numbers = given === undefined ? new Float32Array(tf.util.sizeFromShape([...shape])) : Float32Array.from(await given.data<'float32'>())
    await fromTheFirst(many, numbers)
    tensors[name] = given ?? tf.tensor(numbers, [...shape], 'float32')
  }
  return { step: told.step, state: told.state, tensors }
}
