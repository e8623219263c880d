import { isUtf8 } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { open as openFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { InputError, shown } from '../errors.ts'
import { unreadable } from './no-file.ts'
import { isPointer, POINTER, POINTER_BYTES } from '../base/files/git-lfs.ts'

/** How files of text with a row on each line are read. */
export interface TextFileOptions {
  /** Most bytes of one row: a file without line breaks is not taken into memory as a whole. @default 67108864 (64 MiB) */
  readonly maxRowBytes?: number
}

/** Whole lines of a file, as text. */
export interface Lines {
  readonly text: string
  /** Number of the first of them, from 1. */
  readonly line: number
}

export const MAX_ROW_BYTES: number = 2 ** 26

const LINE_BREAK = 0x0a

/**
 * The text of a file, some whole lines at a time, unpacked where the name ends in `.gz`.
 *
 * @throws InputError, with file and line, where the packed data is damaged, the text is not UTF-8 or a line is too long; where there is no such
 *   file, with what is there
 */
export async function* linesOf(path: string, maxRowBytes: number): AsyncGenerator<Lines, void> {
  checkRowBytes(path, maxRowBytes)
  let line = 1
  let length = 0
  let pieces: Buffer[] = [] // of lines that have not ended
  const take = (): Lines => {
    const bytes = Buffer.concat(pieces)
    const lines = { text: decoded(path, bytes, line), line }
    for (let at = bytes.indexOf(LINE_BREAK); at >= 0; at = bytes.indexOf(LINE_BREAK, at + 1)) line++
    pieces = []
    return lines
  }
  for await (const chunk of chunksOf(path, () => line)) {
    const end = chunk.lastIndexOf(LINE_BREAK) + 1
    length += end > 0 ? chunk.indexOf(LINE_BREAK) : chunk.length
    if (length > maxRowBytes) throw new InputError(`${path}: line ${line} has more than ${maxRowBytes} bytes. Is it a file with a row on each line? Where it is, raise maxRowBytes.`)
    if (end > 0) {
      pieces.push(chunk.subarray(0, end))
      yield take()
      length = chunk.length - end
    }
    pieces.push(Buffer.from(chunk.subarray(end)))
  }
  if (pieces.some((piece) => piece.length > 0)) yield take()
}

/** @throws InputError when it is no number of bytes */
export function checkRowBytes(path: string, maxRowBytes: number): void {
  if (!Number.isInteger(maxRowBytes) || maxRowBytes < 1) throw new InputError(`${path}: maxRowBytes: expected an integer of at least 1, got ${shown(maxRowBytes)}.`)
}

/**
 * The bytes of a file, some at a time, unpacked where the name ends in `.gz`.
 *
 * @param line that the reader is at
 * @throws InputError, with file and line, where the packed data is damaged; where there is no such file, with what is there
 */
export async function* chunksOf(path: string, line: () => number): AsyncGenerator<Buffer, void> {
  const file = open(path)
  let isFirst = true
  try {
    for await (const chunk of file as AsyncIterable<Buffer>) {
      if (isFirst && isPointer(chunk)) throw new InputError(`${path}: ${POINTER}`)
      isFirst = false
      yield chunk
    }
  } catch (cause) {
    if (!(cause instanceof Error) || !('code' in cause) || !String(cause.code).startsWith('Z_')) throw await unreadable(path, cause)
    if (await startsAsPointer(path)) throw new InputError(`${path}: ${POINTER}`)
    const packed = 'the packed data is damaged or cut'
    throw new InputError(`${path}: line ${line()}: ${packed} (${cause.message}). Download or pack the file again.`, [], { cause })
  } finally {
    file.destroy()
  }
}

async function startsAsPointer(path: string): Promise<boolean> {
  const handle = await openFile(path)
  const { buffer } = await handle.read(Buffer.alloc(POINTER_BYTES), 0, POINTER_BYTES, 0)
  await handle.close()
  return isPointer(buffer)
}

function open(path: string): Readable {
  const file = createReadStream(path)
  if (!path.endsWith('.gz')) return file
  const unpacked = createGunzip()
  file.once('error', (error) => unpacked.destroy(error))
  unpacked.once('close', () => file.destroy())
  return file.pipe(unpacked)
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The text that bytes are.
 *
 * @param line of the file that they begin in
 * @throws InputError, with file and line, where they are not UTF-8
 */
export function decoded(path: string, bytes: Buffer, line: number): string {
  try {
    const text = utf8.decode(bytes)
    return line === 1 ? text.replace(/^\uFEFF/, '') : text
  } catch (cause) {
    let begin = 0
    for (; begin < bytes.length; line++) {
      const end = bytes.indexOf(LINE_BREAK, begin) + 1 || bytes.length
      if (!isUtf8(bytes.subarray(begin, end))) break
      begin = end
    }
    throw new InputError(`${path}: line ${line} is not UTF-8. Save the file as UTF-8.`, [], { cause })
  }
}
