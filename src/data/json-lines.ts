import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { InputError } from '../errors.ts'
import type { Dataset, Row } from './dataset.ts'

/**
 * Rows of a JSON Lines file: an object on each line. Empty lines are passed over; a name that ends in `.gz` is unpacked.
 *
 * @throws InputError, with file and line, at a line that is no JSON object; what the file system says when it cannot be read
 * @example
 * for await (const { text, label } of jsonLines('mails.jsonl').rows()) console.log(text, label)
 */
export function jsonLines(path: string): Dataset {
  return {
    async *rows(from = 0) {
      const file = openText(path)
      // readline does not pass on an error of its input; without this it would be an uncaught one
      let failure: Error | undefined
      file.once('error', (error) => (failure = error))
      let line = 0
      let index = 0
      try {
        for await (const text of createInterface({ input: file, crlfDelay: Infinity })) {
          line++
          if (text.trim() === '' || index++ < from) continue
          yield parse(text, `${path}: line ${line}`)
        }
      } finally {
        file.destroy()
      }
      if (failure !== undefined) throw failure
    },
  }
}

/** The bytes of a file, unpacked where its name says so. */
export function openText(path: string): Readable {
  const file = createReadStream(path)
  if (!path.endsWith('.gz')) return file
  const unpacked = createGunzip()
  file.once('error', (error) => unpacked.destroy(error))
  unpacked.once('close', () => file.destroy())
  return file.pipe(unpacked)
}

function parse(text: string, where: string): Row {
  let value: unknown
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''))
  } catch (cause) {
    throw new InputError(`${where}: expected a JSON object, got ${excerpt(text)} (${(cause as Error).message})`, [], { cause })
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Row
  throw new InputError(`${where}: expected a JSON object, got ${excerpt(text)}. A file that is one JSON array is not JSON Lines.`)
}

function excerpt(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
}
