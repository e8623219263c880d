// A model with other parameters in some places, which shares the others with the one it is made of.

import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import type { ConfigJson } from '../architecture.ts'
import { FLOAT32 } from '../engine/float32.ts'
import { inFloat32, type FrozenWeight, type WeightKind } from '../engine/frozen-weight.ts'
import { Model } from '../model.ts'
import { storedOf } from '../parameters.ts'
import type { ParameterSpec } from '../sites.ts'
import type { Classes } from './classes.ts'
import type { Merged } from './merged.ts'
import { otherRows, resizedSites, resizedSpecs } from './resized.ts'
import { tableOf, vocabSizeOf } from './vocabulary.ts'

/** The model with other tensors in some places. What was one tensor and is two now is kept as two. */
export function withParams(model: Model, changed: ReadonlyMap<string, Tensor>, classes: Classes, merged: readonly Merged[] | undefined = model.parts.merged): Model {
  const { parts } = model
  const place = (name: string): FrozenWeight | Tensor => changed.get(name) ?? storedOf(model, name)
  const ties = new Map([...parts.ties].filter(([name, kept]) => place(name) === place(kept)))
  const parted = [...parts.ties].filter(([name]) => !ties.has(name))
  const table = tableOf(parts.sites)
  const words = table === undefined ? 0 : place(table).shape[0]
  const rows = otherRows(parts, { words, classes: classes.labels.length })
  const resized = resizedSpecs(parts, rows)
  const specs = new Map([...resized, ...parted.map(([name, kept]) => [name, { ...(resized.get(kept) as ParameterSpec), part: 'weight' }] as const)])
  const params = new Map([...specs].map(([name, spec]) => {
    const weight = spec.words === true ? asWide(place(name), words) : place(name)
    return [name, weight instanceof tf.Tensor ? FLOAT32.of(weight) : weight.clone()]
  }))
  const notes = parted.map(([name, kept]) =>
    `merge: ${kept} and ${name} were one tensor, and the adapter does not change them alike: the merged model has two ` +
      '(tie_word_embeddings: false). PEFT changes both when it merges, and its merged model computes otherwise than the adapted one.')
  const { text } = parts.architecture
  const architecture = text === undefined ? parts.architecture : { ...parts.architecture, text: { ...text, vocabSize: words } }
  const other = words === vocabSizeOf(parts) ? {} : { config: { ...parts.config, ...vocabularySettings(parts.config, words) }, grown: parts.grown ?? {} }
  const initialized = parts.initialized.filter((name) => !changed.has(name))
  return new Model({ ...parts, ...classes, ...other, ...(merged === undefined ? {} : { merged }), initialized, architecture, sites: resizedSites(parts.sites, rows), specs, params, ties, notes: [...parts.notes, ...notes] })
}

/** A row of numbers for words, with zeros for new ones. */
function asWide(weight: FrozenWeight | Tensor, words: number): FrozenWeight | Tensor {
  const [, width = words] = weight.shape
  if (width === words) return weight
  const row = inFloat32(weight) as Tensor2D
  return width < words ? tf.pad(row, [[0, 0], [0, words - width]]) : tf.slice(row, [0, 0], [-1, words])
}

/** The settings that say how many words there are: each table may have one. */
function vocabularySettings(config: ConfigJson, words: number): ConfigJson {
  return Object.fromEntries(['vocab_size', ...Object.keys(config).filter((key) => key.startsWith('vocab_size'))].map((key) => [key, words]))
}

/**
 * Changed weights are held as the base's are, or as another kind; what was compared are the sums before they are rounded. What did not
 * change and is of the kind already is shared.
 *
 * @param kindAfter of what was of a kind
 */
export function rounded(merged: Model, before: Model, kindAfter: (kind: WeightKind) => WeightKind = (kind) => kind): Model {
  const params = new Map(merged.parts.params)
  const errors: number[] = []
  for (const [name, weight] of params) {
    const { kind } = storedOf(before, name)
    const wanted = kindAfter(kind)
    if (weight.kind === wanted) continue
    tf.tidy(() => {
      const exact = weight.float32()
      const held = wanted.of(exact)
      params.set(name, held)
      if (held.packed !== undefined) errors.push(relativeError(exact, held.float32()))
    })
    weight.dispose()
  }
  const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length
  const notes = errors.length === 0 ? [] : [
    `merge: ${errors.length} weights were quantised again: their numbers are off by ${percent(mean)} of their size on the mean, by ${percent(Math.max(...errors))} at most.`]
  return new Model({ ...merged.parts, params, notes: [...merged.parts.notes, ...notes] })
}

/** The root of the mean square of what they differ by, as a share of that of the first. */
function relativeError(exact: Tensor, held: Tensor): number {
  const norms = [tf.sub(held, exact), exact].map((tensor) => tf.norm(tensor).dataSync()[0] as number)
  return (norms[0] as number) / Math.max(norms[1] as number, Number.MIN_VALUE)
}

function percent(share: number): string {
  return `${(100 * share).toPrecision(2)} %`
}
