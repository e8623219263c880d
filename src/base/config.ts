import { CheckpointError } from '../errors.ts'
import type { ConfigJson } from './architecture.ts'

/** Reads single settings out of a config.json and collects what is missing or of the wrong type. */
export interface ConfigReader {
  number(key: string, fallback?: number): number
  text(key: string, fallback?: string): string
  flag(key: string, fallback?: boolean): boolean
  /** A setting with one value that the model is written for; it may be missing. */
  only(key: string, value: string | boolean): void
  /** @throws CheckpointError with everything that was wrong */
  done(): void
}

/**
 * @example
 * const read = configReader(json, 'bert')
 * const config = { hiddenSize: read.number('hidden_size'), activation: read.text('hidden_act', 'gelu') }
 * read.done()
 */
export function configReader(json: ConfigJson, modelType: string): ConfigReader {
  const problems: string[] = []
  const read = <T>(key: string, fallback: T | undefined, type: string, blank: T): T => {
    const value = json[key] ?? fallback
    if (typeof value === type) return value as T
    problems.push(`${key}: expected a ${type}, got ${JSON.stringify(json[key])}`)
    return blank
  }
  return {
    number: (key, fallback) => read(key, fallback, 'number', 0),
    text: (key, fallback) => read(key, fallback, 'string', ''),
    flag: (key, fallback) => read(key, fallback, 'boolean', false),
    only: (key, value) => {
      const got = json[key] ?? value
      if (got !== value) problems.push(`${key}: expected ${JSON.stringify(value)}, got ${JSON.stringify(got)}, which is another kind of model and not supported`)
    },
    done: () => {
      if (problems.length > 0) throw new CheckpointError(`config.json does not describe a ${modelType} model:`, problems)
    },
  }
}
