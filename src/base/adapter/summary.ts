import type { Variable } from '@tensorflow/tfjs-core'
import type { Method } from '../method.ts'
import type { Model } from '../model.ts'
import { storedOf } from '../parameters.ts'
import type { Site } from '../sites.ts'

/** What an adapter trains, at a glance. */
export interface Summary {
  readonly name: string
  readonly method: string
  readonly sites: number
  readonly trainable: number
  /** Parameters of the model and the adapter together. */
  readonly total: number
  /** trainable / total */
  readonly share: number
  /** Bytes of the trained tensors. */
  readonly bytes: number
}

/** The parts of an adapter that count. */
interface Counted {
  readonly name: string
  readonly model: Model
  readonly method: Method
  readonly sites: readonly Site[]
  readonly trainable: Readonly<Record<string, Variable>>
  readonly copies: readonly string[]
}

/** Counts what an adapter has. */
export function summarize({ name, method, sites, trainable, copies, model }: Counted): Summary {
  const count = sizeOf(Object.values(trainable))
  const replaced = sizeOf(copies.map((copy) => storedOf(model, copy)))
  const total = sizeOf([...model.parts.params.values()]) - replaced + count
  return { name, method: method.name, sites: sites.length, trainable: count, total, share: count / total, bytes: count * 4 }
}

function sizeOf(tensors: readonly { readonly size: number }[]): number {
  return tensors.reduce((sum, { size }) => sum + size, 0)
}
