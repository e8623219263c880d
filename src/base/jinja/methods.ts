import { Callable, compare, Dict, equal, fail, List, numberOf, Tuple, typeName, View } from './values.ts'
import type { Value } from './values.ts'

const separators = String.fromCharCode(0x1C, 0x1D, 0x1E, 0x1F) // of ASCII, which Python takes for white space

type Method<T> = (self: T, ...args: readonly (Value | undefined)[]) => Value

const ofText = (value: Value | undefined, what: string): string => typeof value === 'string' ? value : fail(`${what}: expected a str, got ${value === undefined ? 'none' : typeName(value)}`)
const count = (value: Value | undefined, fallback: number): number => value === undefined || value === null ? fallback : numberOf(value) ?? fail(`expected an int, got ${typeName(value)}`)

/** White space as Python's str has it. */
const blank = new RegExp(`[\\p{White_Space}${separators}]`, 'u')
const wordPattern = new RegExp(`[^\\p{White_Space}${separators}]+`, 'gu')
const lineEnd = `\r\n|[\n\r\v\f${separators.slice(0, 3)}\x85\u2028\u2029]`

/** A text's lines as Python's splitlines() has them. */
export function linesOf(text: string): string[] {
  return text === '' ? [] : text.replace(new RegExp(`(?:${lineEnd})$`), '').split(new RegExp(lineEnd))
}

/** Takes characters from the ends; white space where none are named. */
function stripped(text: string, characters: Value | undefined, left: boolean, right: boolean): string {
  const all = Array.from(text)
  const set = characters === undefined || characters === null ? undefined : new Set(Array.from(ofText(characters, 'strip')))
  const goes = (character: string | undefined): boolean => character !== undefined && (set === undefined ? blank.test(character) : set.has(character))
  let begin = 0
  let end = all.length
  if (left) while (begin < end && goes(all[begin])) begin++
  if (right) while (end > begin && goes(all[end - 1])) end--
  return all.slice(begin, end).join('')
}


function split(text: string, separator: Value | undefined, limit: number, fromRight: boolean): string[] {
  if (separator === undefined || separator === null) {
    const words = Array.from(text.matchAll(wordPattern))
    if (limit < 0 || words.length <= limit) return words.map(([word]) => word)
    if (fromRight) {
      const kept = words.slice(words.length - limit)
      const rest = stripped(text.slice(0, kept[0]?.index ?? text.length), undefined, true, true)
      return [...(rest === '' ? [] : [rest]), ...kept.map(([word]) => word)]
    }
    const rest = text.slice(words[limit]?.index ?? text.length)
    return [...words.slice(0, limit).map(([word]) => word), stripped(rest, undefined, true, false)]
  }
  const by = ofText(separator, 'split')
  if (by === '') fail('empty separator')
  const parts = text.split(by)
  if (limit < 0 || parts.length <= limit + 1) return parts
  return fromRight
    ? [parts.slice(0, parts.length - limit).join(by), ...parts.slice(parts.length - limit)]
    : [...parts.slice(0, limit), parts.slice(limit).join(by)]
}

export function replaced(text: string, from: string, to: string, most: number): string {
  if (most < 0) return text.replaceAll(from, () => to)
  const parts = from === '' ? ['', ...Array.from(text), ''] : text.split(from)
  return parts.slice(1).reduce((done, part, i) => done + (i < most ? to : from) + part, parts[0] ?? '')
}

const anyOf = (value: Value | undefined, fits: (part: string) => boolean): boolean => value instanceof Tuple ? value.items.some((part) => fits(ofText(part, 'startswith'))) : fits(ofText(value, 'startswith'))
const every = (pattern: RegExp): Method<string> => (text) => text !== '' && pattern.test(text)
/** Words as Python's title() has them: letters in a row. */
export const titled = (text: string): string => text.replace(/\p{L}+/gu, (word) => capitalized(word))
export const capitalized = (text: string): string => {
  const [first = '', ...rest] = Array.from(text)
  return first.toUpperCase() + rest.join('').toLowerCase()
}
const list = (items: readonly Value[]): List => new List([...items])
const padded = (text: string, width: number, fill: string, side: 'left' | 'right'): string => {
  const missing = Math.max(0, width - Array.from(text).length)
  return side === 'left' ? fill.repeat(missing) + text : text + fill.repeat(missing)
}
const place = (text: string, index: number): number => index < 0 ? -1 : Array.from(text.slice(0, index)).length

const textMethods: Readonly<Record<string, Method<string>>> = {
  upper: (text) => text.toUpperCase(), lower: (text) => text.toLowerCase(), casefold: (text) => text.toLowerCase(),
  title: titled, capitalize: capitalized,
  strip: (text, characters) => stripped(text, characters, true, true),
  lstrip: (text, characters) => stripped(text, characters, true, false),
  rstrip: (text, characters) => stripped(text, characters, false, true),
  startswith: (text, part) => anyOf(part, (each) => text.startsWith(each)),
  endswith: (text, part) => anyOf(part, (each) => text.endsWith(each)),
  split: (text, separator, limit) => list(split(text, separator, count(limit, -1), false)),
  rsplit: (text, separator, limit) => list(split(text, separator, count(limit, -1), true)),
  splitlines: (text) => list(linesOf(text)),
  replace: (text, from, to, most) => replaced(text, ofText(from, 'replace'), ofText(to, 'replace'), count(most, -1)),
  join: (text, parts) => (parts instanceof List || parts instanceof Tuple ? parts.items : typeof parts === 'string' ? Array.from(parts) : parts instanceof Dict ? [...parts.entries.keys()] : fail('join: can only join an iterable')).map((part) => ofText(part, 'join')).join(text),
  find: (text, part) => place(text, text.indexOf(ofText(part, 'find'))), rfind: (text, part) => place(text, text.lastIndexOf(ofText(part, 'rfind'))),
  index: (text, part) => text.includes(ofText(part, 'index')) ? place(text, text.indexOf(ofText(part, 'index'))) : fail('substring not found'),
  count: (text, part) => part === '' ? Array.from(text).length + 1 : text.split(ofText(part, 'count')).length - 1,
  removeprefix: (text, part) => text.startsWith(ofText(part, 'removeprefix')) ? text.slice(ofText(part, 'removeprefix').length) : text,
  removesuffix: (text, part) => part !== '' && text.endsWith(ofText(part, 'removesuffix')) ? text.slice(0, text.length - ofText(part, 'removesuffix').length) : text,
  partition: (text, by) => {
    const at = text.indexOf(ofText(by, 'partition'))
    return new Tuple(at < 0 ? [text, '', ''] : [text.slice(0, at), by ?? '', text.slice(at + ofText(by, 'partition').length)])
  },
  rpartition: (text, by) => {
    const at = text.lastIndexOf(ofText(by, 'rpartition'))
    return new Tuple(at < 0 ? ['', '', text] : [text.slice(0, at), by ?? '', text.slice(at + ofText(by, 'rpartition').length)])
  },
  isdigit: every(/^[\p{Nd}²³¹⁰⁴-⁹₀-₉]+$/u), isdecimal: every(/^\p{Nd}+$/u), isnumeric: every(/^\p{N}+$/u), isalpha: every(/^\p{L}+$/u), isalnum: every(/^[\p{L}\p{N}]+$/u),
  isspace: (text) => text !== '' && Array.from(text).every((character) => blank.test(character)),
  isupper: (text) => text !== text.toLowerCase() && text === text.toUpperCase(), islower: (text) => text !== text.toUpperCase() && text === text.toLowerCase(),
  zfill: (text, width) => /^[-+]/.test(text) ? text.slice(0, 1) + padded(text.slice(1), count(width, 0) - 1, '0', 'left') : padded(text, count(width, 0), '0', 'left'),
  ljust: (text, width, fill) => padded(text, count(width, 0), fill === undefined ? ' ' : ofText(fill, 'ljust'), 'right'),
  rjust: (text, width, fill) => padded(text, count(width, 0), fill === undefined ? ' ' : ofText(fill, 'rjust'), 'left'),
}

const indexIn = (items: readonly Value[], item: Value | undefined): number => {
  const at = items.findIndex((each) => item !== undefined && equal(each, item))
  return at < 0 ? fail('the value is not in the list') : at
}
const countIn = (items: readonly Value[], item: Value | undefined): number => items.filter((each) => item !== undefined && equal(each, item)).length

const dictMethods: Readonly<Record<string, Method<Dict>>> = {
  get: ({ entries }, key = null, fallback = null) => entries.has(key) ? entries.get(key) ?? null : fallback,
  keys: ({ entries }) => new View('dict_keys', [...entries.keys()]),
  values: ({ entries }) => new View('dict_values', [...entries.values()]),
  items: ({ entries }) => new View('dict_items', Array.from(entries, (entry) => new Tuple(entry))),
  copy: ({ entries }) => new Dict(new Map(entries)),
}

/** Methods that change what they belong to, which the sandbox of transformers forbids, and those that are not here. */
const forbidden = ['append', 'extend', 'insert', 'remove', 'pop', 'clear', 'sort', 'reverse', 'update', 'setdefault', 'popitem']
const missing = ['format', 'format_map', 'center', 'encode', 'expandtabs', 'isascii', 'isidentifier', 'isprintable', 'istitle', 'maketrans', 'rindex', 'swapcase', 'translate', 'fromkeys']

/** Names of arguments, for methods that templates call with them. */
const argumentNames: Readonly<Record<string, readonly string[]>> = { split: ['sep', 'maxsplit'], rsplit: ['sep', 'maxsplit'], replace: ['old', 'new', 'count'] }

/** A method of a value, or undefined where it has none of this name. */
export function methodOf(self: Value, name: string): Callable | undefined {
  const bound = <T extends Value>(methods: Readonly<Record<string, Method<T>>>, value: T): Callable | undefined => {
    const method = Object.hasOwn(methods, name) ? methods[name] : undefined
    if (method === undefined) return forbidden.includes(name) || missing.includes(name) ? refusing(self, name) : undefined
    return new Callable(name, (args, named) => {
      const names = argumentNames[name] ?? []
      const all = [...args] as (Value | undefined)[]
      for (const [key, each] of named) all[names.includes(key) ? names.indexOf(key) : fail(`${name}() got an unexpected keyword argument '${key}'`)] = each
      return method(value, ...all)
    })
  }
  if (typeof self === 'string') return forbidden.includes(name) ? undefined : bound(textMethods, self)
  if (self instanceof Dict) return bound(dictMethods, self)
  if (self instanceof View) return undefined
  if (self instanceof List || self instanceof Tuple) {
    return bound<List | Tuple>({ index: ({ items }, item) => indexIn(items, item), count: ({ items }, item) => countIn(items, item), copy: ({ items }) => list(items) }, self)
  }
  return undefined
}

function refusing(self: Value, name: string): Callable {
  return new Callable(name, () => fail(forbidden.includes(name) && !(typeof self === 'string') ? `${name} of a ${typeName(self)} changes it, which templates may not` : `the method ${name} of ${typeName(self)} is not supported`))
}

/** In the order of `sort`: without regard to case unless asked for. */
export function sorted(items: readonly Value[], keyOf: (item: Value) => Value, reverse: boolean, caseSensitive: boolean): Value[] {
  const fold = (value: Value): Value => typeof value === 'string' && !caseSensitive ? value.toLowerCase() : value instanceof List && !caseSensitive ? new List(value.items.map(fold)) : value
  const keyed = items.map((item) => ({ item, key: fold(keyOf(item)) }))
  keyed.sort((a, b) => reverse ? compare(b.key, a.key) : compare(a.key, b.key))
  return keyed.map(({ item }) => item)
}

