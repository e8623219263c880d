// What a file adapts, or trains in full, where this library's model has nothing that could make use of it.

import type { Model } from '../model.ts'
import type { NamedTensors, FileFormat } from './file-format.ts'
import { isUnder, pathEnd } from './module-names.ts'
import { sharedModules } from './token-rows-file.ts'
import { vocabSizeOf } from './vocabulary.ts'

/** A file's tensors that are of use, and a line for each module whose tensors are not. */
export interface Used {
  readonly tensors: NamedTensors
  /** Modules without effect. */
  readonly idle: readonly string[]
  readonly warnings: readonly string[]
}

/** @param inFull `modules_to_save`, by the model's names @param ownTables the file says that its tables are not the base's */
export function usedOf({ parts }: Model, { idleModules }: FileFormat, tensors: NamedTensors, inFull: readonly string[], ownTables: boolean): Used {
  const { architecture: { keys: { unused, alsoCalled = {} } }, params, sites } = parts
  /** A table of another size is the base's own, resized before the adapter was made. */
  const isGrown = (module: string): boolean => [...tensors].some(([key, { shape }]) => isUnder(module, key) && (ownTables || shape[0] !== vocabSizeOf(parts)))
  const absent = unused.filter((module) => ![...params.keys()].some((name) => isUnder(module, name)))
  const shared = sharedModules(alsoCalled)
  const passedOver = shared.filter((module) => !shared.some((other) => other.endsWith(`.${module}`)) && inFull.some((name) => pathEnd(name)(module)) && !isGrown(module))
  const idle = [
    ...passedOver.map((module) => ({ module, because: "which PEFT's model does not look at: it takes the tables" })),
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
