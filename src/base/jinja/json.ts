import { Dict, fail, Float, floatText, List, Tuple, typeName, View } from './values.ts'
import type { Value } from './values.ts'

export interface JsonOptions {
  readonly ascii: boolean
  /** What stands for a level of depth; undefined for all in one line. */
  readonly indent: string | undefined
  readonly separators: readonly [string, string]
  readonly sort: boolean
}

/** `json.dumps(value)` */
export function jsonOf(value: Value, options: JsonOptions, depth = 0): string {
  if (value === null) return 'null'
  if (typeof value === 'boolean' || typeof value === 'number') return String(value)
  if (typeof value === 'string') return textJson(value, options.ascii)
  if (value instanceof Float) return Number.isFinite(value.value) ? floatText(value.value) : Number.isNaN(value.value) ? 'NaN' : value.value > 0 ? 'Infinity' : '-Infinity'
  const [between, colon] = options.separators
  const wrap = (open: string, close: string, parts: readonly string[]): string => {
    if (parts.length === 0) return open + close
    if (options.indent === undefined) return open + parts.join(between) + close
    const inner = `\n${options.indent.repeat(depth + 1)}`
    return open + inner + parts.join(between + inner) + `\n${options.indent.repeat(depth)}` + close
  }
  if ((value instanceof List && !(value instanceof View)) || value instanceof Tuple) return wrap('[', ']', value.items.map((item) => jsonOf(item, options, depth + 1)))
  if (value instanceof Dict) {
    const entries = [...value.entries].map(([key, item]) => [keyText(key), item] as const)
    if (options.sort) entries.sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0)
    return wrap('{', '}', entries.map(([key, item]) => textJson(key, options.ascii) + colon + jsonOf(item, options, depth + 1)))
  }
  return fail(`Object of type ${typeName(value)} is not JSON serializable`)
}

function keyText(key: Value): string {
  if (typeof key === 'string') return key
  if (key === null || typeof key === 'boolean' || typeof key === 'number') return String(key)
  return fail(`keys must be str, int, float, bool or None, not ${typeName(key)}`)
}

function textJson(text: string, ascii: boolean): string {
  const json = JSON.stringify(text).replaceAll('\x7f', ascii ? '\\u007f' : '\x7f')
  return ascii ? json.replace(/[\x80-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`) : json
}
