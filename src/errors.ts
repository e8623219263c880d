/** Base of every error this library throws on purpose. `problems` holds each finding where several were collected. */
export class PeftError extends Error {
  override name = 'PeftError'
  declare readonly problems: readonly string[]

  /**
   * @param problems one text, or all findings at once: each is cut and in `problems`, and printed one a line under `title` as far
   *   as a text stays readable
   */
  constructor(title: string, problems: readonly string[] = [], options?: ErrorOptions) {
    const head = cut(withoutSecrets(title), LONGEST_TITLE)
    const found = problems.map((problem) => cut(withoutSecrets(problem), LONGEST_PROBLEM))
    super([head, ...printed(found)].join('\n'), options)
    Object.defineProperty(this, 'problems', { value: found.length === 0 ? [head] : found, configurable: true }) // not enumerable: Node prints what is, and the message has them
  }
}

/** Most characters of an error's first line, of one problem, and of all of them together. */
const LONGEST_TITLE = 8_000
const LONGEST_PROBLEM = 1_000
const LONGEST_LIST = 20_000
/** Most problems that an error's text lists. */
const MOST_PROBLEMS = 100

function printed(problems: readonly string[]): string[] {
  const lines: string[] = []
  let length = 0
  for (const problem of problems.slice(0, MOST_PROBLEMS)) {
    length += problem.length
    if (length > LONGEST_LIST) break
    lines.push(`  - ${problem}`)
  }
  if (lines.length < problems.length) lines.push(`  - and ${problems.length - lines.length} more`)
  return lines
}

function cut(text: string, longest: number): string {
  return text.length <= longest ? text : `${text.slice(0, longest)}… (${text.length} characters)`
}

/**
 * A text without what must not be printed: the name and password in an address, and access tokens of the Hub.
 *
 * @example withoutSecrets('http://ada:lovelace@mirror/x') // 'http://***@mirror/x'
 */
export function withoutSecrets(text: string): string {
  return text.replace(/:\/\/[^\s/?#]*@/g, '://***@').replace(/\b(hf_|api_org_)(jwt_[\w.-]+|[A-Za-z0-9]{30,})/g, '$1***')
}

/** The TensorFlow engine is missing, broken, or cannot do what was asked. */
export class EngineError extends PeftError {
  override name = 'EngineError'
}

/** A checkpoint or adapter file is damaged, or its keys do not fit the model. */
export class CheckpointError extends PeftError {
  override name = 'CheckpointError'
}

/** A file could not be had from the Hub. `status` is the HTTP status where there was an answer. */
export class HubError extends PeftError {
  override name = 'HubError'
  readonly status: number | undefined

  constructor(title: string, status?: number, options?: ErrorOptions) {
    super(title, [], options)
    this.status = status
  }
}

/** A method was aimed at places of the model that do not exist or cannot take it. */
export class TargetError extends PeftError {
  override name = 'TargetError'
}

/** An argument is out of range or of the wrong shape. */
export class InputError extends PeftError {
  override name = 'InputError'
}

/** Training had to stop; weights and optimiser are as they were before the step that failed. */
export class TrainingError extends PeftError {
  override name = 'TrainingError'
}

/** As many problems of one kind as tell what it is, and how many more there are. @param what they are of, as in 'texts' */
export function firstOf(problems: readonly string[], what: string): string[] {
  return problems.length <= 10 ? [...problems] : [...problems.slice(0, 10), `and ${problems.length - 10} more ${what}`]
}

/** Most characters of a value in an error. */
const SHOWN = 120

/**
 * A value that came from outside, as an error shows it: its JSON, cut; of what has none, what it is.
 *
 * @example shown({ rank: '8' }) // '{"rank":"8"}'
 */
export function shown(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'undefined' || typeof value === 'bigint') return String(value)
  if (value instanceof Promise) return 'a promise: write `await` before what gives it'
  if (typeof value === 'function') return `a function, ${value.name === '' ? 'without a name' : value.name}`
  if (typeof value === 'symbol') return 'a symbol'
  let text: string
  try {
    text = JSON.stringify(value)
  } catch {
    return 'an object that cannot be shown' // nested too deep, or in itself
  }
  return cut(text, SHOWN)
}
