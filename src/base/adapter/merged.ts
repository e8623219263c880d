// Which adapters a model has in its weights, so that none gets in twice and none is put on a base that lacks them.

import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { read } from '../engine/read.ts'
import type { Adapter } from './adapter.ts'

/** An adapter that is in the weights of a model. */
export interface Merged {
  readonly print: Promise<string> // some backends give no numbers at once
  /** It is in the files of the model too. */
  readonly inFiles: boolean
}

/** Numbers of each tensor that are looked at: no two trained adapters have them all alike, and large ones take no time. */
const FEW = 4096

/** What an adapter is known by: its tensors as they are now, whatever it is called and wherever its files are. */
export async function printOf({ trainable, frozen }: Adapter): Promise<string> {
  const tensors = Object.entries<Tensor>({ ...frozen, ...trainable }).sort(([a], [b]) => (a < b ? -1 : 1))
  const begins = await Promise.all(tensors.map(([, tensor]) => read(() => tf.slice(tf.reshape(tensor, [-1]), [0], [Math.min(FEW, tensor.size)]))))
  const hash = sha256.create()
  for (const [i, { buffer, byteOffset, byteLength }] of begins.entries()) {
    const [name, { shape }] = tensors[i] as [string, Tensor] // one for each
    hash.update(new TextEncoder().encode(`${name} ${shape.join(' ')}`)).update(new Uint8Array(buffer, byteOffset, byteLength))
  }
  return bytesToHex(hash.digest())
}
