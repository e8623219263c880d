import type { PostProcessorJson } from './template.ts'
import type { TokenPlace } from './text.ts'

/** Takes the blanks that a token begins and ends with out of its place. */
type Trim = (places: readonly TokenPlace[]) => TokenPlace[]

/** What post-processors of tokenizer.json, ones that have passed the check, do to places, as the reference (tokenizers 0.23) does it. */
export function trimOf(json: PostProcessorJson | null): Trim {
  if (json?.type === 'Sequence') {
    const trims = json.processors.map(trimOf)
    return (places) => trims.reduce((done, trim) => trim(done), [...places])
  }
  const trims = (json?.type === 'ByteLevel' || json?.type === 'RobertaProcessing') && json.trim_offsets !== false
  return trims ? (places) => places.map((place, i) => trimmed(place, i === 0, json.add_prefix_space !== false)) : (places) => [...places]
}

function trimmed(place: TokenPlace, isFirst: boolean, prefixed: boolean): TokenPlace {
  const blanks = (pattern: RegExp): number => pattern.exec(place.token)?.[0].length ?? 0
  let [begin, end] = place.span
  const leading = blanks(/^[Ġ\p{White_Space}]+/u)
  const added = prefixed && leading === 1 && (isFirst || begin === 0) // by the pre-tokenizer: no blank of the text
  if (!added) begin = Math.min(moved(place.text, begin, leading), end)
  end = Math.max(moved(place.text, end, -blanks(/[Ġ\p{White_Space}]+$/u)), begin)
  return { ...place, span: [begin, end] }
}

/** The place some characters further on: a blank that was put before a text has the place of a character, which may be two units. */
function moved(text: string, from: number, characters: number): number {
  let at = from
  for (let left = characters; left > 0; left--) at += (text.codePointAt(at) ?? 0) > 0xFFFF ? 2 : 1
  for (let left = characters; left < 0; left++) at -= (text.codePointAt(at - 2) ?? 0) > 0xFFFF ? 2 : 1
  return at
}
