import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import type { SiteTensors } from '../base/method.ts'
import { sharedByBatch } from '../base/autodiff/tape.ts'
import { activation } from '../base/ops/activation.ts'
import { linear } from '../base/ops/linear.ts'

/** What stands in front of a site's keys and values, each (virtualTokens, width). */
export interface Rows {
  readonly key: Tensor2D
  readonly value: Tensor2D
}

/** The rows a site's tensors stand for, (virtualTokens, width). */
export function prefixRows(own: SiteTensors): Rows {
  if ('key' in own) return own as unknown as Rows
  const { embedding, hiddenWeight, hiddenBias, keyWeight, keyBias, valueWeight, valueBias } = own as unknown as Network
  return sharedByBatch(() => {
    const hidden = activation('tanh', linear(embedding, hiddenWeight, hiddenBias))
    return { key: linear(hidden, keyWeight, keyBias), value: linear(hidden, valueWeight, valueBias) }
  })
}

/** The first three are shared by all sites. W₂'s rows are kept by the site they give keys or values to. */
interface Network {
  readonly embedding: Tensor2D // (virtualTokens, width)
  readonly hiddenWeight: Tensor2D // (hiddenSize, width)
  readonly hiddenBias: Tensor1D
  readonly keyWeight: Tensor2D // (width, hiddenSize)
  readonly keyBias: Tensor1D
  readonly valueWeight: Tensor2D
  readonly valueBias: Tensor1D
}
