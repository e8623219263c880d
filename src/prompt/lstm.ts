// A bidirectional LSTM over a few rows, as torch.nn.LSTM has it.
//
//   i, f, o = σ(W x + b + U h + c), g = tanh(…);  s' = f s + i g;  h' = o tanh(s')
//
// Hochreiter and Schmidhuber 1997. Written in plain tfjs operations: a step in Node for each virtual token.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import type { Inits, SiteTensors } from '../base/method.ts'
import { bridge } from '../base/autodiff/tape.ts'
import { uniform, type RandomStream } from '../base/random.ts'

const DIRECTIONS = ['Forward', 'Backward'] as const
const PARTS = ['inputWeight', 'stateWeight', 'inputBias', 'stateBias'] as const

function namesOf(layer: number, direction: string): readonly string[] {
  return PARTS.map((part) => `${part}${layer}${direction}`)
}

/** Starting tensors, torch's U(±1/√H); the four gates of a tensor are stacked in the order i, f, g, o. */
export function lstmInits(inSize: number, H: number, layers: number, draw: (name: string) => RandomStream): Inits {
  const inits: Record<string, Inits[string]> = {}
  for (let layer = 0; layer < layers; layer++) {
    const D = layer === 0 ? inSize : 2 * H
    const shapes = [[4 * H, D], [4 * H, H], [4 * H], [4 * H]]
    for (const direction of DIRECTIONS) {
      namesOf(layer, direction).forEach((name, i) => {
        const shape = shapes[i] ?? []
        const count = shape.reduce((product, n) => product * n, 1)
        inits[name] = { shape, values: uniform(draw(name), count, -1 / Math.sqrt(H), 1 / Math.sqrt(H)) }
      })
    }
  }
  return inits
}

/**
 * @param x (T, D), one row for each step @param own the tensors that `lstmInits` made
 * @returns (T, 2 H), the forward states beside the backward ones
 */
export function biLstm(x: Tensor2D, own: SiteTensors, layers: number): Tensor2D {
  let rows = x
  for (let layer = 0; layer < layers; layer++) {
    const weights = DIRECTIONS.flatMap((direction) => namesOf(layer, direction).map((name) => own[name] as Tensor))
    rows = bridge([rows, ...weights], (input, ...all) =>
      tf.concat([walk(input as Tensor2D, all.slice(0, 4), false), walk(input as Tensor2D, all.slice(4), true)], 1),
    )
  }
  return rows
}

/** One direction of one layer: (T, D) to (T, H), in the order of the rows. */
function walk(x: Tensor2D, weights: readonly Tensor[], backward: boolean): Tensor2D {
  const [W, U, b, c] = weights as unknown as [Tensor2D, Tensor2D, Tensor1D, Tensor1D]
  const [T, H] = [x.shape[0], U.shape[1]]
  const fromInput = tf.add(tf.add(tf.matMul(x, W, false, true), b), c) // (T, 4 H)
  let h: Tensor2D = tf.zeros([1, H])
  let s: Tensor2D = tf.zeros([1, H])
  const states: Tensor2D[] = []
  for (let step = 0; step < T; step++) {
    const row = backward ? T - 1 - step : step
    const gates = tf.add(tf.slice(fromInput, [row, 0], [1, 4 * H]), tf.matMul(h, U, false, true))
    const [i, f, g, o] = tf.split(gates, 4, 1) as [Tensor, Tensor, Tensor, Tensor]
    s = tf.add(tf.mul(tf.sigmoid(f), s), tf.mul(tf.sigmoid(i), tf.tanh(g)))
    h = tf.mul(tf.sigmoid(o), tf.tanh(s))
    states[row] = h
  }
  return tf.concat(states, 0)
}
