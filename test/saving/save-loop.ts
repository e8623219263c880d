// Saves without end, each time something else, until it is killed: node --import tsx save-loop.ts KIND FOLDER SOURCE...

import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import '@tensorflow/tfjs-backend-cpu' // saves as the runtime does, and starts in half the time
import * as tf from '@tensorflow/tfjs-core'
import { attach } from '../../src/base/adapter/attach.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import type { Model } from '../../src/base/model.ts'
import { l2Sp } from '../../src/forgetting/l2-sp.ts'
import { saveGuards } from '../../src/forgetting/save-guards.ts'
import { lora } from '../../src/lora/lora.ts'
import { writeCheckpoint } from '../../src/training/checkpoint.ts'
import { alphaOf, RANK, type Kind } from './variants.ts'

const [, , kind = '', folder = '', ...sources] = process.argv

const models = await Promise.all(sources.map((source) => loadModel(source, { task: 'sequence-classification', labels: ['a', 'b'] })))
const adapters = models.map((model, variant) => filled(model, variant))
const guards = adapters.map(({ trainable }) => l2Sp(trainable, { alpha: 1 }))

function filled(model: Model, variant: number): Adapter {
  const alpha = alphaOf(variant)
  const adapter = attach(model, lora({ rank: RANK, alpha, targets: ['query'] }), { train: [] })
  tf.tidy(() => { for (const variable of Object.values(adapter.trainable)) variable.assign(tf.fill(variable.shape, alpha / 8)) })
  return adapter
}

const saves: Readonly<Record<Kind, (model: Model, adapter: Adapter, variant: number) => Promise<void>>> = {
  adapter: (_, adapter) => adapter.save(folder),
  guards: (_, adapter, variant) => saveGuards(folder, guards.slice(variant, variant + 1), adapter),
  model: (model) => model.save(folder),
  merged: async (model, adapter) => {
    const merged = merge(model, adapter)
    await merged.save(folder)
    merged.dispose()
  },
  checkpoint: async (_, { trainable }, variant) => { await writeCheckpoint(folder, { step: ++step, state: { variant }, tensors: trainable }, { limit: 2 }) },
}

let step = Math.max(0, ...(await readdir(folder).catch(() => [])).map((name) => Number(/^step-(\d+)/.exec(name)?.[1] ?? 0)))

process.stdout.write('ready\n')
const [first] = (await once(process.stdin.setEncoding('utf8'), 'data')) as [string] // the word to begin: the number of the first save
for (let i = Number(first); ; i++) {
  const variant = i % models.length
  await saves[kind as Kind](models[variant] as Model, adapters[variant] as Adapter, variant)
}
