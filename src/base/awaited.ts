import { InputError, shown } from '../errors.ts'

/** What makes each, as errors name it. */
const MADE_BY = { model: 'loadModel', 'image processor': 'loadImageProcessor', tokenizer: 'loadTokenizer', adapter: 'loadAdapter' } as const

const an = (what: string): string => `${/^[ai]/.test(what) ? 'an' : 'a'} ${what}`

/** In JavaScript nothing else tells that an `await` was forgotten. @throws InputError where a promise of it is given */
export function checkAwaited(what: keyof typeof MADE_BY, value: unknown): void {
  if (!(value instanceof Promise)) return
  throw new InputError(`Expected ${an(what)}, got a Promise of one: write \`await\` before what gives it, as in await ${MADE_BY[what]}(…).`)
}

/** What each has that nothing else has. */
const KNOWN_BY = { model: 'attached', 'image processor': 'settings', tokenizer: 'encodeWords', adapter: 'trainable' } as const

/** @throws InputError where something else is given, also a promise of it */
export function checkKind(what: keyof typeof KNOWN_BY, value: unknown): void {
  checkAwaited(what, value)
  const has = (name: string): boolean => typeof value === 'object' && value !== null && name in value
  if (has(KNOWN_BY[what])) return
  const other = (Object.keys(KNOWN_BY) as (keyof typeof KNOWN_BY)[]).find((name) => has(KNOWN_BY[name]))
  const got = other !== undefined ? an(other) : has(what) ? `an object that has one: give its \`${what}\`` : shown(value)
  throw new InputError(`Expected ${an(what)}, as ${MADE_BY[what]} gives it, got ${got}.`)
}

/** A measure that takes nothing measures the model outside, the same each time. @throws InputError where a function takes no argument */
export function checkTakesModel(caller: string, evaluate: (model: never, ...rest: never[]) => unknown): void {
  if (typeof evaluate !== 'function') throw new InputError(`${caller}: expected \`evaluate\`, a function that measures the model it is given, got ${shown(evaluate)}.`)
  if (evaluate.length > 0) return
  throw new InputError(`${caller}: expected an \`evaluate\` that measures the model it is given, got a function that takes none: write \`evaluate: async (model) => …\`. The model outside stays as it is.`)
}
