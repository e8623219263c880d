// Settings of attention to the nearest tokens only.

import { shown } from '../../errors.ts'
import type { SectionReader } from '../settings.ts'
import type { LlamaConfig } from './llama.ts'

/** Tokens that a query sees, itself too; all where the file says null. @param usual where the file says nothing; 0 for all */
export function readWindow(read: SectionReader, usual = 4096): number | undefined {
  const window = read.integer('sliding_window', { min: 1, fallback: usual })
  return read.isNull('sliding_window') || window === 0 ? undefined : window
}

/** The window of each layer, in Qwen's words: off, or in the upper layers, or as layer_types says. */
export function readUpperWindows(read: SectionReader, layers: number): LlamaConfig['window'] {
  const used = read.flag('use_sliding_window', false)
  const given = readWindow(read)
  const first = read.integer('max_window_layers', { min: 0, fallback: 28 })
  const window = used ? given : undefined
  return readLayerWindows(read, layers, window, (layer) => window !== undefined && layer >= first)
}

const KINDS: Readonly<Record<string, boolean>> = { full_attention: false, attention: false, sliding_attention: true }

/**
 * The window of each layer, where layer_types says which have it.
 *
 * @param usual whether a layer has it where the file has no layer_types
 */
export function readLayerWindows(
  read: SectionReader,
  layers: number,
  window: number | undefined,
  usual: (layer: number) => boolean,
): LlamaConfig['window'] {
  if (!read.has('layer_types')) return (layer) => (usual(layer) ? window : undefined)
  const types = read.list('layer_types', 'text')
  const unknown = types.filter((type) => !Object.hasOwn(KINDS, type))
  read.check(unknown.length === 0, `layer_types: expected full_attention or sliding_attention, got ${shown(unknown[0])}`)
  read.check(types.length === layers, `layer_types: expected ${layers}, one for each of num_hidden_layers, got ${types.length}`, ['layer_types', 'num_hidden_layers'])
  read.check(window !== undefined || !types.includes('sliding_attention'), 'layer_types: expected no sliding_attention where there is no sliding_window', ['sliding_window'])
  return (layer) => (KINDS[types[layer] ?? ''] === true ? window : undefined)
}
