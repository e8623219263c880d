/** Base of every error this library throws on purpose. `problems` holds each finding where several were collected. */
export class PeftError extends Error {
  override name = 'PeftError'
  readonly problems: readonly string[]

  /** @param problems one text, or all findings at once (printed one a line under `title`) */
  constructor(title: string, problems: readonly string[] = [], options?: ErrorOptions) {
    super(problems.length === 0 ? title : `${title}\n${problems.map((problem) => `  - ${problem}`).join('\n')}`, options)
    this.problems = problems.length === 0 ? [title] : problems
  }
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

/** Most characters of a value in an error. */
const SHOWN = 120

/**
 * A value that came from outside, as an error shows it: its JSON, cut.
 *
 * @example shown({ rank: '8' }) // '{"rank":"8"}'
 */
export function shown(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'undefined' || typeof value === 'bigint') return String(value)
  let text: string
  try {
    text = JSON.stringify(value)
  } catch {
    return 'an object that cannot be shown' // nested too deep, or in itself
  }
  return text.length <= SHOWN ? text : `${text.slice(0, SHOWN)}… (${text.length} characters)`
}
