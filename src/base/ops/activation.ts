import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import { op } from '../grads.ts'

interface Activation {
  readonly value: (x: Tensor) => Tensor
  readonly slope: (x: Tensor) => Tensor
}

const SQRT_HALF = Math.SQRT1_2
const INV_SQRT_2PI = 1 / Math.sqrt(2 * Math.PI)
const SQRT_2_PI = Math.sqrt(2 / Math.PI)
const CUBIC = 0.044715

const gelu: Activation = {
  value: (x) => tf.mul(x, normalCdf(x)),
  slope: (x) => tf.add(normalCdf(x), tf.mul(tf.mul(x, INV_SQRT_2PI), tf.exp(tf.mul(tf.square(x), -0.5)))),
}

const geluTanh: Activation = {
  value: (x) => tf.mul(tf.mul(x, 0.5), tf.add(geluTanhInner(x), 1)),
  slope: (x) => {
    const t = geluTanhInner(x)
    const inner = tf.mul(tf.add(tf.mul(tf.square(x), 3 * CUBIC), 1), SQRT_2_PI)
    return tf.add(tf.mul(tf.add(t, 1), 0.5), tf.mul(tf.mul(tf.mul(x, 0.5), tf.sub(1, tf.square(t))), inner))
  },
}

const silu: Activation = {
  value: (x) => tf.mul(x, tf.sigmoid(x)),
  slope: (x) => {
    const s = tf.sigmoid(x)
    return tf.mul(s, tf.add(tf.mul(x, tf.sub(1, s)), 1))
  },
}

const relu: Activation = { value: (x) => tf.relu(x), slope: (x) => tf.step(x) }

const tanh: Activation = { value: (x) => tf.tanh(x), slope: (x) => tf.sub(1, tf.square(tf.tanh(x))) }

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  gelu,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  relu,
  silu,
  swish: silu,
  tanh,
}

/**
 * An activation function by the name it has in the Hub's config.json (`hidden_act`).
 *
 * @throws InputError for a name that is not known, listing those that are
 * @example const y = activation('gelu', x)
 */
export function activation<T extends Tensor>(name: string, x: T): T {
  const known = Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined
  if (known === undefined) {
    throw new InputError(`Activation: expected one of ${Object.keys(ACTIVATIONS).join(', ')}; got '${name}'.`)
  }
  return op(
    [x],
    (save) => {
      save(x)
      return known.value(x) as T
    },
    (dy, saved) => saved.map((input) => tf.mul(dy, known.slope(input))),
  )
}

function normalCdf(x: Tensor): Tensor {
  return tf.mul(tf.add(tf.erf(tf.mul(x, SQRT_HALF)), 1), 0.5)
}

function geluTanhInner(x: Tensor): Tensor {
  return tf.tanh(tf.mul(tf.mul(x, tf.add(tf.mul(tf.square(x), CUBIC), 1)), SQRT_2_PI))
}
