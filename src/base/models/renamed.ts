import type { CheckpointKeys } from '../architecture.ts'

/**
 * Keys of modules that checkpoints call otherwise than HF transformers and PEFT do. A file may have either name.
 *
 * @param modules own name and the files', each a path within a layer; of paths with the same end the longer first
 */
export function renamedModules(modules: readonly (readonly [own: string, file: string])[]): Pick<Required<CheckpointKeys>, 'rename' | 'written'> {
  const path = (name: string): RegExp => new RegExp(`(^|\\.)${name.replaceAll('.', '\\.')}\\.`)
  return {
    rename: modules.map(([own, file]) => [path(file), `$1${own}.`]),
    written: modules.map(([own, file]) => [path(own), `$1${file}.`]),
  }
}
