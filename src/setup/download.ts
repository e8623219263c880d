import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { access, mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { EngineError } from '../errors.ts'
import { removeLeftovers } from './build-folder.ts'
import { lastLines, runCommand } from './command.ts'
import type { SetupContext } from './report.ts'
import { watchFolder } from './watch-folder.ts'
import type { Wheel } from './wheels.ts'

/**
 * Fetches a wheel with pip, which knows the user's mirrors, proxies and certificates, and checks its content.
 * A wheel that is already in `folder` is not fetched again.
 *
 * @param folder where the wheel is kept; a half-fetched one never shows there under its name
 * @returns the path of the wheel
 * @throws EngineError when pip is missing or fails, or the content is not the pinned one
 * @example
 * const path = await fetchWheel(wheel, '/home/ada/.cache/tfjs-peft/wheels', context)
 */
export async function fetchWheel(wheel: Wheel, folder: string, context: SetupContext): Promise<string> {
  const path = join(folder, wheel.file)
  await removeLeftovers(path)
  if ((await exists(path)) && (await sha256(path)) === wheel.sha256) return path
  const partial = `${path}.partial-${process.pid}`
  await mkdir(partial, { recursive: true })
  try {
    await pipDownload(wheel, partial, context)
    const fetched = join(partial, wheel.file)
    const found = await sha256(fetched)
    if (found !== wheel.sha256) {
      throw new EngineError(
        `${wheel.file}: expected sha256 ${wheel.sha256}, got ${found}. ` +
          'The package index pip uses gave another file; check `pip config list` for a mirror and try again.',
      )
    }
    await rename(fetched, path)
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  return path
}

/** The pip arguments that name exactly this wheel, whatever Python pip itself runs on. */
export function pipArguments(wheel: Wheel): readonly string[] {
  const [name = '', version = '', python = '', abi = '', platforms = ''] = wheel.file.replace(/\.whl$/, '').split('-')
  const platform = platforms.split('.', 1)[0] ?? ''
  const tags = python.startsWith('cp') ? ['--python-version', python.slice(2), '--implementation', 'cp'] : []
  return ['--no-deps', '--only-binary=:all:', ...tags, '--abi', abi, '--platform', platform, `${name}==${version}`]
}

async function pipDownload(wheel: Wheel, folder: string, { report, signal }: SetupContext): Promise<void> {
  let total: number | undefined
  const stop = watchFolder(folder, report, () => total)
  const quiet = ['--no-cache-dir', '--disable-pip-version-check', '--no-input', '--progress-bar', 'off']
  // pip fetches into its temporary folder: here, so that the growing file can be watched and nothing is left behind.
  const env = { ...process.env, TMPDIR: folder, TEMP: folder }
  const onOutput = (text: string): void => void (total ??= downloadSize(text))
  const args = ['-m', 'pip', 'download', '--dest', folder, ...quiet, ...pipArguments(wheel)]
  const result = await runCommand('python3', args, { env, signal, onOutput }).finally(stop)
  if (result.ok) return
  if (result.ending === 'not found' || /No module named '?pip/.test(result.output)) {
    throw new EngineError(
      'Python 3 with pip is needed to fetch the engine, and was not found. Install it: `apt install python3-pip`, ' +
        '`dnf install python3-pip`, or `brew install python`.',
    )
  }
  throw new EngineError(`pip could not fetch ${wheel.file} (${result.ending}):\n${lastLines(result.output)}`)
}

/** The bytes pip is about to fetch, from its line 'Downloading x.whl (274.5 MB)'. */
function downloadSize(text: string): number | undefined {
  const [, size, unit] = /Downloading .*\(([\d.]+) ([kM]B)\)/.exec(text) ?? []
  return size === undefined ? undefined : Number(size) * (unit === 'kB' ? 1e3 : 1e6)
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false)
}

/** The sha256 of a file's content, in hex. */
export async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer)
  return hash.digest('hex')
}
