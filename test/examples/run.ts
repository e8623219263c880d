import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** What an example prints. */
export async function run(example: string, ...args: readonly string[]): Promise<string> {
  const cwd = fileURLToPath(new URL('../..', import.meta.url))
  const { stdout } = await promisify(execFile)('node', ['--import', 'tsx', `examples/${example}`, ...args], { cwd })
  return stdout
}
