// Whether a server takes an adapter as it is.

import { factsOf } from './adapter-facts.ts'
import { SERVERS, type Effect, type ServerRule } from './servers.ts'

/** Something of an adapter that a server does not take as it is. */
export interface ServerFinding extends Pick<ServerRule, 'source' | 'mend'> {
  readonly effect: Effect
  /** What the adapter has. */
  readonly what: string
}

export type ServerName = keyof typeof SERVERS

export function isServer(name: string | undefined): name is ServerName {
  return name !== undefined && Object.hasOwn(SERVERS, name)
}

/** @throws CheckpointError where there is no adapter in PEFT's files */
export async function checkAdapter(folder: string, server: ServerName): Promise<readonly ServerFinding[]> {
  const facts = await factsOf(folder)
  return SERVERS[server].rules.flatMap(({ effect, source, mend, finds }) => {
    const what = finds(facts)
    return what === undefined ? [] : [{ effect, what, mend, source }]
  })
}

/** The findings as text. */
export function formatServerFindings(folder: string, server: ServerName, findings: readonly ServerFinding[]): string {
  const { title, version } = SERVERS[server]
  const lines = findings.flatMap(({ effect, what, mend, source }) => [`  ${effect.padEnd(7)}  ${what}`, `           ${mend} (${source})`])
  const head = findings.length === 0 ? `${title} ${version}: nothing in ${folder} is known to be refused or ignored.` : `${title} ${version} and ${folder}:`
  return [head, ...lines, 'Whether its model has modules of these names was not looked at.'].join('\n')
}
