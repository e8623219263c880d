import { InputError } from '../errors.ts'

/** What makes each, as errors name it. */
const MADE_BY = { model: 'loadModel', tokenizer: 'loadTokenizer', adapter: 'loadAdapter' } as const

/** In JavaScript nothing else tells that an `await` was forgotten. @throws InputError where a promise of it is given */
export function checkAwaited(what: keyof typeof MADE_BY, value: unknown): void {
  if (!(value instanceof Promise)) return
  throw new InputError(`Expected ${what === 'adapter' ? 'an' : 'a'} ${what}, got a Promise of one: write \`await\` before what gives it, as in await ${MADE_BY[what]}(…).`)
}

/** A measure that takes nothing measures the model outside, the same each time. @throws InputError where a function takes no argument */
export function checkTakesModel(caller: string, evaluate: (model: never, ...rest: never[]) => unknown): void {
  if (evaluate.length > 0) return
  throw new InputError(`${caller}: expected an \`evaluate\` that measures the model it is given, got a function that takes none: write \`evaluate: async (model) => …\`. The model outside stays as it is.`)
}
