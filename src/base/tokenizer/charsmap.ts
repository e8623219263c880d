import { edited } from './places.ts'
import type { Edit, Normalizer } from './places.ts'

/**
 * SentencePiece's table of replacements (`nmt_nfkc` and its like): a double array trie of byte strings, whose values are
 * places in a text of replacements that end in a zero byte.
 *
 * @param base64 `precompiled_charsmap` of tokenizer.json
 */
export function precompiled(base64: string | null | undefined): Normalizer {
  if (base64 === null || base64 === undefined || base64 === '') return (text) => text
  const bytes = Buffer.from(base64, 'base64')
  const size = bytes.length >= 4 ? bytes.readUInt32LE(0) : -1
  if (size < 4 || size % 4 !== 0 || 4 + size > bytes.length) throw new Error('normalizer (Precompiled).precompiled_charsmap: expected a table of characters, found none')
  const units = Uint32Array.from({ length: size / 4 }, (_, i) => bytes.readUInt32LE(4 + 4 * i))
  const replacements = bytes.subarray(4 + size)
  const known = new Map<string, string | undefined>()

  /** The replacement of the shortest beginning of `chunk` that has one, for the whole of `chunk`: so the reference does it. */
  const find = (chunk: string): string | undefined => {
    let place = 0
    let unit = units[0] ?? 0
    place ^= offsetOf(unit)
    for (const byte of Buffer.from(chunk)) {
      if (byte === 0) return undefined
      place ^= byte
      unit = units[place] ?? 0
      if ((unit & 0x800000FF) !== byte) return undefined
      place ^= offsetOf(unit)
      if ((unit >>> 8 & 1) === 1) {
        const begin = (units[place] ?? 0) & 0x7FFFFFFF
        const end = replacements.indexOf(0, begin)
        return replacements.subarray(begin, end < 0 ? undefined : end).toString()
      }
    }
    return undefined
  }
  const replacement = (chunk: string): string | undefined => {
    if (!known.has(chunk)) {
      if (known.size >= 100_000) known.clear()
      known.set(chunk, find(chunk))
    }
    return known.get(chunk)
  }

  const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })
  return ({ text, places }) => {
    let out = ''
    const edits: Edit[] = []
    const write = (old: string, now = old): void => {
      out += now
      if (places !== undefined) addEdits(edits, old, now)
    }
    for (const segment of /^[\x20-\x7E]*$/.test(text) ? text : graphemesOf(text)) {
      const whole = Buffer.byteLength(segment) < 6 ? replacement(segment) : undefined
      if (whole !== undefined) write(segment, whole)
      else for (const character of segment) write(character, replacement(character))
    }
    return places === undefined ? { text: out } : edited({ text, places }, edits)
  }

  function* graphemesOf(text: string): Iterable<string> {
    for (const part of partsOf(text)) for (const { segment } of graphemes.segment(part)) yield segment
  }
}

/** Ends of graphemes that are seen without a look further: before a blank or a line's end behind what does not join it, and between two letters of Chinese or Japanese. */
const END = new RegExp(
  '(?<![\\r\\p{Cf}\\u0D4E\\u{111C2}\\u{111C3}\\u{1193F}\\u{11941}\\u{11A3A}\\u{11A84}-\\u{11A89}\\u{11D46}\\u{11F02}])(?=[ \\n])|' +
  '(?<=[\\p{sc=Han}\\p{sc=Hira}\\p{sc=Kana}])(?=[\\p{sc=Han}\\p{sc=Hira}\\p{sc=Kana}])', 'gu')

/** The runtime's segmenter takes the square of a long text's length: it is given a part at a time. */
function* partsOf(text: string): Iterable<string> {
  let begin = 0
  while (text.length - begin > 2000) {
    END.lastIndex = begin + 1000
    const end = END.exec(text)?.index ?? text.length
    yield text.slice(begin, end)
    begin = end
  }
  yield text.slice(begin)
}

/** As the reference counts them: what is removed goes with the character before it, and is not counted where there is none. */
function addEdits(edits: Edit[], old: string, now: string): void {
  const [before, after] = [Array.from(old).length, Array.from(now)]
  after.forEach((character, i) => void edits.push([character, i < before ? 0 : 1]))
  const last = edits.at(-1)
  if (after.length < before && last !== undefined) edits[edits.length - 1] = [last[0], last[1] + after.length - before]
}

/** The step from a node to its children. */
function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & (1 << 9)) >>> 6)
}
