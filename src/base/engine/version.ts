import { readFileSync } from 'node:fs'
import { tensorflow } from './tensorflow.ts'

/** This library's version. */
export function libraryVersion(): string {
  return (JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { readonly version: string }).version
}

/** That of TensorFlow, where it is the engine. */
export function engineVersion(): string {
  return tensorflow()?.binding.TF_Version ?? 'another engine'
}
