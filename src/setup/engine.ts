import { access, realpath, rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { EngineError } from '../errors.ts'
import { buildEngine } from './build-engine.ts'
import { buildFolder } from './build-folder.ts'
import { cacheFolder } from './cache.ts'
import { checkEngine } from './check-engine.ts'
import { BINDING_FOLDER, ENGINE_PACKAGE_VERSION, enginePackages, linkEngine, linkedBinding } from './link.ts'
import { withSetupLock } from './lock.ts'
import { installNative } from './native.ts'
import { downloadOfficialEngine } from './official-engine.ts'
import type { SetupContext } from './report.ts'
import { type Device, TENSORFLOW } from './wheels.ts'

/** Where an engine in the cache came from: downloaded as its authors publish it, or built from TensorFlow's wheel. */
export type EngineSource = 'official' | 'built'

const SOURCES: readonly EngineSource[] = ['official', 'built']

/** What is to be installed, and for whom. */
export interface InstallOptions {
  /** Folder of the project whose `@tensorflow/tfjs-node-gpu` gets the engine. */
  readonly project: string
  readonly device: Device
  /** Install again although there is an engine. @default false */
  readonly force?: boolean
}

/**
 * The name of an engine in the cache; engines that could not stand in for each other differ in it.
 *
 * @example
 * engineKey('built', 'cpu')   // 'tfjs-4.22.0-tf-2.21.0-cpu-linux-x64-napi8'
 */
export function engineKey(source: EngineSource, device: Device): string {
  const tensorflow = source === 'built' ? `tf-${TENSORFLOW}` : 'official'
  return `tfjs-${ENGINE_PACKAGE_VERSION}-${tensorflow}-${device}-${process.platform}-${process.arch}-napi8`
}

/**
 * Makes sure that the project has a TensorFlow engine that works: from the cache, else the official download, else
 * built here; and that it has the fused kernels, where they can be had. Does nothing, and reports nothing, where there is one already.
 *
 * @throws EngineError when no engine could be had; each attempt's reason is in it
 * @example
 * await installEngine({ project: process.cwd(), device: 'cpu' }, { report: console.log, signal })
 */
export async function installEngine(options: InstallOptions, context: SetupContext): Promise<void> {
  const { project, device, force = false } = options
  const packages = await enginePackages(project)
  const missing: string[] = []
  for (const folder of packages) if (force || !(await hasEngine(folder, device))) missing.push(folder)
  const first = missing[0]
  if (first !== undefined) {
    context.report({ kind: 'step', text: `Setting up the TensorFlow engine (${device})` })
    await withSetupLock(context, async () => {
      const engine = (force ? undefined : await cachedEngine(device, context)) ?? (await newEngine(first, device, context))
      for (const folder of missing) await linkEngine(engine, folder)
      context.report({ kind: 'step', text: `Linked the engine ${engine} into ${missing.map((folder) => relative(project, folder)).join(', ')}` })
    })
  }
  await installNative(packages, force, context)
}

/** Whether the package has our engine for the device, or a working one of its own, as npm installs where it may. */
async function hasEngine(packageFolder: string, device: Device): Promise<boolean> {
  const binding = await linkedBinding(packageFolder)
  if (binding === undefined) return false
  for (const source of SOURCES) {
    const ours = await realpath(join(engineFolder(source, device), BINDING_FOLDER)).catch(() => undefined)
    if (binding === ours) return true
  }
  return binding.startsWith(packageFolder) && (await checkEngine({ binding, device })).works
}

function engineFolder(source: EngineSource, device: Device): string {
  return join(cacheFolder(), 'engine', engineKey(source, device))
}

async function cachedEngine(device: Device, context: SetupContext): Promise<string | undefined> {
  for (const source of SOURCES) {
    const engine = engineFolder(source, device)
    if (!(await access(engine).then(() => true, () => false))) continue
    context.report({ kind: 'step', text: 'Checking the engine in the cache' })
    const check = await checkEngine({ binding: join(engine, BINDING_FOLDER), device, signal: context.signal })
    if (check.works) return engine
    context.report({ kind: 'note', text: `The engine ${engine} does not work and is made again: ${check.reason}` })
  }
  return undefined
}

async function newEngine(packageFolder: string, device: Device, context: SetupContext): Promise<string> {
  const official = engineFolder('official', device)
  try {
    await buildFolder(official, async (folder) => {
      await downloadOfficialEngine(packageFolder, folder, device, context)
      await requireWorking(folder, device, context)
    })
    return official
  } catch (error) {
    context.signal.throwIfAborted()
    if (!(error instanceof EngineError)) throw error
    context.report({ kind: 'note', text: `The official engine cannot be used (${error.message}); building one.` })
  }
  const built = engineFolder('built', device)
  const wheels = join(cacheFolder(), 'wheels')
  await buildFolder(built, async (folder) => {
    await buildEngine(packageFolder, folder, wheels, device, context)
    await requireWorking(folder, device, context)
  })
  await rm(wheels, { recursive: true })
  return built
}

async function requireWorking(folder: string, device: Device, { report, signal }: SetupContext): Promise<void> {
  report({ kind: 'step', text: 'Checking the engine' })
  const check = await checkEngine({ binding: join(folder, BINDING_FOLDER), device, signal })
  if (check.works) return
  const advice = device === 'cuda' ? ' Update the NVIDIA driver, or set TFJS_PEFT_DEVICE=cpu to do without the GPU.' : ''
  throw new EngineError(`the engine does not work: ${check.reason}.${advice}`)
}
