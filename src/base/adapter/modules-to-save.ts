// Modules that are trained in full, in HF PEFT's files. PEFT matches their names by bare `endswith`, so that 'classifier' means
// DistilBERT's pre_classifier too, and adds the names of the task's head to those of the file.

import { InputError } from '../../errors.ts'
import type { Adapter } from './adapter.ts'
import type { Model } from '../model.ts'
import { allNames } from '../parameters.ts'
import { isUnder, modulesOf, pathEnd } from './module-names.ts'
import type { NamedTensors } from './file-format.ts'
import { sharedModules } from './token-rows-file.ts'

/** What PEFT trains in full for a `task_type`, whatever else the file says. */
const HEADS: Readonly<Record<string, readonly string[]>> = {
  SEQ_CLS: ['classifier', 'score'],
  TOKEN_CLS: ['classifier', 'score'],
  QUESTION_ANS: ['qa_outputs'],
}

/** @param type `task_type` of a file @param names its `modules_to_save` */
export function namesInFull(type: unknown, names: readonly string[]): readonly string[] {
  const heads = typeof type === 'string' && Object.hasOwn(HEADS, type) ? (HEADS[type] ?? []) : []
  return [...new Set([...names, ...heads])]
}

/**
 * `modules_to_save` by the model's names: PEFT writes the module that tables share (T5's and BART's `shared`) for a table that it ties to others. Its
 * model takes the tables, so that a file without them has nothing of the module: see `usedOf`.
 */
export function asTables({ parts: { architecture: { keys: { alsoCalled = {} } } } }: Model, names: readonly string[], tensors: NamedTensors): readonly string[] {
  const moduleOf = (parameter: string): string => parameter.replace(/\.weight$/, '')
  const shared = sharedModules(alsoCalled).map((module) => ({ module, table: moduleOf(alsoCalled[`${module}.weight`] ?? '') }))
  const isThere = (module: string): boolean => [...tensors.keys()].some((key) => isUnder(module, key))
  return names.map((name) => shared.find(({ module, table }) => pathEnd(name)(module) && isThere(table))?.table ?? name)
}

/**
 * The modules of a model that a file has in full: those that its names end, and of those that PEFT adds, or takes because a
 * name fits inside a word, those whose tensors are there.
 */
export function modulesInFull(params: readonly string[], type: unknown, names: readonly string[], tensors: NamedTensors): readonly string[] {
  const keys = [...tensors.keys()]
  return modulesOf(params).filter((module) => {
    if (names.some((name) => pathEnd(name)(module))) return true
    return namesInFull(type, names).some((name) => module.endsWith(name)) && keys.some((key) => isUnder(module, key))
  })
}

/** What is written of the modules that are trained in full. */
export interface SavedInFull {
  /** `modules_to_save`. */
  readonly names: readonly string[] | null
  /** What PEFT finds by them, no module inside another. */
  readonly modules: readonly string[]
  /** Parameters of the base that PEFT looks for beside the trained ones. */
  readonly besides: readonly string[]
}

/**
 * @param copies the parameters that the adapter has of its own, what is one tensor with them too @param type `task_type`
 * @throws InputError where PEFT would have to train in full what is adapted
 */
export function savedInFull({ model, method, context }: Adapter, copies: readonly string[], type: unknown): SavedInFull {
  const trained = copies.filter((name) => !context.copies.includes(name))
  if (trained.length === 0) return { names: null, modules: [], besides: [] }
  const params = allNames(model)
  const modules = modulesOf(params)
  const heads = namesInFull(type, []).filter((head) => modules.some((module) => module.endsWith(head)))
  const leaves = [...new Set(trained.map((name) => name.split('.').slice(0, -1).join('.')))]
  const isCovered = (leaf: string): boolean =>
    modules.some((module) => (leaf === module || leaf.startsWith(`${module}.`)) && heads.some((head) => module.endsWith(head)))
  const names = [...heads, ...leaves.filter((leaf) => !isCovered(leaf))]
  const taken = modules.filter((module) => names.some((name) => module.endsWith(name)))
  const inFull = params.filter((param) => taken.some((module) => param.startsWith(`${module}.`)))
  // Norms that are tuned are no sites, and PEFT wraps them as it does sites.
  const wrapped = context.sites.length === 0 && method.format.kind !== 'own' ? context.copies.map((name) => name.slice(0, name.lastIndexOf('.'))) : []
  checkAdapted([...new Set([...context.sites.map(({ name }) => name), ...wrapped])], taken, names)
  const besides = inFull.filter((name) => !copies.includes(name))
  return { names, modules: taken.filter((module) => !taken.some((outer) => module.startsWith(`${outer}.`))), besides }
}

function checkAdapted(sites: readonly string[], taken: readonly string[], names: readonly string[]): void {
  const both = sites.filter((site) => taken.some((module) => site === module || site.startsWith(`${module}.`)))
  if (both.length === 0) return
  throw new InputError(
    `save: ${both.map((site) => `'${site}'`).join(', ')}: HF PEFT would train it in full, because its name ends like one of those that are ` +
      `(${names.join(', ')}). Leave it out of the targets, or of \`train\` what is trained in full.`,
  )
}
