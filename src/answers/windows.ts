// A text that is longer than a row is read in windows that overlap.

import { shown } from '../errors.ts'

/** Tokens that a window has in common with the one before, where the caller names no number: less where there is little room. */
export function strideFor(asked: number | undefined, maxLength: number, room: number): number {
  const usual = Math.min(Math.floor(maxLength / 2), 128)
  return asked ?? (usual < room ? usual : Math.floor(room / 2))
}

/** Where the windows over so many tokens begin and end; the last one ends with the tokens. */
export function windowsOver(length: number, room: number, stride: number): readonly (readonly [from: number, to: number])[] {
  const windows: [number, number][] = []
  for (let from = 0; ; from += room - stride) {
    windows.push([from, Math.min(from + room, length)])
    if (from + room >= length) return windows
  }
}

/** @returns what is wrong with a stride that was asked for */
export function strideProblems(stride: unknown): string[] {
  return stride === undefined || (Number.isInteger(stride) && (stride as number) >= 0) ? [] : [`stride: expected a number of tokens, got ${shown(stride)}`]
}
