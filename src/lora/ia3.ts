// (IA)³: one trained factor for each output of keys and values, and for each input of the feed-forward's last product.
//
//   attention: y = l ∘ (W x + b),  l (out)        feed-forward: y = W (l ∘ x) + b,  l (in)
//
// Liu et al. 2022, arXiv:2205.05638
//
// Differs from PEFT: for BERT, PEFT's default 'output.dense' takes the attention's output product too.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { InputError, TargetError } from '../errors.ts'
import { patternProblem, pythonPattern } from '../base/python-regex/pattern.ts'
import { op } from '../base/autodiff/tape.ts'
import { sumRows } from '../base/ops/row-sums.ts'
import type { Method, SiteTensors } from '../base/method.ts'
import type { LinearSite, Role, Site } from '../base/sites.ts'
import { SELECTION, selectLinear } from '../base/adapter/targets.ts'
import { ia3Format } from './ia3-file-format.ts'
import { checkNames, type Names } from '../base/options.ts'
import { isConvolution } from './convolutions.ts'
import type { Ia3Options } from './ia3-options.ts'

const DEFAULT_ROLES: readonly Role[] = ['key', 'value', 'qkv', 'down']

const NAMES: Names<Ia3Options> = { ...SELECTION, feedForward: true }

/**
 * Infused adapter by inhibiting and amplifying inner activations (Liu et al. 2022, arXiv:2205.05638). All factors start as 1,
 * so the adapted model starts equal to the base.
 *
 * @throws InputError for `feedForward` that is no regular expression; TargetError, when it is attached, for one that names none of the modules taken
 * @example const adapter = attach(model, ia3())
 */
export function ia3(options: Ia3Options = {}): Method {
  checkNames('ia3', options, NAMES)
  const isFeedForward = feedForwardTest(options)
  return {
    select: (sites) => selectIa3(sites, options, isFeedForward),
    init: (site) => {
      const { inSize, outSize } = site as LinearSite // select takes no others
      const shape = isFeedForward(site) ? [1, inSize] : [outSize, 1]
      return { l: { shape, values: new Float32Array(Math.max(...shape)).fill(1) } }
    },
    linear: (site, own) =>
      isFeedForward(site) ? (x, next) => next(scaleColumns(x, factors(own))) : (x, next) => scaleColumns(next(x), factors(own)),
    merge: (site, { weight, bias }, own) => {
      const l = factors(own) // (1, in) scales columns of the weight, (out, 1) its rows
      const scaled = tf.mul<Tensor2D>(weight, l)
      return { weight: scaled, bias: bias === undefined || isFeedForward(site) ? bias : tf.mul<Tensor1D>(bias, tf.reshape(l, [-1])) }
    },
    interpolate: (_, own, alpha) => ({ l: tf.add(tf.mul(factors(own), alpha), 1 - alpha) }), // the weight is linear in l
    name: 'ia3',
    format: ia3Format(options, isFeedForward),
  }
}

function selectIa3(all: readonly Site[], options: Ia3Options, isFeedForward: (site: Site) => boolean): readonly LinearSite[] {
  const sites = selectLinear(all, options, DEFAULT_ROLES)
  const { feedForward, inFile } = options
  const inside = sites.filter((site) => isConvolution(site) && isFeedForward(site))
  if (inside.length > 0) {
    throw new TargetError('ia3: of a convolution the outputs can be scaled, not the channels of its inputs; name it in targets and not in feedForward:', inside.map(({ name }) => `'${name}'`))
  }
  if (inFile !== undefined) return sites // what fits nothing there has no effect
  const idle = typeof feedForward === 'string'
    ? (sites.some(isFeedForward) ? [] : [feedForward])
    : (feedForward ?? []).filter((end) => !sites.some(({ name }) => name.endsWith(end)))
  if (idle.length > 0) {
    throw new TargetError('The targets do not fit the model:', idle.map((text) => `feedForward '${text}' matches none of the modules taken`))
  }
  return sites
}

function feedForwardTest({ feedForward }: Ia3Options): (site: Site) => boolean {
  if (feedForward === undefined) return (site) => site.kind === 'linear' && site.role === 'down'
  if (typeof feedForward !== 'string') return ({ name }) => feedForward.some((end) => name.endsWith(end)) // PEFT: inside words too
  const problem = patternProblem(feedForward)
  if (problem !== undefined) throw new InputError(`ia3: feedForward '${feedForward}' is not a regular expression of Python: ${problem}`)
  const pattern = pythonPattern(feedForward)
  return ({ name }) => pattern.fits(name)
}

function factors(own: SiteTensors): Tensor2D {
  return own['l'] as Tensor2D // as made by init
}

/**
 * x ∘ l in every row, with dx = dy ∘ l and dl = Σ dy ∘ x.
 *
 * @param x (N, D) @param l (D, 1) or (1, D)
 */
function scaleColumns(x: Tensor2D, l: Tensor2D): Tensor2D {
  const row = (): Tensor1D => tf.reshape(l, [l.size])
  return op(
    [x, l],
    (save) => {
      save(x)
      return tf.mul<Tensor2D>(x, row())
    },
    (dy, [saved], [xNeeds, lNeeds]) => {
      const sum = saved !== undefined && lNeeds === true ? sumRows(l, tf.mul(dy, saved)) : undefined
      return [xNeeds === true ? tf.mul(dy, row()) : null, sum === undefined ? null : tf.reshape(sum, [...sum.shape.slice(0, -1), ...l.shape])]
    },
  )
}
