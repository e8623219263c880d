import { CheckpointError, shown } from '../errors.ts'

/** Settings as a file has them. */
export type Settings = Readonly<Record<string, unknown>>

/** Bounds of a number; one that is not said is open. */
export interface Range {
  readonly min?: number
  readonly max?: number
  /** More than, and less than, this. */
  readonly above?: number
  readonly below?: number
  /** Where the bounds come from. */
  readonly note?: string
}

/** A number with its bounds, and what it is where the file has none; without `fallback` the file has to have it. */
export interface NumberRule extends Range {
  readonly fallback?: number
}

/** What a list holds. */
export interface Items {
  readonly integer: number
  readonly number: number
  readonly text: string
}

/**
 * Reads single settings of a file and collects everything that is wrong with them. A setting that is null is one that is not there,
 * as for the Python libraries that write these files.
 */
export interface SectionReader {
  /** Whether the file has it. */
  has(key: string): boolean
  /** Whether the file says null for it, where that is something else than leaving it out. */
  isNull(key: string): boolean
  /** A number within bounds. */
  number(key: string, rule?: NumberRule): number
  /** A whole number within bounds. */
  integer(key: string, rule?: NumberRule): number
  /** true or false. */
  flag(key: string, fallback?: boolean): boolean
  /** A text; without a fallback the file has to have it. */
  text(key: string, fallback?: string): string
  /** One of a few texts. */
  oneOf<T extends string>(key: string, values: readonly T[], fallback?: T): T
  /** Several of a kind, or a single one without its brackets. */
  list<K extends keyof Items>(key: string, kind: K, fallback?: readonly Items[K][], range?: Range): readonly Items[K][]
  /** Numbers by name. */
  numbers(key: string, fallback?: Readonly<Record<string, number>>, range?: Range): Readonly<Record<string, number>>
  /** An object within the object, whose problems are told by its path; an empty one where the file has none. */
  section(key: string): SectionReader
  /** A setting that is read elsewhere, or by the caller's own rules. */
  raw(key: string): unknown
  /**
   * A setting that is refused where it asks for something, because this library does not do it.
   *
   * @param off the values with which it asks for nothing; not being there is one of them
   * @param wayOut what a user can do instead
   */
  off(key: string, off: readonly unknown[], wayOut?: string): void
  /** A relation between settings: a problem where it does not hold, unless one of those `of` which it is has a problem of its own. */
  check(holds: boolean, problem: string, of?: readonly string[]): void
}

/** The reader of a whole file. */
export interface SettingsReader extends SectionReader {
  /** What has been found so far. */
  readonly problems: readonly string[]
  /** @throws CheckpointError with everything that was wrong */
  done(): void
}

/**
 * @param file the file's path, as errors name it
 * @param what what the settings are those of, as in 'a bert model'
 * @example
 * const read = settingsReader(json, { file: 'model/config.json', what: 'a bert model' })
 * const config = { hiddenSize: read.integer('hidden_size', { min: 1 }), activation: read.text('hidden_act', 'gelu') }
 * read.off('is_decoder', [false])
 * read.done()
 */
export function settingsReader(json: Settings, { file, what }: { readonly file: string; readonly what: string }): SettingsReader {
  const found: Found = { problems: [], wrong: new Set() }
  return {
    ...readerOf(json, '', found),
    problems: found.problems,
    done: () => {
      if (found.problems.length > 0) throw new CheckpointError(`${file} cannot be used as ${what}:`, found.problems)
    },
  }
}

interface Found {
  readonly problems: string[]
  /** Paths of the settings that have one. */
  readonly wrong: Set<string>
}

function readerOf(json: Settings, path: string, found: Found): SectionReader {
  const { problems } = found
  const has = (key: string): boolean => Object.hasOwn(json, key) && json[key] !== null && json[key] !== undefined
  const wrong = (key: string, expected: string): void => {
    if (found.wrong.has(path + key)) return
    found.wrong.add(path + key)
    problems.push(`${path}${key}: expected ${expected}, got ${has(key) ? shown(json[key]) : 'none'}`)
  }
  const read = <T>(key: string, fallback: T | undefined, fits: (value: unknown) => boolean, expected: string, blank: T): T => {
    const value = has(key) ? json[key] : fallback
    if (value !== undefined && (value === fallback || fits(value))) return value as T
    wrong(key, expected)
    return blank
  }
  const numeric = (kind: 'number' | 'integer') => (key: string, { fallback, ...range }: NumberRule = {}): number =>
    read(key, fallback, (value) => isA(kind, value) && isWithin(value as number, range), `${ARTICLES[kind]}${boundsOf(range)}`, fallback ?? 1)
  return {
    has,
    isNull: (key) => Object.hasOwn(json, key) && json[key] === null,
    number: numeric('number'),
    integer: numeric('integer'),
    flag: (key, fallback) => read(key, fallback, (value) => typeof value === 'boolean', 'true or false', false),
    text: (key, fallback) => read(key, fallback, (value) => typeof value === 'string', 'a text', ''),
    oneOf: (key, values, fallback) =>
      read(key, fallback, (value) => (values as readonly unknown[]).includes(value), alternatives(values), values[0] as (typeof values)[number]),
    list: <K extends keyof Items>(key: string, kind: K, fallback?: readonly Items[K][], range: Range = {}): readonly Items[K][] => {
      const fits = (value: unknown): boolean => isA(kind, value) && (typeof value !== 'number' || isWithin(value, range))
      const expected = `a list of ${kind}s${boundsOf(range)}`
      const value = read<unknown>(key, fallback, (given) => (Array.isArray(given) ? given.every(fits) : fits(given)), expected, [])
      return [value].flat() as Items[K][]
    },
    numbers: (key, fallback, range = {}) =>
      read(key, fallback, (value) => isSettings(value) && Object.values(value).every((each) => isA('number', each) && isWithin(each as number, range)),
        `numbers${boundsOf(range)} by name`, {}),
    section: (key) => readerOf(read(key, {}, isSettings, 'an object', {}), `${path}${key}.`, found),
    raw: (key) => (has(key) ? json[key] : undefined),
    off: (key, off, wayOut) => {
      if (!has(key) || off.some((value) => JSON.stringify(value) === shown(json[key]))) return
      const expected = off.length === 0 ? 'none' : off.map((value) => JSON.stringify(value)).join(' or ')
      problems.push(`${path}${key}: expected ${expected}, got ${shown(json[key])}, which is not supported${wayOut === undefined ? '' : `; ${wayOut}`}`)
    },
    check: (holds, problem, of = []) => {
      if (!holds && !of.some((key) => found.wrong.has(path + key))) problems.push(path + problem)
    },
  }
}

const ARTICLES = { number: 'a number', integer: 'an integer' }

function isA(kind: keyof Items, value: unknown): boolean {
  if (kind === 'text') return typeof value === 'string'
  return kind === 'integer' ? Number.isSafeInteger(value) : typeof value === 'number' && Number.isFinite(value)
}

function isSettings(value: unknown): value is Settings {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isWithin(value: number, { min = -Infinity, max = Infinity, above = -Infinity, below = Infinity }: Range): boolean {
  return value >= min && value <= max && value > above && value < below
}

/** ' of at least 1 and at most 4' */
function boundsOf({ min, max, above, below, note }: Range): string {
  const bounds = [
    min === undefined ? '' : `of at least ${min}`,
    above === undefined ? '' : `above ${above}`,
    max === undefined ? '' : `of at most ${max}`,
    below === undefined ? '' : `below ${below}`,
  ].filter((bound) => bound !== '')
  return `${bounds.length === 0 ? '' : ` ${bounds.join(' and ')}`}${note === undefined ? '' : ` (${note})`}`
}

function alternatives(values: readonly string[]): string {
  const quoted = values.map((value) => `'${value}'`)
  return quoted.length < 2 ? quoted.join('') : `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1) ?? ''}`
}
