// A job from its file and its flags, with everything that is wrong at once.

import type { z } from 'zod'
import { parseArgs } from 'node:util'
import { readJsonObject } from '../../base/files/json-file.ts'
import { InputError, shown } from '../../errors.ts'
import { understood, UsageError } from '../usage.ts'
import { checkFlag, isSwitch, jobFlags, valueOf } from './flags.ts'
import { JOB, type Job } from './job.ts'
import { methodSettings } from './methods.ts'
import { meantBy } from './words.ts'

type Json = Readonly<Record<string, unknown>>

/** Flags of the command itself. */
export const OWN_FLAGS = ['help', 'schema', 'dry-run'] as const

/** What was asked for beside the job. */
export interface Asked {
  readonly own: ReadonlySet<string>
  readonly file: string | undefined
  /** The job as the file and the flags have it, not checked. */
  readonly json: Json
}

/** Who asks. */
interface Caller {
  readonly command?: string
  /** The file is to be written. */
  readonly isNew?: boolean
}

/**
 * @throws UsageError for flags that there are not, CheckpointError where the file is none
 */
export function readArguments(args: readonly string[], { command = 'train', isNew = false }: Caller = {}): Asked {
  const flags = jobFlags()
  const plain = args.map((arg) => (arg.startsWith('--') ? arg.replace(/^[^=]*/, (name) => name.replaceAll('_', '-')) : arg)) // as in --batch_size
  for (const arg of plain) if (arg.startsWith('--')) checkFlag(arg.slice(2).split('=', 1)[0]?.replace(/^no-(?!n)/, '') ?? '', flags, OWN_FLAGS, command)
  const options = Object.fromEntries([
    ...[...flags].map(([name, flag]) => [name, { type: isSwitch(flag) ? 'boolean' : 'string' }] as const),
    ...OWN_FLAGS.map((name) => [name, { type: 'boolean' }] as const),
  ])
  const { values, positionals: [file, ...more] } = understood(() => parseArgs({ args: plain, options, allowPositionals: true, allowNegative: true }))
  if (more.length > 0) throw new UsageError(`${command}: expected one file, got ${file ?? ''} and ${more.join(' ')}`)
  let json: Json = file === undefined || isNew ? {} : readJsonObject(file, 'a job: `tfjs-peft init` writes one')
  for (const [name, value] of Object.entries(values)) {
    const flag = flags.get(name)
    if (flag !== undefined) json = within(json, flag.path, typeof value === 'string' ? valueOf(name, flag, value) : value)
  }
  return { own: new Set(OWN_FLAGS.filter((name) => values[name] === true)), file, json }
}

function within(json: Json, [name = '', ...rest]: readonly string[], value: unknown): Json {
  const there = json[name]
  const inner = typeof there === 'object' && there !== null && !Array.isArray(there) ? (there as Json) : {}
  return { ...json, [name]: rest.length === 0 ? value : within(inner, rest, value) }
}

/**
 * @param source of the settings, as errors name it
 * @throws InputError with every setting that is wrong, by its path
 */
export function checkJob(json: Json, source: string): Job {
  const withDefaults = typeof json['method'] === 'object' && json['method'] !== null && !('name' in json['method']) ? { ...json, method: { name: 'lora', ...json['method'] } } : json
  const result = JOB.safeParse(withDefaults)
  if (result.success) return result.data
  throw new InputError(`${source} cannot be used:`, result.error.issues.flatMap((issue) => problemsOf(issue, withDefaults)))
}

function problemsOf(issue: z.core.$ZodIssue, json: Json): string[] {
  const path = issue.path.map(String)
  const at = path.length === 0 ? '' : `${path.join('.')}: `
  const value = path.reduce<unknown>((part, name) => (typeof part === 'object' && part !== null ? (part as Json)[name] : undefined), json)
  const got = value === undefined ? 'none' : shown(value)
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => {
        const { name } = (path.join('.') === 'method' ? json['method'] : {}) as { readonly name?: unknown }
        const own = methodSettings(name)
        const meant = meantBy(key, own?.map((setting) => `method.${setting}`) ?? [...jobFlags().values()].map((flag) => flag.path.join('.')))
        if (own !== undefined && (meant === undefined || meant.startsWith('method.') && !own.includes(meant.slice('method.'.length)))) {
          return `method.${key}: ${String(name)} has no such setting; it has ${own.join(', ')}`
        }
        return `${[...path, key].join('.')}: there is no such setting${meant === undefined ? '' : `; did you mean ${meant}?`}`
      })
    case 'invalid_type':
      return [`${at}expected ${TYPES[issue.expected] ?? issue.expected}, got ${got}`]
    case 'invalid_value':
      return [`${at}expected ${issue.values.map((each) => `'${String(each)}'`).join(', ')}; got ${got}`]
    case 'too_small':
      return [`${at}expected ${issue.origin === 'array' ? `at least ${String(issue.minimum)} in the list` : issue.origin === 'string' ? 'a text' : `a number ${issue.inclusive === false ? 'above' : 'of at least'} ${String(issue.minimum)}`}, got ${got}`]
    case 'too_big':
      return [`${at}expected a number ${issue.inclusive === false ? 'below' : 'of at most'} ${String(issue.maximum)}, got ${got}`]
    case 'invalid_union':
      return [`${at}${issue.message.startsWith('expected') ? `${issue.message}, got ${got}` : `expected ${discriminated(issue)}, got ${got}`}`]
    default:
      return [`${at}${issue.message}, got ${got}`]
  }
}

const TYPES: Readonly<Record<string, string>> = { string: 'a text', number: 'a number', int: 'a whole number', boolean: 'true or false', array: 'a list', object: 'an object', record: 'numbers by name' }

/** What may stand in the field that says which of several objects it is. */
function discriminated(issue: object): string {
  const options = 'options' in issue ? issue.options as readonly unknown[] : []
  return `one of ${options.map((each) => `'${String(each)}'`).join(', ')}`
}
