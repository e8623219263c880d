// A job's settings as flags: one for each leaf of the schema.

import { nearTo } from '../../base/options.ts'
import { UsageError } from '../usage.ts'
import { jobSchema } from './job.ts'
import { meantBy } from './words.ts'

/** The parts of JSON Schema that are used here. */
interface Schema {
  readonly type?: string
  readonly description?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
}

/** One setting, and how its value is written. */
export interface Flag {
  readonly path: readonly string[]
  readonly schemas: readonly Schema[]
  readonly description: string
}

/** Those that are called otherwise than the last part of their path. */
const RENAMED: Readonly<Record<string, string>> = { 'data.train': 'data', 'method.name': 'method', 'guard.name': 'guard', 'method.train': 'train-modules' }

/** Every flag by its name. A name that two settings have is the first one's; the other is called by its section too. */
export function jobFlags(): ReadonlyMap<string, Flag> {
  const flags = new Map<string, Flag>()
  const paths = new Map<string, string>()
  const walk = (schema: Schema, path: readonly string[]): void => {
    const variants = schema.anyOf ?? schema.oneOf ?? [schema]
    const objects = variants.filter(({ properties }) => properties !== undefined)
    for (const { properties = {} } of objects) for (const [name, part] of Object.entries(properties)) walk(part, [...path, name])
    if (objects.length > 0 || path[0] === '$schema') return
    const whole = path.join('.')
    const short = RENAMED[whole] ?? kebab(path.at(-1) ?? '')
    const name = paths.get(short) === whole || !flags.has(short) ? short : path.slice(-2).map(kebab).join('-')
    paths.set(name, whole)
    const before = flags.get(name)
    flags.set(name, { path, schemas: [...before?.schemas ?? [], ...variants], description: before?.description ?? schema.description ?? '' })
  }
  walk(jobSchema(), [])
  return flags
}

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

/** Whether it is said by its name alone. */
export function isSwitch({ schemas }: Flag): boolean {
  return schemas.every(({ type }) => type === 'boolean')
}

/**
 * What a flag's text stands for. Lists are written with commas, tables by name as JSON.
 *
 * @throws UsageError where a table is no JSON
 */
export function valueOf(name: string, { schemas }: Flag, text: string): unknown {
  const types = new Set(schemas.map(({ type }) => type))
  const isSaid = schemas.some((schema) => schema.const === text || schema.enum?.includes(text) === true)
  if (isSaid) return text
  const numeric = text.trim() !== '' && Number.isFinite(Number(text))
  if ((types.has('number') || types.has('integer')) && numeric) return Number(text)
  if (types.has('object')) {
    try {
      return JSON.parse(text) as unknown
    } catch {
      throw new UsageError(`--${name}: expected JSON, as in '{"spam": 2}', got ${text}`)
    }
  }
  if (types.has('array') && (text.includes(',') || !types.has('string'))) {
    const numbers = schemas.some(({ items }) => items?.type === 'integer' || items?.type === 'number')
    return text.split(',').map((part) => (numbers && part.trim() !== '' ? Number(part) : part.trim()))
  }
  return text
}

/** @throws UsageError for a flag that there is not, with what may have been meant */
export function checkFlag(name: string, flags: ReadonlyMap<string, Flag>, others: readonly string[], command = 'train'): void {
  if (flags.has(name) || others.includes(name)) return
  const path = meantBy(name.replaceAll('-', '_'))
  const known = [...flags].find(([, flag]) => flag.path.join('.') === path)?.[0]
  const meant = known === undefined ? nearTo(name, [...flags.keys()]) : [known]
  throw new UsageError(`${command}: there is no --${name}${meant.length === 0 ? '' : `, perhaps ${meant.map((each) => `--${each}`).join(' or ')}`}`)
}

/** The flags as a table. */
export function flagHelp(): string {
  const rows = [...jobFlags()].map(([name, flag]) => [`--${name}${isSwitch(flag) ? '' : ' <…>'}`, flag.description] as const)
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, description]) => `  ${name.padEnd(width)}  ${description}`).join('\n')
}
