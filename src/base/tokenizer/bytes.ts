/** GPT-2's letters for the 256 bytes: printable ones stand for themselves, the others from U+0100 on. */
const letters: string[] = []
const byteOf = new Map<string, number>()

for (let byte = 0, next = 256; byte < 256; byte++) {
  const printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE
  const letter = String.fromCharCode(printable ? byte : next++)
  letters.push(letter)
  byteOf.set(letter, byte)
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** A text's UTF-8 bytes, a letter for each. */
export function bytesAsText(text: string): string {
  let out = ''
  for (const byte of encoder.encode(text)) out += letters[byte] ?? ''
  return out
}

/** The text of tokens made of such letters; one with any other character is taken as it stands. */
export function textOfBytes(tokens: readonly string[]): string {
  const bytes: number[] = []
  for (const token of tokens) {
    const own = Array.from(token, (letter) => byteOf.get(letter))
    for (const byte of own.includes(undefined) ? encoder.encode(token) : own) bytes.push(byte ?? 0)
  }
  return decoder.decode(Uint8Array.from(bytes))
}

/** `<0x0A>` and its like, for each byte of a text: what `byte_fallback` puts in the place of what no token holds. */
export function byteTokens(text: string): string[] {
  return Array.from(encoder.encode(text), (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)
}

/** The text of whole UTF-8 bytes, or undefined where they are none. */
export function strictText(bytes: readonly number[]): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes))
  } catch {
    return undefined
  }
}
