import type { Model } from '../base/model.ts'
import { checkNames, type Names } from '../base/options.ts'
import type { Tokenizer } from '../base/tokenizer/tokenizer.ts'
import { InputError, shown } from '../errors.ts'
import { embed } from '../training/embed.ts'
import { ANSWER_OPTIONS, answering, checkTexts, rowsOf, type AnswerOptions } from './rows.ts'

/** A text that was found. */
export interface Similar {
  readonly text: string
  /** Its place in the list. */
  readonly index: number
  /** Cosine of the angle between its vector and the query's: 1 for the same direction. */
  readonly similarity: number
}

/** How texts are sought. */
export interface SimilarOptions extends AnswerOptions {
  /** Most texts that are given. @default 5 */
  readonly top?: number
  /** What `embed` gave for these texts before: then the query alone is run through the model. @default the texts are embedded */
  readonly vectors?: Float32Array
}

const NAMES: Names<SimilarOptions> = { ...ANSWER_OPTIONS, top: true, vectors: true }

/**
 * The texts that are nearest to a query in meaning, the nearest first.
 *
 * @throws InputError when the model is for another task, the texts are none, the vectors are not theirs, or it has no adapter of the name
 * @example
 * const encoder = await loadModel('sentence-transformers/all-MiniLM-L6-v2', { task: 'sentence-embedding' })
 * const answers = ['Open the settings and choose "new password".', 'We deliver within three days.']
 * const vectors = await embed(encoder, { ids: tokenizer.encode(answers).ids }) // once for many queries
 * const [nearest] = await similar(encoder, tokenizer, 'I cannot log in', answers, { top: 1, vectors })
 * console.log(nearest?.text, nearest?.similarity)
 */
export async function similar(model: Model, tokenizer: Tokenizer, query: string, texts: readonly string[], options: SimilarOptions = {}): Promise<Similar[]> {
  checkNames('similar', options, NAMES)
  const { top = 5, vectors, ...rest } = options
  const seen = answering('similar', model, tokenizer, 'sentence-embedding', rest)
  checkTexts('similar', texts)
  const D = seen.model.parts.architecture.hiddenSize
  const problems: string[] = []
  if (typeof query !== 'string') problems.push(`query: expected a text, got ${shown(query)}`)
  if (!Number.isInteger(top) || top < 1) problems.push(`top: expected an integer of at least 1, got ${shown(top)}`)
  if (vectors !== undefined && (!ArrayBuffer.isView(vectors) || vectors.length !== texts.length * D)) {
    const got = (vectors as unknown) instanceof Promise ? 'a Promise; write `await` before embed(…)' : ArrayBuffer.isView(vectors) ? vectors.length : `${shown(vectors)}, which is no Float32Array`
    problems.push(`vectors: expected ${D} numbers for each of ${texts.length} texts, as embed gives them, got ${got}`)
  }
  if (problems.length > 0) throw new InputError('similar: the texts cannot be compared:', problems)
  const run = async (some: readonly string[]): Promise<Float32Array> => embed(seen.model, rowsOf(seen, tokenizer, some), { batchSize: seen.batchSize })
  const isNew = vectors !== undefined && texts.length > 0 && !compared.has(vectors)
  const probe = isNew ? [0, texts.length - 1] : [] // they tell another order too
  const all = await run([query, ...(vectors === undefined ? texts : probe.map((index) => texts[index] ?? ''))])
  const [own, others] = [all.subarray(0, D), vectors ?? all.subarray(D)]
  if (isNew) compared.add(vectors)
  const near = probe.map((index, i) => [index, cosine(all.subarray((i + 1) * D, (i + 2) * D), others.subarray(index * D, (index + 1) * D))] as const)
  const far = near.find(([, similarity]) => !(similarity > SAME))
  if (far !== undefined) console.warn(`similar: the vector of text ${far[0]} is another than the model makes of it now (their cosine is ${far[1].toFixed(2)}). Were the vectors made by another model or adapter, of texts in another order, cut elsewhere or with words before them? Then embed them anew.`)
  return texts.map((text, index) => ({ text, index, similarity: cosine(own, others.subarray(index * D, (index + 1) * D)) }))
    .sort((a, b) => b.similarity - a.similarity).slice(0, top)
}

/** Vectors of which two have been held against the model. */
const compared = new WeakSet<Float32Array>()

/** Cosine of two vectors of one text, made in batches of other lengths and in bfloat16 too. */
const SAME = 0.98

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array): number => x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0)
  return dot(a, b) / (Math.sqrt(dot(a, a) * dot(b, b)) || 1)
}
