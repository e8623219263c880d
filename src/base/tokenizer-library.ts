import { Tokenizer } from '@huggingface/tokenizers'

/** The parts of a tokenizer of `@huggingface/tokenizers` that are used here. */
export interface LibraryTokenizer {
  readonly normalizer: ((text: string) => string) | null
  readonly pre_tokenizer: ((text: string, options: { readonly section_index: number }) => string[]) | null
  readonly model: {
    (words: readonly string[]): string[]
    readonly vocab: readonly (string | undefined)[]
    readonly tokens_to_ids: ReadonlyMap<string, number>
    readonly unk_token?: string | undefined
    readonly unk_token_id?: number | undefined
  }
  decode(ids: readonly number[], options: { readonly skip_special_tokens: boolean; readonly clean_up_tokenization_spaces: boolean }): string
  token_to_id(token: string): number | undefined
}

/**
 * Builds the library's tokenizer. Its own declarations import each other without file extensions, which TypeScript
 * does not follow in an ESM package; hence the interface above.
 */
export function libraryTokenizer(json: object, config: object): LibraryTokenizer {
  const Constructor = Tokenizer as unknown as new (json: object, config: object) => LibraryTokenizer
  return new Constructor(json, config)
}
