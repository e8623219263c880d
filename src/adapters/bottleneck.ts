// Bottleneck adapters: a small trained network at the point where a sublayer rejoins the stream.
//
//   branch' = branch + s · drop(up(act(down(h)))),  down (size, D), up (D, size), size = ⌊D / reductionFactor⌋
//   h = branch                             one after the other: Houlsby et al. 2019, arXiv:1902.00751
//   h = norm(branch + stream)              behind the model's own norm: Pfeiffer et al. 2020, arXiv:2005.00247
//   h = stream, what the sublayer read     side by side: He et al. 2021, arXiv:2110.04366
//
// The placements, starts and names in files are those of AdapterHub's `adapters`.
// Differs from the paper: in a model that norms first, the parallel form reads the stream before its norm, as
// `adapters` does.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { InputError, TargetError } from '../errors.ts'
import { NO_VALUES, type Inits, type InitContext, type Method, type SiteTensors } from '../base/method.ts'
import { activation } from '../base/ops/activation.ts'
import { add, scale, scaleColumns } from '../base/ops/algebra.ts'
import { linear } from '../base/ops/linear.ts'
import { kaimingUniform, normal, type RandomStream } from '../base/random.ts'
import { layerOf, type Join, type ResidualSite, type Site } from '../base/sites.ts'
import { bottleneckFormat } from './file-format.ts'
import { checkNames, type Names } from '../base/options.ts'
import type { BottleneckOptions, BottleneckConfig } from './options.ts'

const NAMES: Names<BottleneckOptions> = {
  parts: true, input: true, reductionFactor: true, activation: true, scaling: true, dropout: true, init: true, skipLayers: true,
}

/**
 * A bottleneck adapter of any placement; `houlsby`, `pfeiffer`, `parallel` and `scaledParallel` are its usual forms
 * (Houlsby et al. 2019, arXiv:1902.00751; Pfeiffer et al. 2020, arXiv:2005.00247; He et al. 2021, arXiv:2110.04366).
 *
 * @throws InputError with everything that is wrong with the options; TargetError, when it is attached, for layers that the model lacks
 * @example const adapter = attach(model, bottleneck({ parts: ['attention'], input: 'sum', reductionFactor: 8 }))
 */
export function bottleneck(options: BottleneckOptions = {}): Method {
  checkNames('bottleneck', options, NAMES)
  const config: BottleneckConfig = {
    parts: ['feed-forward'], input: 'branch', reductionFactor: 16, activation: 'relu', scaling: 1, dropout: 0, init: 'normal',
    skipLayers: [], ...options,
  }
  checkConfig(config)
  return {
    select: (sites) => selectResidual(sites, config),
    init: (site, context) => (site.kind === 'residual' ? startOf(config, site, context) : {}),
    residual: (site, own) => {
      const { down, downBias, up, upBias } = tensorsOf(own)
      return (join, next, pass) => {
        const hidden = activation(config.activation, linear(inputOf(config, join), down, downBias))
        const output = scaled(config, linear(hidden, up, upBias), own)
        return next({ ...join, branch: add(join.branch, pass.dropout(`${site.name}.adapter`, output, config.dropout)) })
      }
    },
    interpolate: (_, own, alpha) => {
      const { up, upBias } = tensorsOf(own)
      return { up: tf.mul(up, alpha), upBias: tf.mul(upBias, alpha) }
    },
    name: 'bottleneck',
    format: bottleneckFormat(config),
  }
}

function inputOf({ input }: BottleneckConfig, { branch, stream, norm }: Join): Tensor2D {
  if (input === 'branch') return branch
  if (input === 'stream') return stream
  const sum = add(branch, stream)
  return norm === undefined ? sum : norm(sum)
}

function scaled({ scaling }: BottleneckConfig, x: Tensor2D, own: SiteTensors): Tensor2D {
  if (typeof scaling === 'string') return scaleColumns(x, own['scaling'] as Tensor1D) // as made by startOf
  return scaling === 1 ? x : scale(x, scaling)
}

interface Bottleneck {
  readonly down: Tensor2D
  readonly downBias: Tensor1D
  readonly up: Tensor2D
  readonly upBias: Tensor1D
}

function tensorsOf(own: SiteTensors): Bottleneck {
  return own as unknown as Bottleneck // as made by startOf
}

function selectResidual(all: readonly Site[], config: BottleneckConfig): readonly ResidualSite[] {
  const { parts, skipLayers } = config
  const sites = all.filter((site) => site.kind === 'residual')
  const known = new Set(sites.map(({ name }) => layerOf(name)))
  const problems = skipLayers.filter((layer) => !known.has(layer)).map((layer) => `skipLayers: layer ${layer} does not exist`)
  const chosen = sites.filter(({ name, part }) => parts.some((each) => each === part) && !skipLayers.includes(layerOf(name) ?? -1))
  if (problems.length === 0 && chosen.length === 0) problems.push('nothing is left to train')
  problems.push(...activationProblems(config.activation))
  const unsized = chosen.filter((site) => factorAt(config, site) === undefined).map(({ name }) => `'${name}'`)
  if (unsized.length > 0) {
    problems.push(`reductionFactor has neither the layer of ${unsized.join(', ')} nor a default; add default: 16`)
  }
  if (problems.length > 0) throw new TargetError('The adapter does not fit the model:', problems)
  return chosen
}

/** The list of names is the operation's own. */
function activationProblems(name: string): string[] {
  try {
    tf.dispose(tf.tidy(() => activation(name, tf.scalar(0))))
    return []
  } catch (error) {
    if (error instanceof InputError) return error.problems.map((problem) => problem.replace(/^Activation/, 'activation').replace(/\.$/, ''))
    throw error
  }
}

function startOf(config: BottleneckConfig, site: ResidualSite, { draw, fresh }: InitContext): Inits {
  const D = site.size
  const size = sizeAt(config, site)
  const start = fresh ? STARTS[config.init] : NO_START
  return {
    down: { shape: [size, D], values: start.down(draw('down'), size * D, D) },
    downBias: { shape: [size], values: fresh ? new Float32Array(size) : NO_VALUES },
    up: { shape: [D, size], values: start.up(draw('up'), D * size) },
    upBias: { shape: [D], values: new Float32Array(D) },
    ...(config.scaling === 'learned' ? { scaling: { shape: [1], values: new Float32Array(1).fill(1) } } : {}),
    ...(config.scaling === 'channel' ? { scaling: { shape: [D], values: new Float32Array(D).fill(1) } } : {}),
  }
}

function sizeAt(config: BottleneckConfig, site: ResidualSite): number {
  return Math.max(1, Math.floor(site.size / (factorAt(config, site) ?? NaN))) // checked by selectResidual
}

function factorAt({ reductionFactor }: BottleneckConfig, { name }: ResidualSite): number | undefined {
  return typeof reductionFactor === 'number' ? reductionFactor : (reductionFactor[String(layerOf(name))] ?? reductionFactor['default'])
}

interface Start {
  readonly down: (stream: RandomStream, count: number, fanIn: number) => Float32Array
  readonly up: (stream: RandomStream, count: number) => Float32Array
}

const STARTS: Readonly<Record<BottleneckConfig['init'], Start>> = {
  normal: { down: (stream, count) => normal(stream, count, 0, 0.02), up: (stream, count) => normal(stream, count, 0, 0.02) },
  truncated: { down: truncatedNormal, up: truncatedNormal },
  'zero-up': { down: kaimingUniform, up: (_, count) => new Float32Array(count) },
}

const NO_START: Start = { down: () => NO_VALUES, up: () => NO_VALUES }

/** N(0, 0.01) within two standard deviations: what falls outside is drawn again. */
function truncatedNormal(stream: RandomStream, count: number): Float32Array {
  const std = 0.01
  const draw = (): number => normal(stream, 1, 0, std)[0] ?? 0
  return Float32Array.from({ length: count }, () => {
    let value = draw()
    while (Math.abs(value) > 2 * std) value = draw()
    return value
  })
}

function checkConfig({ parts, reductionFactor, scaling, dropout }: BottleneckConfig): void {
  const problems: string[] = []
  if (parts.length === 0) problems.push("parts: expected 'attention', 'feed-forward' or both, got none")
  const factors = typeof reductionFactor === 'number' ? [reductionFactor] : Object.values(reductionFactor)
  for (const factor of factors) {
    if (!(factor > 0 && factor < Infinity)) problems.push(`reductionFactor: expected a number above 0, got ${factor}`)
  }
  if (typeof scaling === 'number' && !Number.isFinite(scaling)) problems.push(`scaling: expected a number, got ${scaling}`)
  if (!(dropout >= 0 && dropout < 1)) problems.push(`dropout: expected a number in [0, 1), got ${dropout}`)
  if (problems.length > 0) throw new InputError('bottleneck: the options cannot be used:', problems)
}
