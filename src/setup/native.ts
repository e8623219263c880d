import { access, mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { nativeSources } from '../base/engine/load-native.ts'
import { EngineError } from '../errors.ts'
import { removeLeftovers } from './build-folder.ts'
import { checkEngine } from './check-engine.ts'
import { lastLines, runCommand } from './command.ts'
import { findCompiler } from './compiler.ts'
import { linkedBinding } from './link.ts'
import { withSetupLock } from './lock.ts'
import type { SetupContext } from './report.ts'

const AVX2 = ['-mavx2', '-mfma']
const AVX512 = [...AVX2, '-mavx512f', '-mavx512dq', '-mavx512bw', '-mavx512vl']
const VNNI = [...AVX512, '-mavx512vnni']
const BF16 = [...VNNI, '-mavx512bf16']

/** Compiler flags of the instruction sets the kernels are compiled for; the processor's own is chosen at run time. */
const INSTRUCTION_SETS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  x64: { baseline: [], avx2: AVX2, avx512: AVX512, avx512vnni: VNNI, avx512bf16: BF16, amx: [...BF16, '-mamx-tile', '-mamx-bf16', '-mamx-int8'] },
  arm64: { baseline: [] }, // NEON is part of it
}

/** Compilers before GCC 11 and Clang 12 do not know all of them; the addon does without those. */
const NEWEST = ['avx512vnni', 'avx512bf16', 'amx']

/** Days for which the addon of another version stays beside the engine after a set-up last asked for it. */
const UNUSED = 90

/**
 * Makes sure that the fused kernels lie beside the engines of these packages, compiled from the sources of this version.
 * Where they cannot be compiled a report says why; the library works without them, more slowly.
 *
 * @param packages folders of `@tensorflow/tfjs-node-gpu`
 * @param force compile again although there are some, or although it failed before
 * @example
 * await installNative(await enginePackages(process.cwd()), false, { report: console.log, signal })
 */
export async function installNative(packages: readonly string[], force: boolean, context: SetupContext): Promise<void> {
  const bindings = new Set(await Promise.all(packages.map(linkedBinding)))
  for (const binding of bindings) {
    if (binding === undefined || (!force && (await isSettled(binding)))) continue
    await withSetupLock(context, async () => {
      if (!force && (await isSettled(binding))) return // another set-up was faster
      context.report({ kind: 'step', text: 'Compiling the fused kernels' })
      try {
        await buildNative(binding, context.signal)
      } catch (error) {
        context.signal.throwIfAborted()
        const text = error instanceof Error ? error.message : String(error)
        context.report({ kind: 'note', text: `The fused kernels cannot be had, and training is slower without them: ${text}` })
      }
    })
  }
}

/** Why the fused kernels did not compile for this engine; undefined when they did or when nobody has tried. */
export async function nativeFailure(binding: string): Promise<string | undefined> {
  return readFile(failureFile(binding), 'utf8').catch(() => undefined)
}

/** Whether the kernels are there, or are known not to compile. Notes down that they are in use. */
async function isSettled(binding: string): Promise<boolean> {
  const now = new Date()
  await utimes(join(binding, nativeSources().addon), now, now).catch(() => undefined) // of another user, or not there
  return (await isThere(join(binding, nativeSources().addon))) || (await isThere(failureFile(binding)))
}

function failureFile(binding: string): string {
  return join(binding, nativeSources().addon.replace(/\.node$/, '.failed.txt'))
}

/**
 * Compiles the addon and tries it in a process of its own; it shows up beside the binding only when it works.
 *
 * @throws EngineError when it does not compile or does not work, which is noted down; or when there is no compiler
 */
async function buildNative(binding: string, signal: AbortSignal): Promise<void> {
  const compiler = await findCompiler()
  if (compiler === undefined) throw new EngineError('no C++17 compiler (CXX, g++ or clang++) was found.')
  const target = join(binding, nativeSources().addon)
  await removeLeftovers(target)
  const partial = `${target}.partial-${process.pid}`
  await mkdir(partial)
  try {
    await rm(failureFile(binding), { force: true })
    const addon = await compile(compiler, await frameworkLibrary(binding), partial, signal)
    const check = await checkEngine({ binding, addon, signal })
    if (!check.works) throw new EngineError(`with them the engine does not work: ${check.reason}`)
    if (!check.native.loaded && !check.gpu) throw new EngineError(check.native.reason)
    await rename(addon, target)
    await removeUnused(binding)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof EngineError) await writeFile(failureFile(binding), error.message)
    throw error
  } finally {
    await removeLeftovers(target)
  }
}

/**
 * Removes the addons of other sources, and notes of their failures, once no set-up has asked for them for long: other projects,
 * with other versions of this library, share the engine. A program that runs on one keeps it until it ends, or, where the
 * system does not let go of it (Windows), a later set-up removes it.
 */
async function removeUnused(binding: string): Promise<void> {
  const { addon } = nativeSources()
  const isOurs = /^tfjs_peft_native-\w+\.(node|failed\.txt)$/
  const others = (await readdir(binding)).filter((name) => isOurs.test(name) && name !== addon).map((name) => join(binding, name))
  const isUnused = async (path: string): Promise<boolean> => Date.now() - (await stat(path)).mtimeMs > UNUSED * 24 * 3600 * 1000
  await Promise.all(others.map(async (path) => ((await isUnused(path)) ? rm(path) : undefined)).map((removal) => removal.catch(() => undefined)))
}

/** TensorFlow's library, in an engine built from wheels or in one as its authors publish it. */
async function frameworkLibrary(binding: string): Promise<string> {
  const name = process.platform === 'darwin' ? 'libtensorflow_framework.2.dylib' : 'libtensorflow_framework.so.2'
  for (const folder of ['tensorflow', join('..', '..', 'deps', 'lib')]) {
    const path = join(binding, folder, name)
    if (await isThere(path)) return path
  }
  throw new EngineError(`${binding}: expected ${name} in its folder tensorflow or in ../../deps/lib, and it is in neither.`)
}

/**
 * Compiles the addon for tests, with assertions and with the compiler's own checks of memory and of undefined behaviour.
 *
 * @param binding folder of the engine's binding @param folder where the addon comes to lie
 * @returns the addon's path
 * @throws EngineError when it does not compile
 */
export async function compileChecked(binding: string, folder: string, signal: AbortSignal): Promise<string> {
  const compiler = await findCompiler()
  if (compiler === undefined) throw new EngineError('no C++17 compiler (CXX, g++ or clang++) was found.')
  const checks = ['-O1', '-g', '-fno-omit-frame-pointer', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined']
  return compile(compiler, await frameworkLibrary(binding), folder, signal, checks)
}

/** Object files for the parts that run anywhere, and one of the kernels for each instruction set, made at the same time. */
async function compile(compiler: string, library: string, folder: string, signal: AbortSignal, options: readonly string[] = ['-O3', '-DNDEBUG']): Promise<string> {
  const sets = INSTRUCTION_SETS[process.arch]
  if (sets === undefined) throw new EngineError(`they are not written for ${process.arch} processors.`)
  const sources = nativeSources()
  const nodeHeaders = join(dirname(createRequire(import.meta.url).resolve('node-api-headers/package.json')), 'include')
  // Without errno and traps, which nothing here reads, the compiler may use vectors; NaN and infinities stay as they are.
  const common = [...options, '-std=c++17', '-fPIC', '-fvisibility=hidden', '-fno-math-errno', '-fno-trapping-math']
  const defines = ['-DNAPI_VERSION=8', `-DSOURCES=${sources.hash}`, `-I${nodeHeaders}`]
  const parts = sources.names.filter((name) => name.endsWith('.cc') && name !== 'kernels.cc').map((name) => ({ name, flags: [], object: `${name}.o`, needed: true }))
  const kernels = Object.entries(sets).map(([set, flags]) => ({
    name: 'kernels.cc',
    flags: [`-DINSTRUCTIONS=${set}`, ...flags],
    object: `kernels-${set}.o`,
    needed: !NEWEST.includes(set),
  }))
  const objects: string[] = []
  for (const jobs of [kernels, parts]) { // of all at the same time a signal would have more listeners than Node thinks right
    const made = await Promise.all(jobs.map(async ({ name, flags, object, needed }) => {
      const path = join(folder, object)
      try {
        await run(compiler, [...common, ...defines, ...flags, '-c', join(sources.folder, name), '-o', path], signal)
      } catch (error) {
        if (needed || signal.aborted) throw error
        return []
      }
      return [path]
    }))
    objects.push(...made.flat())
  }
  const addon = join(folder, sources.addon)
  const mac = process.platform === 'darwin'
  const place = library.includes(join('deps', 'lib')) ? '../../deps/lib' : 'tensorflow'
  await run(
    compiler,
    [
      ...[...options, '-shared', ...objects, '-o', addon, library],
      ...(mac ? ['-undefined', 'dynamic_lookup'] : []),
      `-Wl,-rpath,${mac ? '@loader_path' : '$ORIGIN'}/${place}`,
    ],
    signal,
  )
  return addon
}

async function run(compiler: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  const { ok, ending, output } = await runCommand(compiler, args, { signal })
  if (!ok) throw new EngineError(`${compiler} failed (${ending}):\n${lastLines(output, 20)}`)
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false)
}
