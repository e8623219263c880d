import { createContext, Script } from 'node:vm'
import { InputError } from '../../errors.ts'

/** A second, and one more for each hundred thousand characters: patterns that do their work in proportion to it take a hundredth. */
const limitOf = (text: string): number => 1000 + Math.ceil(text.length / 100)

const context = createContext({ run: undefined as (() => void) | undefined })
const script = new Script('run()')

/**
 * Runs a search in a text that may take for ever and stops it when its time is up: the engine looks up from a search
 * within one expression for nothing else. A call costs a tenth of a millisecond.
 *
 * @throws InputError that says what took too long
 */
export function guarded<T>(run: () => T, what: string, text: string): T {
  const timeout = limitOf(text)
  const results: T[] = []
  context['run'] = (): void => {
    results.push(run())
  }
  try {
    script.runInContext(context, { timeout })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw cause
    throw new InputError(`${what} takes more than ${timeout / 1000} seconds for a text of ${text.length} characters: it is given up. A pattern without repetitions inside repetitions does not do so`)
  } finally {
    context['run'] = undefined
  }
  return results[0] as T // run has returned
}
