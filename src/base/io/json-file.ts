import { readFile } from 'node:fs/promises'
import { CheckpointError } from '../../errors.ts'

/**
 * Reads a file that holds one JSON object.
 *
 * @param what the file is, for the error
 * @throws CheckpointError when it cannot be read or holds something else
 */
export async function readJsonObject(path: string, what: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    const json: unknown = JSON.parse(await readFile(path, 'utf8'))
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>
  } catch (cause) {
    throw new CheckpointError(`${path}: expected ${what}. ${cause instanceof Error ? cause.message : ''}`, [], { cause })
  }
  throw new CheckpointError(`${path}: expected ${what}, a JSON object.`)
}
