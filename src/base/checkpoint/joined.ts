// Products that checkpoints hold as one, the rows of each below those of the one before.

import type { CheckpointKeys } from '../architecture.ts'
import type { Checkpoint } from './checkpoint.ts'
import { allocate, bytesOf, type TensorArray } from './dtype.ts'
import type { TensorToWrite } from './safetensors.ts'

type Joined = CheckpointKeys['joined']

interface Part {
  readonly key: string
  readonly index: number
  readonly count: number
}

/** The checkpoint with each of these products as a tensor of its own. One that does not split evenly stays as it is. */
export function apart(checkpoint: Checkpoint, joined: Joined = {}): Checkpoint {
  const parts = new Map<string, Part>()
  const entries = new Map(checkpoint.entries)
  for (const [whole, modules] of Object.entries(joined)) {
    for (const [key, entry] of checkpoint.entries) {
      const [rows = 0, ...rest] = entry.shape
      const names = modules.map((module) => key.replace(`.${whole}.`, `.${module}.`))
      if (!key.includes(`.${whole}.`) || rows % modules.length !== 0 || names.some((name) => entries.has(name))) continue
      entries.delete(key)
      for (const [index, name] of names.entries()) {
        parts.set(name, { key, index, count: names.length })
        entries.set(name, { ...entry, name, shape: [rows / names.length, ...rest], byteLength: entry.byteLength / names.length })
      }
    }
  }
  return {
    ...checkpoint,
    entries,
    read: async (name, rounded, room) => {
      const part = parts.get(name)
      if (part === undefined) return await checkpoint.read(name, rounded, room)
      const { dtype, data } = await checkpoint.read(part.key, rounded)
      const own = allocate(dtype, data.length / part.count, room) // not a view, which would hold the whole
      bytesOf(own).set(bytesOf(data).subarray(own.byteLength * part.index, own.byteLength * (part.index + 1)))
      return { dtype, shape: entries.get(name)?.shape ?? [], data: own }
    },
  }
}

/** Tensors of a model as its checkpoints hold them. Parts that are of several types stay apart, which readers take too. */
export function together(tensors: readonly TensorToWrite[], joined: Joined = {}): TensorToWrite[] {
  const left = new Map(tensors.map((tensor) => [tensor.name, tensor]))
  const wholes = Object.entries(joined).flatMap(([whole, modules]) =>
    tensors.flatMap(({ name }) => {
      const parts = modules.flatMap((module) => left.get(name.replace(`.${modules[0]}.`, `.${module}.`)) ?? [])
      if (!name.includes(`.${modules[0]}.`) || parts.length < modules.length || new Set(parts.map(({ dtype }) => dtype)).size > 1) return []
      for (const part of parts) left.delete(part.name)
      return [wholeOf(name.replace(`.${modules[0]}.`, `.${whole}.`), parts)]
    }))
  return [...left.values(), ...wholes]
}

function wholeOf(name: string, parts: readonly TensorToWrite[]): TensorToWrite {
  const [{ dtype, shape: [, ...rest] }] = parts as [TensorToWrite]
  const shape = [parts.reduce((rows, part) => rows + (part.shape[0] ?? 0), 0), ...rest]
  const data = async (): Promise<TensorArray> => {
    const values = allocate(dtype, shape.reduce((product, n) => product * n, 1))
    let start = 0
    for (const part of parts) {
      const own = typeof part.data === 'function' ? await part.data() : part.data
      bytesOf(values).set(bytesOf(own), start)
      start += own.byteLength
    }
    return values
  }
  return { name, dtype, shape, data }
}
