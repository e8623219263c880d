// A call with its own text, so that a table says exactly what was run.

import { inspect } from 'node:util'

/** Makes a method anew each time it is called. */
export interface MethodCall<M> {
  (): M
  /** As it stands in a program: `lora({ rank: 8 })`. */
  readonly text: string
}

export function methodCall<const O extends readonly unknown[], M>(make: (...options: O) => M, ...options: O): MethodCall<M> {
  return Object.assign(() => make(...options), { text: callText(make.name, ...options) })
}

/** The text of a call alone. */
export function callText(name: string, ...options: readonly unknown[]): string {
  const given = options.map((option) => inspect(option, { depth: 4, breakLength: Infinity }).replaceAll(/\[ (.*?) \]/g, '[$1]'))
  return `${name}(${given.join(', ')})`
}
