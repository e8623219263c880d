import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import { op } from '../autodiff/tape.ts'
import { choose, fused, fusedOne, type Forms } from '../engine/kernels.ts'

/** f(x), and dy · f'(x). */
interface Activation {
  readonly value: (x: Tensor) => Tensor
  readonly gradient: (dy: Tensor, x: Tensor) => Tensor
}

const SQRT_HALF = Math.SQRT1_2
const INV_SQRT_2PI = 1 / Math.sqrt(2 * Math.PI)
const SQRT_2_PI = Math.sqrt(2 / Math.PI)
const CUBIC = 0.044715

const gelu = activationForms(
  'Gelu',
  (x) => tf.mul(x, normalCdf(x)),
  (x) => tf.add(normalCdf(x), tf.mul(tf.mul(x, INV_SQRT_2PI), tf.exp(tf.mul(tf.square(x), -0.5)))),
)

const geluTanh = activationForms(
  'GeluTanh',
  (x) => tf.mul(tf.mul(x, 0.5), tf.add(geluTanhInner(x), 1)),
  (x) => {
    const t = geluTanhInner(x)
    const inner = tf.mul(tf.add(tf.mul(tf.square(x), 3 * CUBIC), 1), SQRT_2_PI)
    return tf.add(tf.mul(tf.add(t, 1), 0.5), tf.mul(tf.mul(tf.mul(x, 0.5), tf.sub(1, tf.square(t))), inner))
  },
)

const silu = activationForms(
  'Silu',
  (x) => tf.mul(x, tf.sigmoid(x)),
  (x) => {
    const s = tf.sigmoid(x)
    return tf.mul(s, tf.add(tf.mul(x, tf.sub(1, s)), 1))
  },
)

const ACTIVATIONS: Readonly<Record<string, Forms<Activation>>> = {
  gelu,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  relu: activationForms('Relu', tf.relu, tf.step),
  silu,
  swish: silu,
  tanh: activationForms('Tanh', tf.tanh, (x) => tf.sub(1, tf.square(tf.tanh(x)))),
}

/** The names `activation` knows. */
export const ACTIVATION_NAMES: readonly string[] = Object.keys(ACTIVATIONS)

/**
 * An activation function by the name it has in the Hub's config.json (`hidden_act`). Keeps x for the backward pass.
 *
 * @throws InputError for a name that is not known, listing those that are
 * @example const y = activation('gelu', x)
 */
export function activation<T extends Tensor>(name: string, x: T): T {
  const known = Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined
  if (known === undefined) {
    throw new InputError(`Activation: expected one of ${ACTIVATION_NAMES.join(', ')}; got '${name}'.`)
  }
  const { value, gradient } = choose(known, [x])
  return op(
    [x],
    (save) => {
      save(x)
      return value(x) as T
    },
    (dy, saved) => saved.map((input) => gradient(dy, input)),
  )
}

/**
 * silu(gate) · up, the middle of a gated feed-forward part. Keeps both inputs for the backward pass.
 *
 * dgate = dy · up · silu'(gate), dup = dy · silu(gate)
 *
 * Source: Shazeer 2020, arXiv:2002.05202
 *
 * @param gate and `up`, of one shape
 * @example const h = gatedSilu(linear(x, gateWeight), linear(x, upWeight))
 */
export function gatedSilu<T extends Tensor>(gate: T, up: T): T {
  const { forward, backward } = choose(GATED_SILU, [gate, up])
  return op(
    [gate, up],
    (save) => {
      save(gate, up)
      return forward(gate, up) as T
    },
    (dy, saved) => {
      const [g, u] = saved as [Tensor, Tensor]
      return [...backward(dy, g, u)]
    },
  )
}

interface Gated {
  readonly forward: (gate: Tensor, up: Tensor) => Tensor
  readonly backward: (dy: Tensor, gate: Tensor, up: Tensor) => readonly Tensor[]
}

const GATED_SILU: Forms<Gated> = {
  fused: {
    forward: (gate, up) => fusedOne('GatedSilu', [gate, up]),
    backward: (dy, gate, up) => fused('GatedSiluGrad', [dy, gate, up], {}, 2),
  },
  composed: {
    forward: (gate, up) => tf.mul(silu.composed.value(gate), up),
    backward: (dy, gate, up) => [silu.composed.gradient(tf.mul(dy, up), gate), tf.mul(dy, silu.composed.value(gate))],
  },
}

/** @param kernel name of the fused kernel */
function activationForms(kernel: string, value: (x: Tensor) => Tensor, slope: (x: Tensor) => Tensor): Forms<Activation> {
  return {
    fused: { value: (x) => fusedOne(kernel, [x]), gradient: (dy, x) => fusedOne(`${kernel}Grad`, [dy, x]) },
    composed: { value, gradient: (dy, x) => tf.mul(dy, slope(x)) },
  }
}

function normalCdf(x: Tensor): Tensor {
  return tf.mul(tf.add(tf.erf(tf.mul(x, SQRT_HALF)), 1), 0.5)
}

function geluTanhInner(x: Tensor): Tensor {
  return tf.tanh(tf.mul(tf.mul(x, tf.add(tf.mul(tf.square(x), CUBIC), 1)), SQRT_2_PI))
}
