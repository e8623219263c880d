import { cp, lstat, mkdir, readFile, realpath, rename, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { EngineError } from '../errors.ts'
import { removeLeftovers } from './build-folder.ts'

/** The package the engine belongs to, at the only version whose binding this library was tried with. */
export const ENGINE_PACKAGE = '@tensorflow/tfjs-node-gpu'
export const ENGINE_PACKAGE_VERSION = '4.22.0'

/** Where an engine's folder, and the package it is linked into, keep the binding. */
export const BINDING_FOLDER: string = join('lib', 'napi-v8')

/**
 * The folders of `@tensorflow/tfjs-node-gpu` that need the engine: the one the project resolves, and the one this
 * library resolves where that is another.
 *
 * @throws EngineError when there is none, or it has another version
 */
export async function enginePackages(project: string): Promise<readonly string[]> {
  const folders = new Set<string>()
  for (const from of [pathToFileURL(join(project, 'package.json')), import.meta.url]) {
    const folder = resolvePackage(from)
    if (folder !== undefined) folders.add(await realpath(folder))
  }
  if (folders.size === 0) {
    throw new EngineError(
      `${ENGINE_PACKAGE} is not installed in ${project}. Run \`npm install ${ENGINE_PACKAGE}@${ENGINE_PACKAGE_VERSION} ` +
        `@tensorflow/tfjs-core@${ENGINE_PACKAGE_VERSION}\` there first.`,
    )
  }
  for (const folder of folders) {
    const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version: string }
    if (version !== ENGINE_PACKAGE_VERSION) {
      throw new EngineError(
        `${folder}: expected version ${ENGINE_PACKAGE_VERSION}, got ${version}. ` +
          `Run \`npm install ${ENGINE_PACKAGE}@${ENGINE_PACKAGE_VERSION}\`.`,
      )
    }
  }
  return [...folders]
}

function resolvePackage(from: URL | string): string | undefined {
  try {
    return dirname(createRequire(from).resolve(`${ENGINE_PACKAGE}/package.json`))
  } catch {
    return undefined
  }
}

/**
 * Links the engine in the folder `engine`, which is laid out like the package, into the package. Where the file
 * system refuses links the engine is copied.
 */
export async function linkEngine(engine: string, packageFolder: string): Promise<void> {
  const place = join(packageFolder, BINDING_FOLDER)
  const partial = `${place}.partial-${process.pid}`
  await removeLeftovers(place)
  await mkdir(dirname(place), { recursive: true })
  const linked = await tryLink(join(engine, BINDING_FOLDER), partial)
  if (!linked) {
    await cp(join(engine, BINDING_FOLDER), partial, { recursive: true })
    await cp(join(engine, 'deps'), join(packageFolder, 'deps'), { recursive: true }).catch(() => undefined) // only the official engine has it
  }
  // A link takes the place of a link in one step; anything else has to make room first.
  if (!linked || (await isRealFolder(place))) await rename(place, `${partial}-old`).catch(() => undefined)
  await rename(partial, place)
  await removeLeftovers(place)
}

/** The folder the package's binding is in, links followed; undefined when it has none. */
export async function linkedBinding(packageFolder: string): Promise<string | undefined> {
  const file = await realpath(join(packageFolder, BINDING_FOLDER, 'tfjs_binding.node')).catch(() => undefined)
  return file === undefined ? undefined : dirname(file)
}

async function tryLink(target: string, path: string): Promise<boolean> {
  try {
    await symlink(target, path, 'junction') // a junction, unlike a symbolic link, needs no privilege on Windows
    return true
  } catch (error) {
    if (['EPERM', 'ENOSYS', 'EOPNOTSUPP', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw error
  }
}

async function isRealFolder(path: string): Promise<boolean> {
  return lstat(path).then((found) => found.isDirectory(), () => false)
}
