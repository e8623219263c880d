import * as tf from '@tensorflow/tfjs-core'
import { Pass } from './pass.ts'
import type { Handlers, Site } from './sites.ts'

/** A parameter a model needs, and how it is made when a new head is added. */
export interface Need {
  readonly shape: readonly number[]
  readonly init: 'zeros' | 'ones' | 'normal'
  /** What it is to the module it belongs to. */
  readonly part: 'weight' | 'bias' | 'norm' | 'embedding'
  /** Checkpoints hold it transposed. @default false */
  readonly transposed?: boolean
}

/** Every place and parameter of a model, in the order the model comes to them. */
export interface Inventory {
  readonly sites: readonly Site[]
  readonly needs: ReadonlyMap<string, Need>
}

/** Notes what a model asks for. */
export interface Survey {
  need(name: string, need: Need): void
  site(site: Site): void
}

/** Nothing attached. */
export const NO_HANDLERS: Handlers = {
  linear: new Map(),
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
 * @example const { sites, needs } = takeInventory((pass) => encode(pass, tinyInput))
 */
export function takeInventory(run: (pass: Pass) => void): Inventory {
  const sites = new Map<string, Site>()
  const needs = new Map<string, Need>()
  const survey: Survey = {
    need: (name, need) => {
      const before = needs.get(name)
      if (before !== undefined && before.shape.join() !== need.shape.join()) {
        throw new Error(`${name} is used with shape [${before.shape.join()}] and with [${need.shape.join()}].`)
      }
      if (before === undefined) needs.set(name, need)
    },
    site: (site) => {
      const key = `${site.kind} ${site.name}`
      if (sites.has(key)) throw new Error(`Two places of the model are called '${key}'.`)
      sites.set(key, site)
    },
  }
  const param = (): never => {
    throw new Error('A survey computes nothing.')
  }
  tf.tidy(() => {
    run(new Pass({ param, handlers: NO_HANDLERS, training: false, seed: 0, survey }))
  })
  return { sites: [...sites.values()], needs }
}
