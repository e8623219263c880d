import { guarded } from './guard.ts'
import { fromOniguruma } from './oniguruma.ts'
import type { Span } from './places.ts'

/** A text, or an expression in Oniguruma's words. */
export interface PatternJson {
  readonly String?: string
  readonly Regex?: string
}

export interface Pattern {
  /** Where it is found in a text, from left to right. */
  readonly spans: (text: string) => Span[]
  readonly replace: (text: string, content: string) => string
}

/**
 * The patterns of model families, which take a time in proportion to the text. They are also the ones that split before
 * a blank between two letters or digits whatever stands around it.
 */
const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
const o200kLetters = [
  `[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+${contractions}?`,
  `[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*${contractions}?`,
].join('|')
export const qwen2Pattern: string = `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`
const familyPatterns = new Set([
  qwen2Pattern, // and Qwen 3
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", // GPT-2
  `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`, // LLaMA 3
  `${contractions}|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+`, // GPT-4
  `${o200kLetters}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`, // GPT-4o, gpt-oss
  `${o200kLetters}|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`, // Mistral's Tekken
])

export function isFamilyPattern(pattern: PatternJson | undefined): boolean {
  return pattern?.Regex !== undefined && familyPatterns.has(pattern.Regex)
}

/** The pattern as JavaScript finds it; any but those of the families is given a limited time for each text. */
export function patternOf(json: PatternJson): Pattern {
  const expression = expressionOf(json)
  const known = json.Regex === undefined || isFamilyPattern(json)
  const limited = <T>(text: string, run: () => T): T => known || text.length < 16 ? run() : guarded(run, `the pattern ${JSON.stringify(json.Regex)} of tokenizer.json`, text)
  const spansOf = (text: string): Span[] => Array.from(text.matchAll(expression), (match): Span => [match.index, match.index + match[0].length])
  return {
    spans: (text) => limited(text, () => spansOf(text)),
    replace: (text, content) => limited(text, () => text.replace(expression, () => content)),
  }
}

function expressionOf({ String: literal, Regex: source }: PatternJson): RegExp {
  if (source === undefined) return new RegExp((literal ?? '').replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'gu')
  try {
    return fromOniguruma(source)
  } catch (cause) {
    throw new Error(`the pattern ${JSON.stringify(source)} is not supported: ${(cause as Error).message}`, { cause })
  }
}
