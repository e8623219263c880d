// Where a training stands, into a checkpoint and back.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import { CheckpointError } from '../errors.ts'
import type { Guard } from '../forgetting/guard.ts'
import type { AdamW } from './adamw.ts'
import type { Best, BestState } from './best.ts'
import { readLatestCheckpoint, writeCheckpoint } from './checkpoint.ts'
import { guardStates, restoreGuards } from './guarded.ts'
import type { Settings } from './settings.ts'

/** Where a training keeps its state, and how often. */
export interface CheckpointOptions {
  /**
   * Folder of this training alone. One that holds checkpoints makes the training go on from the newest, with the very
   * weights that it would have had without the interruption: the same program is simply run again.
   */
  readonly folder: string
  /** Steps between two checkpoints; there is always one at the end. @default the steps of an epoch */
  readonly every?: number
  /** How many to have at most, the newest. @default 2 */
  readonly limit?: number
}

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
 * @throws CheckpointError when it is of another training, with every difference; nothing has changed then
 */
export async function resume(
  folder: string,
  { optimizer, best, guards, trainable, settings }: Progress,
): Promise<{ readonly position: Position; readonly refused: readonly string[] } | undefined> {
  const refused: string[] = []
  const found = await readLatestCheckpoint<State>(folder, (reason) => void refused.push(reason))
  if (found === undefined) return undefined
  const { tensors, state } = found
  try {
    const names = new Set([...Object.keys(settings), ...Object.keys(state.settings)])
    const differences = [...names].filter((name) => settings[name] !== state.settings[name])
    if (differences.length > 0) {
      throw new CheckpointError(
        `${folder} holds the checkpoints of another training. Give this one another folder, or continue that one with its settings:`,
        differences.map((name) => `${name}: ${state.settings[name] ?? 'none'} there, ${settings[name] ?? 'none'} here`),
      )
    }
    const idle = state.optimizerIdle === undefined ? {} : { idle: state.optimizerIdle }
    optimizer.restore({ step: state.optimizerStep, ...idle, tensors: pick(tensors, 'exp_avg', 'exp_avg') })
    tf.tidy(() => {
      for (const [name, tensor] of Object.entries(pick(tensors, 'trained.'))) trainable[name]?.assign(tensor.clone())
    })
    if (state.best !== undefined) best?.restore(state.best, pick(tensors, 'best.'))
    restoreGuards(guards, pick(tensors, 'guard.'))
    return { position: { step: state.step, skipped: state.skipped }, refused }
  } finally {
    tf.dispose(tensors)
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
