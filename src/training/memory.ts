// What a step needs in memory, known before the first one: running out of it ends the process, or the step, when hours may have passed.

import * as tf from '@tensorflow/tfjs-core'
import type { Variable } from '@tensorflow/tfjs-core'
import { tensorflow } from '../base/engine/tensorflow.ts'
import { bytesKept } from '../base/autodiff/grads.ts'
import type { LossOptions } from '../base/architecture.ts'
import type { ForwardOptions, Model } from '../base/model.ts'
import { decoderLengthOf, takeRows } from '../base/batch.ts'
import { InputError, TrainingError } from '../errors.ts'
import type { PaddedBatch } from './batches.ts'

/** That the memory will not do for a step; nothing where the tensors are not in the machine's memory. */
export function memoryWarning(
  model: Model, trainable: Readonly<Record<string, Variable>>, batches: readonly PaddedBatch[], options: ForwardOptions & LossOptions,
): string | undefined {
  if (tensorflow()?.isUsingGpuDevice !== false) return undefined
  const needed = bytesOfStep(model, trainable, batches, options)
  const left = bytesLeft()
  if (needed === undefined || needed <= left) return undefined
  const megabytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MB`
  return `a step keeps at least ${megabytes(needed)} for its way back, and ${megabytes(left)} of memory are left. ${LESS_MEMORY}`
}

/**
 * Bytes that a step keeps for its way back, measured on one row of its largest batch. The step needs more than that: what an operation
 * takes while it runs is not in it.
 *
 * @returns undefined where one row says nothing about the batch: there is but one, or rows are held against each other
 */
function bytesOfStep(model: Model, trainable: Readonly<Record<string, Variable>>, batches: readonly PaddedBatch[], options: ForwardOptions & LossOptions): number | undefined {
  const size = (batch: PaddedBatch): number => batch.batch * (batch.length + decoderLengthOf(batch))
  const largest = batches.reduce((most, batch) => (size(batch) > size(most) ? batch : most))
  const { batch: rows } = largest
  if (rows < 2 || model.parts.task === 'sentence-embedding') return undefined
  const row = takeRows(largest, [0])
  try {
    return rows * bytesKept(() => model.loss(row, options), Object.values(trainable))
  } catch (error) {
    if (error instanceof InputError) return undefined // a row without a label that counts; the step says what is wrong, if anything is
    throw error
  }
}

/** Bytes that the process can still have: of the machine, its container and the engine's own limit. */
function bytesLeft(): number {
  const limit = Number(process.env['TF_CPU_BFC_MEM_LIMIT_IN_MB'] ?? NaN) * 2 ** 20
  return Math.min(process.availableMemory(), Number.isNaN(limit) ? Infinity : Math.max(0, limit - tf.memory().numBytes))
}

const LESS_MEMORY = "Take a smaller batchSize with accumulate, shorter rows, gradientCheckpointing: true, or a base with dtype: 'bfloat16'."

/** Runs what belongs to a step. @throws TrainingError where the engine, or Node, has run out of memory; any other error as it is */
export async function explaining<T>(step: number, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw explained(error, step)
  }
}

function explained(error: unknown, step: number): unknown {
  if (error instanceof TrainingError || !(error instanceof Error) || !OUT_OF_MEMORY.test(error.message)) return error
  return new TrainingError(
    `Step ${step}: out of memory. The weights and the optimiser are those of the step before. ${LESS_MEMORY} (${error.message.replaceAll(/\s+/g, ' ').slice(0, 200)})`,
    [], { cause: error },
  )
}

const OUT_OF_MEMORY = /TF_Status: 8\b|\bOOM\b|RESOURCE_EXHAUSTED|Array buffer allocation failed/
