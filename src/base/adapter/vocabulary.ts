import * as tf from '@tensorflow/tfjs-core'
import type { Model } from '../model.ts'
import { storedOf } from '../parameters.ts'
import { taskRecord } from '../tasks/task.ts'
import type { Site } from '../sites.ts'
import { sameValues } from '../ties.ts'
import type { NamedTensor, NamedTensors } from './file-format.ts'

/** The parts of a model that its vocabulary decides. */
type Parts = Pick<Model['parts'], 'sites' | 'task' | 'architecture'>

/** How many words a model has as it was loaded; 0 where it takes no token ids. */
export function vocabSizeOf({ architecture: { text } }: Pick<Parts, 'architecture'>): number {
  return text?.vocabSize ?? 0
}

/** Full names of the tables in which the rows of texts are looked up. */
export function tablesOf(sites: readonly Site[]): string[] {
  return [...new Set(sites.flatMap((site) => (site.kind === 'sequence' ? (site.table ?? []) : [])))]
}

/** The first of them, whose rows are the words; undefined where the model has none. */
export function tableOf(sites: readonly Site[]): string | undefined {
  return tablesOf(sites)[0]
}

/** Full names of the parameters with a row for each word: the table, and where the task has one, its head's weight and bias. */
export function vocabularyParams(parts: Parts): ReadonlySet<string> {
  const { sites, task } = parts
  const hasHead = taskRecord(task).language === true
  return new Set(sites.flatMap((site) => {
    if (site.kind === 'sequence') return [...(site.table === undefined ? [] : [site.table]), ...(site.besides ?? [])]
    if (site.kind !== 'linear' || !hasHead || site.role !== 'head' || site.outSize !== vocabSizeOf(parts)) return []
    return site.bias === undefined ? [site.weight] : [site.weight, site.bias]
  }))
}

/** What an adapter's file holds besides the adapter's own tensors. */
export interface Sorted {
  readonly own: NamedTensors
  /** The base's tables as the adapter was trained on them, where they are of another size than the model's. */
  readonly base: NamedTensors
  readonly problems: readonly string[]
}

/**
 * Tells the base's own tables in an adapter's file, which PEFT writes where they are adapted or were resized
 * (`save_embedding_layers`), from what was trained. What the model has itself is left out.
 *
 * @param isTrained whether a name is one of the adapter's own tensors
 * @param ownTables tables as large as the model's may be others
 */
export function sortBase(
  model: Model, given: NamedTensors, { isTrained, ownTables }: { readonly isTrained: (name: string) => boolean; readonly ownTables: boolean },
): Sorted {
  const { parts } = model
  const params = vocabularyParams(parts)
  const own = new Map<string, NamedTensor>()
  const base = new Map<string, NamedTensor>()
  const problems: string[] = []
  for (const [name, tensor] of given) {
    const written = name.replace(/\.(base_layer|token_adapter\.base_layer|original_module|modules_to_save)\.(weight|bias)$/, '.$2')
    const bare = parts.architecture.keys.alsoCalled?.[written] ?? written
    const kept = parts.ties.get(bare) ?? bare
    if (!params.has(bare) || isTrained(name)) own.set(name, tensor)
    else if (/\.modules_to_save\.\w+$/.test(name) || isBase(model, kept, tensor)) continue // a trained copy again, or what the model has
    else if (!ownTables && tensor.shape[0] === vocabSizeOf(parts)) problems.push(`unexpected: ${name}, which is not the model's own: the adapter was made for another base`)
    else {
      const other = base.get(kept)
      if (other !== undefined && !sameValues(other.values, tensor.values)) problems.push(`${name}: the file has another ${kept} too, and the two are one tensor`)
      base.set(kept, tensor)
    }
  }
  return { own, base, problems }
}

/** Whether the model holds these numbers, to its own precision. */
function isBase(model: Model, name: string, { shape, values }: NamedTensor): boolean {
  const stored = storedOf(model, name)
  if (stored.shape.join() !== shape.join()) return false
  return tf.tidy(() => {
    const given = stored.kind.of(tf.tensor(values, [...shape]))
    const [own = values, other = values] = [stored, given].map((weight) => weight.float32().dataSync<'float32'>())
    given.dispose()
    return sameValues(own, other)
  })
}

/** How many words an adapter's tables have: as many as the model's unless they were resized. */
export function wordsOf({ parts }: Model, ...tables: readonly NamedTensors[]): number {
  const params = vocabularyParams(parts)
  const counts = tables.flatMap((table) => [...table].flatMap(([name, { shape: [count = 0] }]) => (params.has(name) ? [count] : [])))
  return counts.find((count) => count !== vocabSizeOf(parts)) ?? vocabSizeOf(parts)
}

/** What is in the way of running the model with so many words where the adapter replaces these parameters. */
export function wordProblems({ parts }: Model, words: number, replaced: ReadonlyMap<string, string>): string[] {
  if (words === vocabSizeOf(parts)) return []
  return [...vocabularyParams(parts)].filter((name) => !replaced.has(name)).map((name) =>
    `${name}: the adapter has ${words} words and the model ${vocabSizeOf(parts)}, and this is not in the file; save it in ` +
      'PEFT with save_pretrained(…, save_embedding_layers=True)')
}
