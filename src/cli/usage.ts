// How a command is called, and how it ends.

import { parseArgs, type ParseArgsConfig } from 'node:util'

/** Exit codes: the command could not do its work or found a problem; it was called wrongly; Ctrl-C. */
export const FAILED = 1
export const MISUSED = 2
export const INTERRUPTED = 130

/** A command that was called wrongly. */
export class UsageError extends Error {}

/** One command; what it returns is the exit code. */
export type Command = (args: string[]) => Promise<number>

type Options = NonNullable<ParseArgsConfig['options']>
type Parsed<T extends Options> = ReturnType<typeof parseArgs<{ options: T }>>['values']

/** @throws UsageError where the options are others */
export function parse<T extends Options>(args: string[], options: T): Parsed<T> {
  return understood(() => parseArgs({ args, options }).values)
}

/**
 * The options of a command, and what stands between them.
 *
 * @param what has to stand there, as in ['folder']; the last may be left out where it ends in '?'
 * @throws UsageError where the options are others, or something else stands there
 */
export function parsePlaces<T extends Options>(command: string, args: string[], options: T, what: readonly string[]): { readonly values: Parsed<T>; readonly places: readonly string[] } {
  const { values, positionals: places } = understood(() => parseArgs({ args, options, allowPositionals: true }))
  const least = what.filter((name) => !name.endsWith('?')).length
  if (places.length < least || places.length > what.length) {
    throw new UsageError(`${command}: expected ${what.map((name) => `<${name.replace('?', '')}>${name.endsWith('?') ? ', which may be left out' : ''}`).join(' ')}, got ${places.length === 0 ? 'nothing' : places.join(' ')}`)
  }
  return { values: values, places }
}

/** What Node says of arguments, in one sentence. */
export function understood<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw new UsageError((error as Error).message.split('. ', 1)[0])
  }
}

/** A whole number among options. @throws UsageError where it is none */
export function wholeNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d+$/.test(text)) throw new UsageError(`--${name}: expected a whole number, got '${text}'`)
  return Number(text)
}

/** A number among options. @throws UsageError where it is none */
export function numeral(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (text.trim() === '' || !Number.isFinite(Number(text))) throw new UsageError(`--${name}: expected a number, got '${text}'`)
  return Number(text)
}

/** Without what was not given. */
export function given<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> }
}
