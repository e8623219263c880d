// What the file system says of a file that cannot be read, in words.

import { readdir } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { nearTo } from '../base/options.ts'
import { InputError, shown } from '../errors.ts'

/** @throws InputError when it is no path of a file */
export function checkPath(caller: string, path: unknown): void {
  if (typeof path !== 'string' || path === '') throw new InputError(`${caller}: expected the path of a file, got ${shown(path)}.`)
}

/**
 * The error of a file that is not there or is a folder: where was looked, and what is there by a name like it.
 *
 * @param cause what the file system says; it comes back where it is about something else
 */
export async function unreadable(path: string, cause: unknown): Promise<unknown> {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code
  if (code === 'EISDIR') return new InputError(`${path}: expected a file, got a folder; ${listed((await namesIn(path)) ?? [])}.`, [], { cause })
  if (code !== 'ENOENT' && code !== 'ENOTDIR') return cause
  let missing = resolve(path)
  let names = await namesIn(dirname(missing))
  while (names === undefined && dirname(missing) !== missing) {
    missing = dirname(missing)
    names = await namesIn(dirname(missing))
  }
  const near = nearTo(basename(missing), names ?? [])
  const there = near.length > 0 ? `did you mean ${near.map(shown).join(' or ')}?` : `${listed(names ?? [])}.`
  const what = missing === resolve(path) ? `there is no such file in ${dirname(missing)}` : `there is no folder ${shown(basename(missing))} in ${dirname(missing)}`
  return new InputError(`${path}: ${what}; ${there}`, [], { cause })
}

/** Undefined where it is no folder that can be read. */
async function namesIn(folder: string): Promise<readonly string[] | undefined> {
  return await readdir(folder).then((names) => names.sort(), () => undefined)
}

function listed(names: readonly string[]): string {
  if (names.length === 0) return 'it has nothing in it'
  return `it has ${names.slice(0, 8).join(', ')}${names.length > 8 ? ` and ${names.length - 8} more` : ''}`
}
