// Tiny models of every family with a tokenizer of single words that fits them.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadModel } from '../src/base/checkpoint/load.ts'
import type { Model } from '../src/base/model.ts'
import { loadTokenizer, type Tokenizer } from '../src/base/tokenizer/tokenizer.ts'
import { vocabSizeOf } from '../src/base/adapter/vocabulary.ts'
import { goldenPath } from './golden.ts'
import { FAMILIES, rewritten } from './ties.ts'

export interface Worded {
  readonly folder: string
  readonly model: Model
  readonly tokenizer: Tokenizer
}

/** @param spare rows of the table beyond the tokenizer's tokens */
export async function withWords(family: string, folder: string, { spare = 0, head = false }: { readonly spare?: number; readonly head?: boolean } = {}): Promise<Worded> {
  const { source, task, head: name, table } = FAMILIES[family] as (typeof FAMILIES)[string]
  const size = await loadModel(goldenPath(source), { task })
  const count = vocabSizeOf(size.parts) - spare
  size.dispose()
  await rewritten(source, folder, (tensors) => {
    const rows = tensors.get(`${table}.weight`)
    if (head && rows !== undefined) tensors.set(`${name}.weight`, { shape: rows.shape, data: rows.data.map((value, i) => Math.sin(i) * 0.1 - value) })
  }, head ? { tie_word_embeddings: false } : {})
  await writeTokenizer(folder, count)
  return { folder, model: await loadModel(folder, { task }), tokenizer: await loadTokenizer(folder) }
}

export async function writeTokenizer(folder: string, count: number): Promise<void> {
  await mkdir(folder, { recursive: true })
  const words = ['[UNK]', ...Array.from({ length: count - 1 }, (_, i) => `w${i + 1}`)]
  const json = {
    version: '1.0', truncation: null, padding: null, normalizer: null, pre_tokenizer: { type: 'Split', pattern: { Regex: '[ -]' }, behavior: 'Removed', invert: false }, post_processor: null, decoder: null,
    added_tokens: [{ id: 0, content: '[UNK]', single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }],
    model: { type: 'WordLevel', unk_token: '[UNK]', vocab: Object.fromEntries(words.map((word, id) => [word, id])) },
  }
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(json))
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ tokenizer_class: 'PreTrainedTokenizerFast', unk_token: '[UNK]', added_tokens_decoder: { 0: { content: '[UNK]', special: true } } }))
}
