import { strictText, textOfBytes } from './bytes.ts'
import { patternOf } from './pattern.ts'
import type { PatternJson } from './pattern.ts'
import type { Step } from './schema.ts'

type Decoder = (tokens: readonly string[]) => readonly string[]

/** The decoder of tokenizer.json, one that has passed the check; each step as the reference (tokenizers 0.23) does it. */
export function decoderOf(step: Step | null): (tokens: readonly string[]) => string {
  if (step === null) return (tokens) => tokens.join(' ')
  const decode = decoderStep(step)
  return (tokens) => decode(tokens).join('')
}

function decoderStep(step: Step): Decoder {
  switch (step.type) {
    case 'BPEDecoder': return (tokens) => tokens.map((token, i) => token.replaceAll(step['suffix'] as string, i === tokens.length - 1 ? '' : ' '))
    case 'ByteFallback': return byteFallback
    case 'ByteLevel': return (tokens) => [textOfBytes(tokens)]
    case 'CTC': return (tokens) => ctc(tokens, step['pad_token'] as string, step['word_delimiter_token'] as string, step['cleanup'] === true)
    case 'Fuse': return (tokens) => [tokens.join('')]
    case 'Metaspace': {
      const mark = step['replacement'] as string
      return (tokens) => tokens.map((token, i) => token.replaceAll(mark, i === 0 && step['prepend_scheme'] !== 'never' ? '' : ' '))
    }
    case 'Replace': {
      const { replace } = patternOf(step['pattern'] as PatternJson)
      return (tokens) => tokens.map((token) => replace(token, step['content'] as string))
    }
    case 'Strip': return (tokens) => tokens.map((token) => strip(token, step['content'] as string, step['start'] as number, step['stop'] as number))
    case 'WordPiece': return (tokens) => tokens.map((token, i) => {
      const prefix = step['prefix'] as string
      const joined = i === 0 ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`
      return step['cleanup'] === true ? cleanUpToken(joined) : joined
    })
    default: { // Sequence: the check knows no other
      const decoders = (step['decoders'] as readonly Step[]).map(decoderStep)
      return (tokens) => decoders.reduce((done, decode) => decode(done), tokens)
    }
  }
}

/** English as it is written, from tokens with a blank between all of them. */
export function cleanUp(text: string): string {
  const changes = [[' .', '.'], [' ?', '?'], [' !', '!'], [' ,', ','], [" ' ", "'"], [" n't", "n't"], [" 'm", "'m"], [" 's", "'s"], [" 've", "'ve"], [" 're", "'re"]] as const
  return changes.reduce((done, [from, to]) => done.replaceAll(from, to), text)
}

/** Of a single token; the reference adds one rule to those for a whole text. */
function cleanUpToken(token: string): string {
  return cleanUp(token.replaceAll(' do not', " don't"))
}

function byteFallback(tokens: readonly string[]): string[] {
  const out: string[] = []
  let bytes: number[] = []
  const flush = (): void => {
    if (bytes.length > 0) out.push(...(strictText(bytes) === undefined ? bytes.map(() => '\uFFFD') : [strictText(bytes) ?? '']))
    bytes = []
  }
  for (const token of tokens) {
    const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1]
    if (hex === undefined) {
      flush()
      out.push(token)
    } else bytes.push(Number.parseInt(hex, 16))
  }
  flush()
  return out
}

function ctc(tokens: readonly string[], pad: string, delimiter: string, clean: boolean): string[] {
  return tokens.filter((token, i) => token !== tokens[i - 1]).map((token) => {
    const bare = token.replaceAll(pad, '')
    return clean ? cleanUpToken(bare).replaceAll(delimiter, ' ') : bare
  }).filter((token) => token !== '')
}

function strip(token: string, content: string, most: number, mostAtEnd: number): string {
  const characters = Array.from(token)
  let begin = 0
  let end = characters.length
  while (begin < most && characters[begin] === content) begin++
  while (characters.length - end < mostAtEnd && characters[end - 1] === content) end--
  return characters.slice(begin, end).join('')
}
