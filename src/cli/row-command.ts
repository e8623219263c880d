// What eval and predict have in common: a model, rows, and which of their columns are what.

import { parseArgs } from 'node:util'
import { checkFlag, isSwitch, jobFlags, valueOf } from './job/flags.ts'
import type { JobData } from './job/job.ts'
import { OPEN_FLAGS } from './opened.ts'
import { understood, UsageError } from './usage.ts'

/** A call of such a command. */
export interface RowCall {
  readonly source: string
  readonly values: Readonly<Record<string, string | boolean | undefined>>
  /** As the flags have it. */
  readonly data: Partial<JobData>
}

type Own = Readonly<Record<string, { readonly type: 'string' | 'boolean' }>>

/** @throws UsageError where it was called wrongly */
export function rowCall(command: string, args: readonly string[], own: Own): RowCall {
  const flags = new Map([...jobFlags()].filter(([, { path }]) => path[0] === 'data'))
  const others: Own = { ...own, ...OPEN_FLAGS }
  for (const arg of args) if (arg.startsWith('--')) checkFlag(arg.slice(2).split('=', 1)[0] ?? '', flags, Object.keys(others), command)
  const options = { ...Object.fromEntries([...flags].map(([name, flag]) => [name, { type: isSwitch(flag) ? 'boolean' as const : 'string' as const }])), ...others }
  const { values, positionals: [source, ...more] } = understood(() => parseArgs({ args: [...args], options, allowPositionals: true }))
  if (source === undefined || more.length > 0) throw new UsageError(`${command}: expected one folder or Hub id of an adapter or a model, got ${[source, ...more].join(' ') || 'none'}`)
  const data = Object.fromEntries([...flags].flatMap(([name, flag]) => {
    const value = values[name]
    return value === undefined ? [] : [[flag.path[1] ?? name, typeof value === 'string' ? valueOf(name, flag, value) : value] as const]
  }))
  return { source, values, data }
}
