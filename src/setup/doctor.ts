import { readFile, readdir, stat, statfs } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { getHFHubCachePath } from '@huggingface/hub'
import { expandHome } from '../base/hub/options.ts'
import { cacheFolder } from './cache.ts'
import { checkEngine, type EngineCheck } from './check-engine.ts'
import { runCommand } from './command.ts'
import { findCompiler } from './compiler.ts'
import { chooseDevice, nvidiaGpus } from './device.ts'
import { ENGINE_PACKAGE, ENGINE_PACKAGE_VERSION, enginePackages, linkedBinding } from './link.ts'
import { nativeFailure } from './native.ts'
import { processor } from './processor.ts'

/** One thing the doctor looked at. It is a problem where there is a `fix`. */
export interface Finding {
  readonly name: string
  /** What was found, for people; one fact a line. */
  readonly value: string
  readonly fix?: string
}

/** The oldest Node that is tested, as package.json's `engines` says. */
const OLDEST_NODE = [20, 19] as const

/** Bytes: below this a model's download is about to fail. A build of the engine looks for itself. */
const LITTLE_DISK = 0.5e9

/**
 * Looks at everything this library depends on outside itself, and says how to mend what is broken.
 *
 * @param project folder of the project to look at
 * @example
 * const problems = (await diagnose(process.cwd())).filter(({ fix }) => fix !== undefined)
 */
export async function diagnose(project: string): Promise<readonly Finding[]> {
  const check = await checkEngine()
  return [
    await version(),
    node(),
    await enginePackage(project),
    tensorflow(check),
    ...(await fusedKernels(check, project)),
    await devices(check),
    await cpu(),
    threads(),
    await cache(),
    await models(),
    ...(await buildTools(check.works)),
  ]
}

async function version(): Promise<Finding> {
  const file = await readFile(new URL('../../package.json', import.meta.url), 'utf8')
  return { name: 'tfjs-peft', value: (JSON.parse(file) as { version: string }).version }
}

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const old = major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])
  const value = `${process.version}, ${process.platform} ${process.arch}`
  return finding('Node', value, old && `Install Node ${OLDEST_NODE.join('.')} or later.`)
}

async function enginePackage(project: string): Promise<Finding> {
  const name = 'Engine package'
  try {
    const lines = [`${ENGINE_PACKAGE} ${ENGINE_PACKAGE_VERSION}`]
    let missing = false
    for (const folder of await enginePackages(project)) {
      const binding = await linkedBinding(folder)
      lines.push(folder, binding === undefined ? 'has no engine' : `engine in ${binding}`)
      missing ||= binding === undefined
    }
    return finding(name, lines.join('\n'), missing && 'Run `npx tfjs-peft setup`.')
  } catch (error) {
    const [problem = '', fix = ''] = (error as Error).message.split(/(?<=\.) (?=Run )/)
    return { name, value: problem, fix }
  }
}

function tensorflow(check: EngineCheck): Finding {
  if (check.works) return { name: 'TensorFlow', value: check.version }
  const absent = /can not be found|Cannot find package/.test(check.reason) // tfjs-node's words, and Node's
  const fix = absent ? 'Run `npx tfjs-peft setup`.' : 'Run `npx tfjs-peft setup --force`, which makes the engine anew.'
  return { name: 'TensorFlow', value: `does not work: ${check.reason}`, fix }
}

/** Nothing depends on them but speed, so only what a set-up would mend is a problem. */
async function fusedKernels(check: EngineCheck, project: string): Promise<readonly Finding[]> {
  if (!check.works) return []
  const name = 'Fused kernels'
  if (check.native.loaded) return [{ name, value: `${check.native.instructionSet}, ${check.native.threads} threads` }]
  const bindings = await Promise.all((await enginePackages(project).catch(() => [])).map(linkedBinding))
  const failures = await Promise.all(bindings.map(async (binding) => binding && nativeFailure(binding)))
  const failure = failures.find((reason) => reason)
  if (failure) return [{ name, value: `could not be compiled; training is slower without them\n${failure}` }]
  const misfit = / does not fit /.test(check.native.reason) // a set-up takes the file that is there for the right one
  const fix = misfit ? `Remove ${check.native.reason.split(' ', 1)[0] ?? ''} beside the engine and run \`npx tfjs-peft setup\`.` : 'Run `npx tfjs-peft setup`; they need a C++17 compiler.'
  return [finding(name, check.native.reason, !check.gpu && fix)]
}

async function devices(check: EngineCheck): Promise<Finding> {
  const gpus = await nvidiaGpus()
  const used = check.works && check.gpu
  const value = ['CPU', ...gpus.map((gpu) => `GPU ${gpu}${used ? '' : ', not used'}`)].join('\n')
  const wanted = (await chooseDevice().catch(() => 'cpu')) === 'cuda'
  return finding('Devices', value, wanted && check.works && !used && 'Run `npx tfjs-peft setup`, or set TFJS_PEFT_DEVICE=cpu to do without the GPU.')
}

async function cpu(): Promise<Finding> {
  const { model, has, lacks } = await processor()
  const lacking = lacks.length === 0 ? '' : `; lacks ${lacks.join(' ')}`
  const tooOld = lacks.includes('avx')
  return finding('Processor', `${model}\nhas ${has.join(' ')}${lacking}`, tooOld && 'TensorFlow needs a processor with AVX.')
}

function threads(): Finding {
  const limits = ['OMP_NUM_THREADS', 'TF_NUM_INTRAOP_THREADS', 'TF_NUM_INTEROP_THREADS']
    .filter((name) => process.env[name])
    .map((name) => `${name}=${process.env[name] ?? ''}`)
  return { name: 'Threads', value: [String(availableParallelism()), ...limits].join(', ') }
}

async function cache(): Promise<Finding> {
  const folder = cacheFolder()
  const size = await folderSize(folder)
  const free = await freeDisk(folder)
  const fix = free < LITTLE_DISK && 'Free some disk, or set TFJS_PEFT_CACHE to a folder on a larger one.'
  return finding('Cache', `${folder}\n${gigabytes(size)} used, ${gigabytes(free)} free`, fix)
}

async function models(): Promise<Finding> {
  const folder = resolve(expandHome(getHFHubCachePath()))
  const names = await readdir(folder).catch(() => [])
  const ids = names.filter((name) => name.startsWith('models--')).map((name) => name.slice('models--'.length).replace('--', '/'))
  return { name: 'Models', value: [folder, ...ids].join('\n') }
}

/** Needed only to build an engine, so their absence is a problem only while there is none. */
async function buildTools(works: boolean): Promise<readonly Finding[]> {
  const pip = await runCommand('python3', ['-m', 'pip', '--version'])
  const compiler = await findCompiler()
  return [
    finding('Python', pip.ok ? pip.output.replace(/ from .* \(/, ' (').trim() : 'no python3 with pip', !pip.ok && !works && 'Install it: `apt install python3-pip`.'),
    finding('Compiler', compiler ?? 'none', compiler === undefined && !works && 'Install one: `apt install g++`.'),
  ]
}

function finding(name: string, value: string, fix: string | false): Finding {
  return fix === false ? { name, value } : { name, value, fix }
}

/** Bytes of all files in the folder; links are not followed. */
async function folderSize(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  const files = entries.filter((entry) => entry.isFile())
  const sizes = await Promise.all(files.map((file) => stat(join(file.parentPath, file.name)).then(({ size }) => size, () => 0)))
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** Bytes free on the disk that holds the folder, or will hold it. */
async function freeDisk(folder: string): Promise<number> {
  for (let at = folder; ; at = join(at, '..')) {
    const disk = await statfs(at).catch(() => undefined)
    if (disk) return disk.bavail * disk.bsize
    if (at === join(at, '..')) return Infinity
  }
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`
}
