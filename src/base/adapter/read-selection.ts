import type { Task } from '../architecture.ts'
import { layerExpressions } from './peft-selection.ts'
import { patternProblem, PatternError, pythonPattern } from '../python-regex/pattern.ts'
import type { SectionReader } from '../settings.ts'
import type { FileRules, Selection } from './selection.ts'

/** What the readers of a method's options are told of the file beside its settings. */
export interface FileContext extends Pick<FileRules, 'file' | 'inFull'> {
  /** Of the model that the file is read for. */
  readonly task: Task
}

/**
 * Which modules a file's settings name: `target_modules`, `exclude_modules`, and for methods that have them
 * `layers_to_transform` and `layers_pattern`.
 */
export function readSelection(read: SectionReader, { file, inFull }: FileContext, { layers = false }: { readonly layers?: boolean } = {}): Selection {
  read.check(read.has('target_modules'), 'target_modules: expected a list of module names or a text, got none')
  const targets = readNames(read, 'target_modules')
  const layersPattern = layers ? readLayersPattern(read) : []
  const chosen = layers ? read.list('layers_to_transform', 'integer', [], { min: 0 }) : []
  if (typeof targets === 'string') {
    for (const key of layers ? ['layers_to_transform', 'layers_pattern'] : []) {
      read.check(!read.has(key), `${key}: expected none beside target_modules as one text, as in HF PEFT; name the modules in a list`)
    }
  }
  read.check(layersPattern.length === 0 || read.has('layers_to_transform'), 'layers_to_transform: expected layer numbers beside layers_pattern, got none')
  const exclude = readNames(read, 'exclude_modules')
  return {
    targets,
    ...(exclude.length === 0 ? {} : { exclude }),
    ...(chosen.length === 0 ? {} : { layers: chosen }), // an empty list means all, as in PEFT
    inFile: { file, inFull, layersPattern },
  }
}

/** A list of module names, or one text, which is a regular expression; an empty list where the field is absent. */
export function readNames(read: SectionReader, key: string): readonly string[] | string {
  const value = read.raw(key)
  if (typeof value !== 'string') return read.list(key, 'text', [])
  return value.toLowerCase() === 'all-linear' || checkPattern(read, key, value) ? value : []
}

/** Adds a problem where an expression cannot be used. */
export function checkPattern(read: SectionReader, key: string, expression: string): boolean {
  const problem = patternProblem(expression)
  read.check(problem === undefined, `${key}: not a regular expression of Python, or of a kind that is not supported: ${problem ?? ''}`)
  return problem === undefined
}

function readLayersPattern(read: SectionReader): readonly string[] {
  const patterns = read.list('layers_pattern', 'text', []).filter((pattern) => pattern !== '')
  for (const [i, expression] of layerExpressions(patterns).entries()) {
    if (!checkPattern(read, `layers_pattern '${patterns[i] ?? ''}'`, expression)) return []
    const problem = groupsProblem(expression)
    read.check(problem === undefined, `layers_pattern '${patterns[i] ?? ''}': ${problem ?? ''}`)
  }
  return patterns
}

function groupsProblem(expression: string): string | undefined {
  try {
    pythonPattern(expression).groups('')
    return undefined
  } catch (error) {
    if (error instanceof PatternError) return error.message
    throw error
  }
}
