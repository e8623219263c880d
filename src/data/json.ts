import { InputError, shown } from '../errors.ts'
import type { Dataset } from './dataset.ts'
import { jsonObject } from './json-object.ts'
import { checkPath } from './no-file.ts'
import { checkRowBytes, chunksOf, decoded, MAX_ROW_BYTES, type TextFileOptions } from './text-file.ts'
import { checkNames } from '../base/options.ts'

/**
 * Rows of a JSON file that is one array of objects, read as they are asked for; a name that ends in `.gz` is unpacked. A file with an
 * object on each line is read by `jsonLines`.
 *
 * @throws InputError, with file and line, where the file is no array, or a row of it is no object or has a name twice, not UTF-8 or too
 *   long, and where packed data is damaged; where there is no such file, with what is there
 * @example
 * for await (const { text, label } of json('mails.json').rows()) console.log(text, label)
 */
export function json(path: string, options: TextFileOptions = {}): Dataset {
  checkPath('json', path)
  checkNames('json', options, { maxRowBytes: true })
  const { maxRowBytes = MAX_ROW_BYTES } = options
  return {
    async *rows(from = 0) {
      let index = 0
      for await (const { bytes, line } of elementsOf(path, maxRowBytes)) {
        if (index++ < from) continue
        yield jsonObject(decoded(path, bytes, line), `${path}: line ${line}`, LINES_INSTEAD)
      }
    },
  }
}

const LINES_INSTEAD = 'A file with an object on each line is read by jsonLines(path).'

const WITHIN_OBJECT = `expected one JSON array of objects, got an object. ${LINES_INSTEAD} An array that the object holds: datasetOf(JSON.parse(text).name).`

const [LINE_BREAK, QUOTE, BACKSLASH, COMMA, OPENING, CLOSING, BRACE] = Array.from('\n"\\,[]{', (char) => char.charCodeAt(0))
const BLANKS = new Set(Buffer.from(' \t\r\n'))
const OPENINGS = new Set(Buffer.from('[{'))
const CLOSINGS = new Set(Buffer.from(']}'))
const BOM = Buffer.from('\uFEFF')

interface Element {
  readonly bytes: Buffer
  /** That it begins in, from 1. */
  readonly line: number
}

/** The elements of the array that a file is, by its brackets and texts alone: what they are is for others to see. */
async function* elementsOf(path: string, maxRowBytes: number): AsyncGenerator<Element, void> {
  checkRowBytes(path, maxRowBytes)
  let state: 'before' | 'inside' | 'behind' = 'before'
  let line = 1
  let depth = 0 // of brackets open within an element
  let inText = false
  let escaped = false
  let taken = 0
  let element: { readonly line: number; readonly pieces: Buffer[]; length: number } | undefined
  const wrong = (expected: string, byte: number | undefined): InputError =>
    new InputError(`${path}: line ${line}: expected ${expected}, got ${byte === undefined ? 'the end of the file' : shown(String.fromCharCode(byte))}. ${LINES_INSTEAD}`)
  for await (const chunk of chunksOf(path, () => line)) {
    let start = state === 'before' && chunk.subarray(0, BOM.length).equals(BOM) ? BOM.length : 0
    for (let i = start; i < chunk.length; i++) {
      const byte = chunk[i] as number // within the chunk
      if (byte === LINE_BREAK) line++
      if (inText) {
        inText = byte !== QUOTE || escaped
        escaped = byte === BACKSLASH && !escaped
      } else if (BLANKS.has(byte)) continue
      else if (state === 'before') {
        if (byte === BRACE) throw new InputError(`${path}: line ${line}: ${WITHIN_OBJECT}`)
        if (byte !== OPENING) throw wrong('one JSON array of objects', byte)
        state = 'inside'
      } else if (state === 'behind') throw wrong('nothing behind the array', byte)
      else if (depth === 0 && (byte === COMMA || CLOSINGS.has(byte))) {
        if (element === undefined && (byte === COMMA || taken > 0)) throw wrong('an object', byte)
        if (element !== undefined) yield { bytes: Buffer.concat([...element.pieces, chunk.subarray(start, i)]), line: element.line }
        element = undefined
        taken++
        if (byte === COMMA) continue
        if (byte !== CLOSING) throw wrong('the end of the array', byte)
        state = 'behind'
      } else {
        if (element === undefined) {
          element = { line, pieces: [], length: 0 }
          start = i
        }
        if (byte === QUOTE) inText = true
        else if (OPENINGS.has(byte)) depth++
        else if (CLOSINGS.has(byte)) depth--
      }
    }
    if (element === undefined) continue
    element.pieces.push(Buffer.from(chunk.subarray(start)))
    element.length += chunk.length - start
    if (element.length > maxRowBytes) {
      throw new InputError(`${path}: line ${element.line}: a row has more than ${maxRowBytes} bytes. Is a quote or a bracket not closed? If none is, raise maxRowBytes.`)
    }
  }
  if (state !== 'behind') throw wrong('one whole JSON array of objects', undefined)
}
