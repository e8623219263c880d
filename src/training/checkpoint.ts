// Checkpoints of a training: one safetensors file each, `step-00000150.safetensors`, with the tensors, the state as JSON and
// a SHA-256 of both, so that a file that a crash or a bad disk has spoilt is known for what it is.

import { createHash } from 'node:crypto'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { bytesOf } from '../base/checkpoint/dtype.ts'
import { openSafetensors, writeSafetensors } from '../base/checkpoint/safetensors.ts'
import { CheckpointError, shown } from '../errors.ts'

export interface Checkpoint<State> {
  /** Optimiser steps done. */
  readonly step: number
  /** Anything that survives JSON. */
  readonly state: State
  /** float32. Those of a checkpoint that was read are the caller's to dispose. */
  readonly tensors: Readonly<Record<string, Tensor>>
}

const FILE = /^step-(\d{8,})\.safetensors$/
/** Left by a process that was killed while it wrote. */
const UNFINISHED = /^\.step-\d+\.safetensors\.[0-9a-f]+\.tmp$/

/**
 * Writes a checkpoint into a folder, whole or not at all, and then removes those that are no longer wanted.
 *
 * @param limit how many to have at most, the newest
 * @returns the file's path
 * @throws CheckpointError when it cannot be written (full disk, read-only folder); the checkpoints before it are still there
 */
export async function writeCheckpoint<State>(
  folder: string,
  { step, state, tensors }: Checkpoint<State>,
  { limit = Infinity }: { readonly limit?: number } = {},
): Promise<string> {
  const path = join(folder, `step-${String(step).padStart(8, '0')}.safetensors`)
  const arrays = Object.entries(tensors).map(([name, tensor]) => ({ name, dtype: 'F32' as const, shape: tensor.shape, data: tensor.dataSync<'float32'>() }))
  const json = JSON.stringify(state)
  try {
    await mkdir(folder, { recursive: true })
    const metadata = { step: String(step), state: json }
    await writeSafetensors(path, arrays, { ...metadata, sha256: hashOf(metadata, arrays) })
    const names = await readdir(folder)
    const old = stepsOf(names).slice(limit)
    const unwanted = [...old.map(({ name }) => name), ...names.filter((name) => UNFINISHED.test(name))]
    for (const name of unwanted) await rm(join(folder, name), { force: true })
  } catch (cause) {
    throw new CheckpointError(
      `${path} cannot be written: ${(cause as Error).message}. The checkpoints before it are untouched; make room or choose another folder.`,
      [],
      { cause },
    )
  }
  return path
}

/**
 * The newest checkpoint of a folder that is whole; undefined when there is none at all.
 *
 * @param onRefused is told of each newer one that cannot be used
 * @throws CheckpointError when there are checkpoints and none can be used, with the reason for each
 */
export async function readLatestCheckpoint<State>(folder: string, onRefused: (reason: string) => void): Promise<Checkpoint<State> | undefined> {
  const names = await readdir(folder).catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new CheckpointError(`${folder} cannot be read: ${(cause as Error).message}`, [], { cause })
  })
  const problems: string[] = []
  for (const { name } of stepsOf(names)) {
    try {
      return await readCheckpoint<State>(join(folder, name))
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error
      problems.push(error.message)
      onRefused(error.message)
    }
  }
  if (problems.length > 0) throw new CheckpointError(`${folder}: none of its checkpoints can be used. Start in another folder.`, problems)
  return undefined
}

/** @throws CheckpointError when the file is not what `writeCheckpoint` wrote */
export async function readCheckpoint<State>(path: string): Promise<Checkpoint<State>> {
  const file = await openSafetensors(path)
  try {
    const { sha256, ...metadata } = file.metadata
    const { step = '', state = '' } = metadata
    const arrays: { name: string; shape: readonly number[]; data: Float32Array }[] = []
    for (const name of file.entries.keys()) {
      const { shape, data } = await file.read(name)
      if (!(data instanceof Float32Array)) throw new CheckpointError(`${path}: expected float32 values in ${name}`)
      arrays.push({ name, shape, data })
    }
    if (sha256 !== hashOf(metadata, arrays)) throw new CheckpointError(`${path}: its content is not what was written (SHA-256 differs)`)
    const parsed = stateIn(path, step, state)
    const tensors = arrays.map(({ name, shape, data }) => [name, tf.tensor(data, [...shape])] as const)
    return { step: Number(step), state: parsed as State, tensors: Object.fromEntries(tensors) }
  } finally {
    await file.close()
  }
}

/** The checkpoints among a folder's files, the newest first. */
function stepsOf(names: readonly string[]): { readonly name: string; readonly step: number }[] {
  const found = names.map((name) => ({ name, step: Number(FILE.exec(name)?.[1]) }))
  return found.filter(({ step }) => !Number.isNaN(step)).sort((a, b) => b.step - a.step)
}

/** @throws CheckpointError when the file was not written by `writeCheckpoint`, whatever its hash says */
function stateIn(path: string, step: string, text: string): object {
  const problems = /^\d{1,15}$/.test(step) ? [] : [`step: expected a natural number, got ${shown(step)}`]
  try {
    const state: unknown = JSON.parse(text)
    if (typeof state === 'object' && state !== null && !Array.isArray(state) && problems.length === 0) return state
    if (problems.length === 0) problems.push(`state: expected an object, got ${shown(state)}`)
  } catch (error) {
    problems.push(`state: ${(error as Error).message}`)
  }
  throw new CheckpointError(`${path} is no checkpoint of a training:`, problems)
}

/** Of the metadata, of each tensor's name and shape, and of the numbers. */
function hashOf(
  metadata: Readonly<Record<string, string>>,
  tensors: readonly { readonly name: string; readonly shape: readonly number[]; readonly data: Float32Array }[],
): string {
  const sorted = [...tensors].sort((a, b) => (a.name < b.name ? -1 : 1))
  const texts = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1))
  const hash = createHash('sha256').update(JSON.stringify([texts, sorted.map(({ name, shape }) => [name, shape])]))
  for (const { data } of sorted) hash.update(bytesOf(data))
  return hash.digest('hex')
}
