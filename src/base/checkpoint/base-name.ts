import { resolve } from 'node:path'
import type { Model, ModelParts } from '../model.ts'

/** Folders that models were saved to, as their adapters name them. */
const folders = new WeakMap<ModelParts, string>()

export function noteSaved({ parts }: Model, folder: string): void {
  folders.set(parts, resolve(folder))
}

/** What the files of an adapter call its base. A model that was merged in memory is none of its source's: it is where it was saved. */
export function baseNameOf({ parts }: Model): { readonly name: string; readonly isNowhere: boolean } {
  const isInFiles = (parts.merged ?? []).every(({ inFiles }) => inFiles)
  const folder = isInFiles ? undefined : folders.get(parts)
  return { name: folder ?? parts.source, isNowhere: !isInFiles && folder === undefined }
}
