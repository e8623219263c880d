// Where a training stands, into a checkpoint and back.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import { settingsReader } from '../base/settings.ts'
import { CheckpointError, InputError } from '../errors.ts'
import { guardStates, restoreGuards, type Guard } from './guard.ts'
import type { AdamW } from './adamw.ts'
import type { Best, BestState } from './best.ts'
import { readLatestCheckpoint, writeCheckpoint } from './checkpoint.ts'
import { differencesOf, type Settings } from './settings.ts'
import type { Names } from '../base/options.ts'
import { sharedCheckpoint } from './share-checkpoint.ts'
import type { Workers } from './workers.ts'
import type { CheckpointOptions } from './trainer-options.ts'

export const CHECKPOINT_OPTIONS: Names<CheckpointOptions> = { folder: true, every: true, limit: true }

export interface Position {
  /** Steps done. The rows, the learning rate and the dropout of all later ones follow from it and the seed. */
  readonly step: number
  /** Of them, the last ones in a row that were skipped. */
  readonly skipped: number
}

/** What of a training changes with its steps, and the settings that it must be continued with. */
export interface Progress {
  readonly optimizer: AdamW
  readonly best: Best | undefined
  readonly guards: readonly Guard[]
  readonly trainable: Readonly<Record<string, Variable>>
  readonly settings: Settings
}

interface State extends Position {
  readonly optimizerStep: number
  readonly optimizerIdle?: Readonly<Record<string, number>>
  readonly best?: BestState
  readonly settings: Settings
}

/** @returns the checkpoint's path */
export async function keepCheckpoint({ folder, limit = 2 }: CheckpointOptions, progress: Progress, position: Position): Promise<string> {
  const { optimizer, best, guards, trainable, settings } = progress
  const moments = optimizer.state()
  const state: State = {
    ...position, settings, optimizerStep: moments.step,
    ...(moments.idle === undefined ? {} : { optimizerIdle: moments.idle }),
    ...(best?.state === undefined ? {} : { best: best.state }),
  }
  try {
    const kept = { ...prefixed('best.', best?.weights ?? {}), ...prefixed('guard.', guardStates(guards)) }
    const tensors = { ...prefixed('trained.', trainable), ...moments.tensors, ...kept }
    return await writeCheckpoint(folder, { step: position.step, state, tensors }, { limit })
  } finally {
    tf.dispose(moments.tensors)
  }
}

/**
 * Puts the newest usable checkpoint of a folder back, if there is one.
 *
 * @param workers of whom the first reads it
 * @throws CheckpointError when it is of another training, with every difference; nothing has changed then
 */
export async function resume(
  folder: string,
  { optimizer, best, guards, trainable, settings }: Progress,
  workers?: Workers,
): Promise<{ readonly position: Position; readonly refused: readonly string[] } | undefined> {
  const refused: string[] = []
  const found = await sharedCheckpoint(workers, () => readLatestCheckpoint<Readonly<Record<string, unknown>>>(folder, (reason) => void refused.push(reason)))
  if (found === undefined) return undefined
  const { tensors } = found
  try {
    const state = stateOf(folder, found.step, found.state)
    const trained = pick(tensors, 'trained.')
    const differences = differencesOf(state.settings, settings)
    if (differences.length > 0) {
      throw new CheckpointError(
        `${folder} holds the checkpoints of another training. Give this one another folder, or continue that one with its settings:`,
        differences.flatMap((each) => (each.startsWith('trained:') ? unlike('trained', trained, trainable) : [each])),
      )
    }
    const bestWeights = pick(tensors, 'best.')
    const misfits = [...unlike('trained', trained, trainable), ...(state.best === undefined ? [] : unlike('best', bestWeights, trainable))]
    if (misfits.length > 0) throw new CheckpointError(`${folder}: the checkpoint of step ${found.step} does not fit what is trained:`, misfits)
    const idle = state.optimizerIdle === undefined ? {} : { idle: state.optimizerIdle }
    optimizer.restore({ step: state.optimizerStep, ...idle, tensors: pick(tensors, 'exp_avg', 'exp_avg') })
    restoreOwn(folder, guards, pick(tensors, 'guard.'))
    tf.tidy(() => {
      for (const [name, tensor] of Object.entries(trained)) trainable[name]?.assign(tensor.clone())
    })
    if (state.best !== undefined) best?.restore(state.best, bestWeights)
    return { position: { step: state.step, skipped: state.skipped }, refused }
  } finally {
    tf.dispose(tensors)
  }
}

/** @throws CheckpointError when the state is not what `keepCheckpoint` writes */
function stateOf(folder: string, step: number, json: Readonly<Record<string, unknown>>): State {
  const read = settingsReader(json, { file: `${folder}: the checkpoint of step ${step}`, what: 'the state of a training' })
  const count = (key: string, max?: number): number => read.integer(key, { min: 0, ...(max === undefined ? {} : { max }) })
  const best = read.section('best')
  read.section('settings') // an object; each of its values is compared
  const state: State = {
    step: count('step'),
    skipped: count('skipped', step),
    optimizerStep: count('optimizerStep', step),
    ...(read.has('optimizerIdle') ? { optimizerIdle: read.numbers('optimizerIdle', undefined, { min: 0, max: step }) } : {}),
    ...(read.has('best') ? { best: { value: best.isNull('value') ? NaN : best.number('value'), step: best.integer('step', { min: 0, max: step }), since: best.integer('since', { min: 0 }) } } : {}),
    settings: (json['settings'] ?? {}) as Settings,
  }
  read.check(state.step === step, `step: expected ${step}, as in the file's metadata, got ${state.step}`, ['step'])
  read.done()
  return state
}

/** Where tensors by name are not those of a training. */
function unlike(what: string, tensors: Readonly<Record<string, Tensor>>, trainable: Readonly<Record<string, Tensor>>): string[] {
  const shapeOf = (tensor: Tensor | undefined): string => (tensor === undefined ? 'none' : `[${tensor.shape.join(', ')}]`)
  const names = [...new Set([...Object.keys(tensors), ...Object.keys(trainable)])]
  return names.filter((name) => shapeOf(tensors[name]) !== shapeOf(trainable[name]))
    .map((name) => `${what}.${name}: expected ${shapeOf(trainable[name])}, got ${shapeOf(tensors[name])}`)
}

/** What guards refuse is the checkpoint's fault here. */
function restoreOwn(folder: string, guards: readonly Guard[], tensors: Readonly<Record<string, Tensor>>): void {
  try {
    restoreGuards(guards, tensors)
  } catch (cause) {
    if (!(cause instanceof InputError)) throw cause
    throw new CheckpointError(`${folder}: the guards cannot go on from the checkpoint:`, cause.problems, { cause })
  }
}

function prefixed(prefix: string, tensors: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [prefix + name, tensor]))
}

/** Those that begin with a text, which is replaced. */
function pick(tensors: Readonly<Record<string, Tensor>>, prefix: string, replacement = ''): Record<string, Tensor> {
  const picked = Object.entries(tensors).filter(([name]) => name.startsWith(prefix))
  return Object.fromEntries(picked.map(([name, tensor]) => [replacement + name.slice(prefix.length), tensor]))
}
