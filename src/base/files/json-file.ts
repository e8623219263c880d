import { readFileSync, statSync } from 'node:fs'
import { CheckpointError } from '../../errors.ts'
import { isPointer, POINTER } from './git-lfs.ts'
import { parseStrictJson } from './strict-json.ts'

/** Levels of nesting in a file of settings; the deepest known has ten. */
const DEEPEST = 64
/** Bytes of such a file; the largest known, a tokenizer, has 40 million. */
const LARGEST = 2 ** 28

/**
 * Reads a file of settings: JSON in UTF-8, strictly (see `parseStrictJson`).
 *
 * @param what the file is, for the error
 * @returns undefined when there is no such file
 * @throws CheckpointError when it cannot be read or is no such JSON
 */
export function readJsonFile(path: string, what: string): unknown {
  try {
    const status = statSync(path, { throwIfNoEntry: false })
    if (status === undefined) return undefined
    if (!status.isFile()) throw new Error(`it is ${status.isDirectory() ? 'a folder' : 'no file'}`)
    if (status.size > LARGEST) throw new Error(`it has ${status.size} bytes, the most are ${LARGEST}`)
    const bytes = readFileSync(path)
    if (isPointer(bytes)) throw new Error(POINTER.slice(0, -1))
    return parseStrictJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes), DEEPEST)
  } catch (cause) {
    throw new CheckpointError(`${path} is not valid JSON: ${cause instanceof Error ? cause.message : ''}. Expected ${what}.`, [], { cause })
  }
}

/**
 * As `readJsonFile`, for a file that holds one object.
 *
 * @throws CheckpointError when it cannot be read or holds something else
 */
export function readObjectIfThere(path: string, what: string): Readonly<Record<string, unknown>> | undefined {
  const json = readJsonFile(path, what)
  if (json === undefined) return undefined
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>
  throw new CheckpointError(`${path} is not valid JSON: expected an object with ${what}.`)
}

/**
 * As `readObjectIfThere`, for a file that has to be there.
 *
 * @throws CheckpointError when it is not there, cannot be read or holds something else
 */
export function readJsonObject(path: string, what: string): Readonly<Record<string, unknown>> {
  const json = readObjectIfThere(path, what)
  if (json === undefined) throw new CheckpointError(`${path}: expected ${what}. There is no such file.`)
  return json
}
