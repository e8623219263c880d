// Which adapters nobody has trained: what was never assigned to is as `attach` made it.

import type { Tensor } from '@tensorflow/tfjs-core'
import type { Model } from '../model.ts'
import type { Adapter } from './adapter.ts'
import { sameLabels } from './classes.ts'

/** The data that each variable began with; another comes with each assignment. */
const starts = new WeakMap<Tensor, object>()
/** Those that are copies of the model's own parameters. */
const copied = new WeakSet<Tensor>()

export function noteStarts({ trainable, copies }: Pick<Adapter, 'trainable' | 'copies'>): void {
  for (const [name, variable] of Object.entries(trainable)) {
    starts.set(variable, variable.dataId)
    if (copies.includes(name)) copied.add(variable)
  }
}

function isAsAttached(tensor: Tensor): boolean {
  return starts.get(tensor) === tensor.dataId
}

/** Whether nothing of it has been trained. */
export function isUntrained({ trainable }: Pick<Adapter, 'trainable'>): boolean {
  const tensors = Object.values(trainable)
  return tensors.length > 0 && tensors.every(isAsAttached)
}

/** Whether these are tensors of an adapter that say nothing yet: untrained, and not those of a pretrained model alone. */
export function sayNothing(tensors: Readonly<Record<string, Tensor>>): boolean {
  const all = Object.values(tensors)
  return all.every(isAsAttached) && all.some((tensor) => !copied.has(tensor))
}

/** Adapters that take part with a head of random weights. */
export function withRandomHead({ parts, attached: { enabled } }: Model): Adapter[] {
  const isOfHead = (name: string): boolean => parts.head.modules.some((module) => name.startsWith(`${module}.`))
  const isRandom = ({ labels }: Adapter, name: string): boolean => parts.initialized.includes(name) || !sameLabels(labels, parts.labels)
  return enabled.filter((adapter) => Object.entries(adapter.trainable).some(([name, tensor]) => isOfHead(name) && isRandom(adapter, name) && isAsAttached(tensor)))
}
