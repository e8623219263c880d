import { spawn } from 'node:child_process'

/** How a command ended. `output` is its standard output and error, in the order they came. */
export interface CommandResult {
  readonly ok: boolean
  /** 'exit code 1', 'signal SIGILL', 'not found', 'no answer within 120 s'. */
  readonly ending: string
  readonly output: string
}

/** How a command is run. */
export interface CommandOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  readonly signal?: AbortSignal
  /** Seconds after which the command is killed; none unless given. */
  readonly timeout?: number
  /** Called with each piece of output as it comes. */
  readonly onOutput?: (text: string) => void
}

/**
 * Runs a command without a shell and waits for its end. A command that fails, is not found, or runs out of time is a
 * result; only an aborted `signal` throws.
 *
 * @example
 * const { ok, output } = await runCommand('g++', ['--version'])
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { cwd, env, signal, timeout, onOutput } = options
  signal?.throwIfAborted()
  const result = await new Promise<CommandResult>((settle) => {
    const child = spawn(command, args, { cwd, env, signal, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let late = false
    const timer = timeout && setTimeout(() => ((late = true), child.kill('SIGKILL')), timeout * 1000)
    const read = (text: string): void => ((output += text), onOutput?.(text))
    child.stdout.setEncoding('utf8').on('data', read)
    child.stderr.setEncoding('utf8').on('data', read)
    const end = (ok: boolean, ending: string): void => {
      if (timer) clearTimeout(timer)
      settle({ ok, ending, output })
    }
    child.on('error', (error: NodeJS.ErrnoException) => end(false, error.code === 'ENOENT' ? 'not found' : error.message))
    child.on('close', (code, killed) => {
      if (late) end(false, `no answer within ${timeout ?? 0} s`)
      else end(code === 0, killed ? `signal ${killed}` : `exit code ${code ?? 0}`)
    })
  })
  signal?.throwIfAborted()
  return result
}

/**
 * The end of a command's output, for an error text.
 *
 * @param lines how many of the last non-empty lines to keep, default 8
 * @example
 * lastLines('a\n\nb\n', 1)   // 'b'
 */
export function lastLines(output: string, lines = 8): string {
  return output
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '')
    .slice(-lines)
    .join('\n')
}
