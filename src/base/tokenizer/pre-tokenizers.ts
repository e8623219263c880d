import { bytesAsText } from './bytes.ts'
import { patternOf } from './pattern.ts'
import type { PatternJson } from './pattern.ts'
import { perCharacter, prefixed, sliced } from './places.ts'
import type { Placed, Span } from './places.ts'
import type { Step } from './schema.ts'

/** A stretch of text on its way to the model; `first` where the whole text begins with it. */
export interface Piece extends Placed {
  readonly first: boolean
}

export type PreTokenizer = (pieces: readonly Piece[]) => readonly Piece[]

/** What becomes of what a pattern finds. */
type Behavior = 'Removed' | 'Isolated' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous'

type Finder = (text: string) => Iterable<Span>

/** The pre-tokenizer of tokenizer.json, one that has passed the check; each step as the reference (tokenizers 0.23) does it. */
export function preTokenizerOf(step: Step | null): PreTokenizer {
  if (step === null) return (pieces) => pieces
  switch (step.type) {
    case 'BertPreTokenizer': return chain([splitter(finder(blank), 'Removed'), splitter(finder(punctuation), 'Isolated')])
    case 'ByteLevel': return byteLevel(step)
    case 'CharDelimiterSplit': return splitter(patternOf({ String: step['delimiter'] as string }).spans, 'Removed')
    case 'Digits': return splitter(finder(/\p{N}/gu), step['individual_digits'] === true ? 'Isolated' : 'Contiguous')
    case 'FixedLength': return splitter(finder(new RegExp(`[\\s\\S]{1,${step['length'] as number}}`, 'gu')), 'Isolated')
    case 'Metaspace': return metaspace(step)
    case 'Punctuation': return splitter(finder(punctuation), (step['behavior'] as Behavior | undefined) ?? 'Isolated')
    case 'Split': return splitter(patternOf(step['pattern'] as PatternJson).spans, step['behavior'] as Behavior, step['invert'] === true)
    case 'Whitespace': return splitter(finder(words), 'Removed', true)
    case 'WhitespaceSplit': return splitter(finder(blank), 'Removed')
    default: return chain((step['pretokenizers'] as readonly Step[]).map(preTokenizerOf)) // Sequence: the check knows no other
  }
}

const blank = /\p{White_Space}/gu
const punctuation = /[\p{P}!-/:-@[-`{-~]/gu
const words = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200C\u200D]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200C\u200D\p{White_Space}]+/gu
const gpt2 = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu

function chain(steps: readonly PreTokenizer[]): PreTokenizer {
  return (pieces) => steps.reduce((done, step) => step(done), pieces)
}

function* spansOf(pattern: RegExp, text: string): Iterable<Span> {
  for (const match of text.matchAll(pattern)) yield [match.index, match.index + match[0].length]
}

function finder(pattern: RegExp): Finder {
  return (text) => spansOf(pattern, text)
}

function splitter(find: Finder, behavior: Behavior, invert = false): PreTokenizer {
  return (pieces) => pieces.flatMap((piece) => {
    const parts = split(piece.text, find(piece.text), behavior, invert)
    return parts.map(([begin, end]) => ({ ...sliced(piece, begin, end), first: piece.first && begin === 0 }))
  })
}

/** The places of the pieces of a text, by what was found in it. */
export function split(text: string, found: Iterable<Span>, behavior: Behavior, invert: boolean): Span[] {
  const parts: { begin: number; end: number; match: boolean }[] = []
  let done = 0
  const add = (begin: number, end: number, match: boolean): void => void parts.push({ begin, end, match: match !== invert })
  for (const [begin, end] of found) {
    if (begin > done) add(done, begin, false)
    add(begin, end, true)
    done = end
  }
  if (done < text.length) add(done, text.length, false)

  const out: { begin: number; end: number }[] = []
  let before = false
  const list = behavior === 'MergedWithNext' ? parts.reverse() : parts
  for (const { begin, end, match } of list) {
    const last = out.at(-1)
    if (behavior === 'Removed') {
      if (!match) out.push({ begin, end })
    } else if (behavior === 'Isolated' || last === undefined) out.push({ begin, end })
    else if (behavior === 'Contiguous' ? match === before : match && !before) {
      if (behavior === 'MergedWithNext') last.begin = begin
      else last.end = end
    } else out.push({ begin, end })
    before = match
  }
  if (behavior === 'MergedWithNext') out.reverse()
  return out.filter(({ begin, end }) => end > begin).map(({ begin, end }) => [begin, end])
}

function byteLevel(step: Step): PreTokenizer {
  const add = step['add_prefix_space'] === true
  const byWords = step['use_regex'] === false ? (pieces: readonly Piece[]): readonly Piece[] => pieces : splitter(finder(gpt2), 'Isolated')
  return (pieces) => byWords(pieces.map((piece) => add && !piece.text.startsWith(' ') ? { ...prefixed(piece, ' '), first: piece.first } : piece))
    .map((piece) => ({ ...asBytes(piece), first: piece.first }))
}

const asBytes = perCharacter(bytesAsText)

function metaspace(step: Step): PreTokenizer {
  const mark = step['replacement'] as string
  const scheme = step['prepend_scheme'] ?? 'always'
  const byWords = step['split'] === false ? (pieces: readonly Piece[]): readonly Piece[] => pieces : splitter(patternOf({ String: mark }).spans, 'MergedWithNext')
  const marks = perCharacter((text) => text.replaceAll(' ', mark))
  return (pieces) => byWords(pieces.map((piece) => {
    const marked = marks(piece)
    const prepend = (scheme === 'always' || (scheme === 'first' && piece.first)) && !marked.text.startsWith(mark)
    return { ...prepend ? prefixed(marked, mark) : marked, first: piece.first }
  }))
}
