// What goes into a graph and what comes out of it, by the names that transformers.js and Optimum give them.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import type { Encoded } from '../../base/architecture.ts'
import type { Batch } from '../../base/batch.ts'
import { architecturePass, type Model } from '../../base/model.ts'
import { storedOf } from '../../base/parameters.ts'
import { Pass } from '../../base/pass.ts'
import { randomStream, uniform } from '../../base/random.ts'
import type { Axes, Port } from './graph.ts'
import type { Past } from './past.ts'
import type { RecordedInput, Source } from './recorder.ts'
import type { Size, Sizes } from './sizes.ts'

/** A model's pass as a graph. */
export interface Interface {
  /** What transformers.js calls the file, without what it says of the weights. */
  readonly name: string
  /** What it is recorded at. */
  readonly sizes: readonly Sizes[]
  /** What of a batch of these sizes JavaScript writes into tensors. */
  readonly known: (sizes: Sizes) => readonly RecordedInput[]
  readonly run: (model: Model, sizes: Sizes, source: Source) => Readonly<Record<string, Tensor>>
  /** What goes in, once it has run. */
  readonly inputs: () => readonly Port[]
  readonly axes: Axes
}

/** A size by its name. */
export function named(name: string): Size {
  return { times: 1, of: [name], plus: 0 }
}

/** Tokens by whose numbers they are known, with padding among them; each text ends as the model expects it. */
export function drawTexts(model: Model, batch: number, length: number, types = 0): Required<Pick<Batch, 'ids' | 'mask'>> & Batch {
  const draw = (what: string, below: number): Int32Array => {
    const next = randomStream(0, 'onnx', what, batch)
    return Int32Array.from({ length: batch * length }, () => next() % below)
  }
  const end = model.parts.architecture.example().ids?.at(-1) ?? 0
  const ids = draw('ids', model.limits?.vocabSize ?? 2).map((id, i) => ((i + 1) % length === 0 ? end : id))
  return { ids, mask: draw('mask', 2), ...(types > 1 ? { typeIds: draw('types', types) } : {}), batch, length }
}

/** Pictures by whose numbers they are known. */
export function drawPictures({ parts: { architecture: { pictures } } }: Model, batch: number): Required<Pick<Batch, 'pixels'>> & Batch {
  const [channels, [height, width]] = [pictures?.channels ?? 0, pictures?.size ?? [0, 0]]
  return { pixels: uniform(randomStream(0, 'onnx', 'pixels'), batch * channels * height * width, 0, 1), batch, length: 0 }
}

/** The input of pictures. @param batch the name of how many there are */
export function picturePort({ parts: { architecture: { pictures } } }: Model, batch: string): Port {
  return { name: 'pixel_values', dtype: 'float32', shape: [named(batch), pictures?.channels ?? 0, ...(pictures?.size ?? [])] }
}

/** The arrays of a batch by the names of the inputs that they are. */
export function knownAs(arrays: Readonly<Record<string, Int32Array | Float32Array | undefined>>): readonly RecordedInput[] {
  return Object.entries(arrays).flatMap(([name, numbers]) => (numbers === undefined ? [] : [{ name, numbers }]))
}

/**
 * The same numbers, in a graph that fails for a text of more tokens than it is right for: they are looked up where there are no more.
 *
 * @param limit tokens, or undefined for any number
 */
export function within<T extends Tensor>(output: T, tokens: number, limit: number | undefined): T {
  return limit === undefined ? output : tf.add(output, tf.gather(tf.zeros([limit]), tf.scalar(tokens - 1, 'int32')))
}

/** The model's pass, with what its head is given. */
export function encodedBy(model: Model, batch: Batch, cache?: Past): { readonly output: Tensor; readonly pass: Pass; readonly encoded: Encoded } {
  const { architecture, head } = model.parts
  const { handlers, replacements } = model.attached.wiring
  const pass = new Pass({ param: (name) => replacements.get(name) ?? storedOf(model, name), handlers, training: false, seed: 0, cache })
  const encoded = architecture.encode(architecturePass(pass, model.parts), batch)
  return { output: head.run(pass, encoded, batch), pass, encoded }
}
