import * as tf from '@tensorflow/tfjs-core'
import { Pass, type Handlers } from './pass.ts'
import { normal, randomStream } from './random.ts'
import type { Site, ParameterSpec, Tracer } from './sites.ts'

/** A parameter as it starts: it depends on the seed and its name alone. @param std of what is drawn */
export function freshValues(name: string, { shape, init }: ParameterSpec, std: number, seed: number): Float32Array {
  const size = shape.reduce((product, n) => product * n, 1)
  if (init === 'normal') return normal(randomStream(seed, name), size, 0, std)
  return new Float32Array(size).fill(typeof init === 'number' ? init : init === 'ones' ? 1 : 0)
}

/** Every place and parameter of a model, in the order the model comes to them. */
export interface Trace {
  readonly sites: readonly Site[]
  readonly specs: ReadonlyMap<string, ParameterSpec>
}

/** Nothing attached. */
export const NO_HANDLERS: Handlers = {
  linear: new Map(),
  experts: new Map(),
  embedding: new Map(),
  attention: new Map(),
  residual: new Map(),
  sequence: new Map(),
}

/**
 * Finds the sites and parameters of a model by running its own code once, on rows of zeros and without weights; no
 * list of them is kept by hand.
 *
 * @param run the model's forward pass on any small input
 * @throws Error when the model uses one name for two places: a mistake in the model's file
 * @example const { sites, specs } = traceModel((pass) => encode(pass, tinyInput))
 */
export function traceModel(run: (pass: Pass) => void): Trace {
  const sites = new Map<string, Site>()
  const specs = new Map<string, ParameterSpec>()
  const tracer: Tracer = {
    param: (name, spec) => {
      const before = specs.get(name)
      if (before !== undefined && before.shape.join() !== spec.shape.join()) {
        throw new Error(`${name} is used with shape [${before.shape.join()}] and with [${spec.shape.join()}].`)
      }
      if (before === undefined) specs.set(name, spec)
    },
    site: (site) => {
      const key = `${site.kind} ${site.name}`
      if (sites.has(key)) throw new Error(`Two places of the model are called '${key}'.`)
      sites.set(key, site)
    },
  }
  const param = (): never => {
    throw new Error('A trace computes nothing.')
  }
  tf.tidy(() => {
    run(new Pass({ param, handlers: NO_HANDLERS, training: false, seed: 0, tracer }))
  })
  return { sites: [...sites.values()], specs }
}
