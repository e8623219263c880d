// What a file adapts, or trains in full, where this library's model has nothing that could make use of it.

import type { Model } from '../model.ts'
import type { NamedTensors, FileFormat } from './file-format.ts'
import { vocabSizeOf } from './vocabulary.ts'

/** A file's tensors that are of use, and a line for each module whose tensors are not. */
export interface Used {
  readonly tensors: NamedTensors
  /** Modules without effect. */
  readonly idle: readonly string[]
  readonly warnings: readonly string[]
}

/** @param ownTables the file says that its tables are not the base's */
export function usedOf({ parts }: Model, { idleModules }: FileFormat, tensors: NamedTensors, ownTables: boolean): Used {
  const { architecture: { keys: { unused } }, params, sites } = parts
  /** A table of another size is the base's own, resized before the adapter was made. */
  const isGrown = (module: string): boolean => [...tensors].some(([key, { shape }]) => isUnder(module, key) && (ownTables || shape[0] !== vocabSizeOf(parts)))
  const absent = unused.filter((module) => ![...params.keys()].some((name) => isUnder(module, name)))
  const idle = [
    ...absent.map((module) => ({ module, because: 'which this task does without' })),
    ...(idleModules?.(sites) ?? []).filter(({ module }) => !isGrown(module)),
  ]
  const found = idle.filter(({ module }) => [...tensors.keys()].some((key) => isUnder(module, key)))
  return {
    tensors: new Map([...tensors].filter(([key]) => !found.some(({ module }) => isUnder(module, key)))),
    idle: idle.map(({ module }) => module),
    warnings: found.map(({ module, because }) => `it has tensors for '${module}', ${because}; they are left out.`),
  }
}

function isUnder(module: string, key: string): boolean {
  return `.${key}`.includes(`.${module}.`)
}
