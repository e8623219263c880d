import { join } from 'node:path'
import type { ConfigJson } from '../architecture.ts'
import { readObjectIfThere } from '../files/json-file.ts'
import type { Settings } from '../settings.ts'

/** How a model's own files say that texts are continued. */
export interface GenerationFile {
  /** The file's path. */
  readonly file: string
  readonly json: Settings
}

/** Of a model that continues no texts. */
export const NO_FILE: GenerationFile = { file: '', json: {} }

/**
 * generation_config.json, or config.json where there is none: as in transformers, the one takes the other's place.
 *
 * @throws CheckpointError when it cannot be read
 */
export function readGenerationFile(folder: string, config: ConfigJson): GenerationFile {
  const file = join(folder, 'generation_config.json')
  const json = readObjectIfThere(file, 'settings of generation')
  return json === undefined ? { file: join(folder, 'config.json'), json: config } : { file, json }
}
