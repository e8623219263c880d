import { cp, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import { EngineError } from '../errors.ts'
import { lastLines, runCommand } from './command.ts'
import { reachable } from './reachable.ts'
import type { SetupContext } from './report.ts'
import { watchFolder } from './watch-folder.ts'
import type { Device } from './wheels.ts'

/** Seconds, for up to 400 MB. */
const DOWNLOAD_TIMEOUT = 1800

/**
 * Makes the engine that the authors of `@tensorflow/tfjs-node-gpu` publish: runs the package's own install script on a
 * copy of the package in `folder`. The script honours its own mirror variables (`TFJS_NODE_CDN_STORAGE` and others).
 *
 * @param packageFolder the installed package; it is only read
 * @throws EngineError when the host is out of reach or the script fails
 */
export async function downloadOfficialEngine(
  packageFolder: string,
  folder: string,
  device: Device,
  { report, signal }: SetupContext,
): Promise<void> {
  const host = await officialHost(packageFolder)
  if (!(await reachable(host, signal))) throw new EngineError(`${URL.canParse(host) ? new URL(host).host : 'the mirror named in the environment'} is out of reach`)
  report({ kind: 'step', text: `Downloading the engine published with ${packageFolder.split(/[\\/]/).slice(-2).join('/')}` })
  for (const name of ['package.json', 'binding.gyp', 'binding', 'scripts']) {
    await cp(join(packageFolder, name), join(folder, name), { recursive: true })
  }
  // The copy lies outside every node_modules: tell the script where the package's dependencies and their tools are.
  const modules = createRequire(join(packageFolder, 'package.json')).resolve.paths('tar') ?? []
  const tools = modules.map((path) => join(path, '.bin'))
  const env = {
    ...process.env,
    NODE_PATH: modules.join(delimiter),
    PATH: [...tools, process.env['PATH'] ?? ''].join(delimiter),
  }
  const args = [join(folder, 'scripts', 'install.js'), device === 'cuda' ? 'gpu' : 'cpu', 'download']
  const stop = watchFolder(folder, report)
  const options = { cwd: folder, env, signal, timeout: DOWNLOAD_TIMEOUT }
  const result = await runCommand(process.execPath, args, options).finally(stop)
  if (!result.ok) throw new EngineError(`its install script failed (${result.ending}): ${lastLines(result.output, 3)}`)
}

/** The host the install script downloads from: the user's mirror, else the one the package names for its binding. */
async function officialHost(packageFolder: string): Promise<string> {
  const names = ['TFJS_NODE_BASE_URI', 'TFJS_NODE_CDN_STORAGE'].flatMap((name) => [name, `npm_config_${name}`])
  const mirror = [...names, 'CDN_STORAGE'].map((name) => process.env[name]).find((value) => value)
  if (mirror) return mirror
  const { binary } = JSON.parse(await readFile(join(packageFolder, 'package.json'), 'utf8')) as { binary: { host: string } }
  return binary.host
}
