import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import { op } from '../autodiff/tape.ts'
import { choose, fused, fusedOne, wholeKernel, type Forms } from '../engine/kernels.ts'

/** f(x), and dy · f'(x). */
interface Activation {
  readonly value: (x: Tensor) => Tensor
  readonly gradient: (dy: Tensor, x: Tensor) => Tensor
}

const SQRT_HALF = Math.SQRT1_2
const INV_SQRT_2PI = 1 / Math.sqrt(2 * Math.PI)
const SQRT_2_PI = Math.sqrt(2 / Math.PI)
const CUBIC = 0.044715
const QUICK = 1.702
const LEAK = 0.01

const gelu = activationForms(
  'Gelu',
  (x) => tf.mul(x, normalCdf(x)),
  (x) => tf.add(normalCdf(x), tf.mul(tf.mul(x, INV_SQRT_2PI), tf.exp(tf.mul(tf.square(x), -0.5)))),
)

const geluTanh = activationForms(
  'GeluTanh',
  (x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(geluTanhInner(x)), 1)),
  (x) => {
    const inner = geluTanhInner(x)
    const slope = tf.mul(tf.add(tf.mul(tf.square(x), 3 * CUBIC), 1), SQRT_2_PI)
    const ofTanh = tf.square(tf.reciprocal(tf.cosh(inner))) // 1 − tanh² has no digits left where tanh is near 1
    return tf.add(tf.mul(tf.add(tf.tanh(inner), 1), 0.5), tf.mul(tf.mul(tf.mul(x, 0.5), ofTanh), slope))
  },
)

const siluSlope = (x: Tensor): Tensor => {
  const s = tf.sigmoid(x)
  return tf.mul(s, tf.add(tf.mul(x, tf.sub(1, s)), 1))
}

const silu = activationForms('Silu', (x) => tf.mul(x, tf.sigmoid(x)), siluSlope)

/** By their names in transformers, of which some have several. Those without a kernel of their own are rare. */
const ACTIVATIONS: Readonly<Record<string, Forms<Activation>>> = {
  gelu,
  gelu_python: gelu,
  gelu_10: composedAlone((x) => tf.minimum(gelu.composed.value(x), 10), (dy, x) => tf.mul(gelu.composed.gradient(dy, x), tf.lessEqual(gelu.composed.value(x), 10))),
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  gelu_python_tanh: geluTanh,
  gelu_fast: geluTanh,
  gelu_accurate: geluTanh,
  quick_gelu: activationForms('QuickGelu', (x) => tf.mul(x, tf.sigmoid(tf.mul(x, QUICK))), (x) => siluSlope(tf.mul(x, QUICK))),
  relu: activationForms('Relu', tf.relu, tf.step),
  relu2: composedAlone((x) => tf.square(tf.relu(x)), (dy, x) => tf.mul(dy, tf.mul(tf.relu(x), 2))),
  leaky_relu: composedAlone((x) => tf.leakyRelu(x, LEAK), (dy, x) => tf.mul(dy, tf.step(x, LEAK))),
  silu,
  swish: silu,
  mish: composedAlone((x) => tf.mul(x, tf.tanh(tf.softplus(x))), (dy, x) => {
    const t = tf.tanh(tf.softplus(x))
    return tf.mul(dy, tf.add(t, tf.mul(tf.mul(x, tf.sub(1, tf.square(t))), tf.sigmoid(x))))
  }),
  tanh: activationForms('Tanh', tf.tanh, (x) => tf.sub(1, tf.square(tf.tanh(x)))),
  sigmoid: composedAlone(tf.sigmoid, (dy, x) => tf.mul(dy, tf.mul(tf.sigmoid(x), tf.sigmoid(tf.neg(x))))),
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
  const { value, gradient } = choose(formsOf(name), [x])
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
 * f(gate) · up, the middle of a gated feed-forward part, for an activation f by its name. Keeps both inputs for the backward pass.
 *
 * dgate = dy · up · f'(gate), dup = dy · f(gate)
 *
 * Source: Shazeer 2020, arXiv:2002.05202
 *
 * @param gate and `up`, of one shape
 * @throws InputError for a name that is not known, listing those that are
 * @example const h = gated('silu', linear(x, gateWeight), linear(x, upWeight))
 */
export function gated<T extends Tensor>(name: string, gate: T, up: T): T {
  const { forward, backward } = gateForm(name, [gate, up])
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

/**
 * The same of gates and ups that are one product's, each row's ups behind its gates.
 *
 * @param both (N, 2 · F) @returns (N, F)
 * @example const h = gatedHalves('silu', linear(x, gateAndUpWeight))
 */
export function gatedHalves(name: string, both: Tensor2D): Tensor2D {
  const { forward, backward } = gateForm(name, [both])
  return op(
    [both],
    (save) => {
      save(both)
      return forward(both) as Tensor2D
    },
    (dy, saved) => saved.map((halves) => backward(dy, halves)[0] ?? null),
  )
}

/** Without `up`, the gate's rows have both, and its gradient too. */
interface Gated {
  readonly forward: (gate: Tensor, up?: Tensor) => Tensor
  readonly backward: (dy: Tensor, gate: Tensor, up?: Tensor) => readonly Tensor[]
}

/** Kernels of activations with a gate. */
const GATED: ReadonlyMap<Forms<Activation>, string> = new Map([[silu, 'GatedSilu'], [gelu, 'GatedGelu'], [geluTanh, 'GatedGeluTanh']])

function gateForm(name: string, inputs: readonly Tensor[]): Gated {
  const known = formsOf(name)
  const kernel = GATED.get(known)
  if (kernel === undefined) return gatedBy(choose(known, inputs))
  const ofKernel: Gated = {
    forward: (gate, up) => fusedOne(kernel, [gate, up]),
    backward: (dy, gate, up) => fused(`${kernel}Grad`, [dy, gate, up], {}, 2),
  }
  const { composed, whole } = known
  return choose({ fused: ofKernel, composed: gatedBy(composed), ...(whole === undefined ? {} : { whole: { ...whole, form: gatedBy(whole.form) } }) }, inputs)
}

function gatedBy({ value, gradient }: Activation): Gated {
  const halves = (both: Tensor): [Tensor, Tensor] => tf.split(both, 2, -1) as [Tensor, Tensor]
  const backward = (dy: Tensor, gate: Tensor, up: Tensor): [Tensor, Tensor] => [gradient(tf.mul(dy, up), gate), tf.mul(dy, value(gate))]
  return {
    forward: (gate, up) => {
      const [g, u] = up === undefined ? halves(gate) : [gate, up]
      return tf.mul(value(g), u)
    },
    backward: (dy, gate, up) => up === undefined ? [tf.concat(backward(dy, ...halves(gate)), -1)] : backward(dy, gate, up),
  }
}

function formsOf(name: string): Forms<Activation> {
  const known = Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined
  if (known !== undefined) return known
  throw new InputError(`Activation: expected one of ${ACTIVATION_NAMES.join(', ')}; got '${name}'.`)
}

/** @param kernel name of the fused kernel */
function activationForms(kernel: string, value: (x: Tensor) => Tensor, slope: (x: Tensor) => Tensor): Forms<Activation> {
  const gradient: Activation['gradient'] = (dy, x) => tf.mul(dy, slope(x))
  return {
    fused: { value: (x) => fusedOne(kernel, [x]), gradient: (dy, x) => fusedOne(`${kernel}Grad`, [dy, x]) },
    composed: { value, gradient },
    whole: { kernel, form: { value: (x) => wholeKernel(kernel, { x }), gradient } },
  }
}

/** Of an activation without a kernel of its own. */
function composedAlone(value: Activation['value'], gradient: Activation['gradient']): Forms<Activation> {
  return { fused: { value, gradient }, composed: { value, gradient } }
}

function normalCdf(x: Tensor): Tensor {
  return tf.mul(tf.add(tf.erf(tf.mul(x, SQRT_HALF)), 1), 0.5)
}

function geluTanhInner(x: Tensor): Tensor {
  return tf.mul(tf.mul(x, tf.add(tf.mul(tf.square(x), CUBIC), 1)), SQRT_2_PI)
}
