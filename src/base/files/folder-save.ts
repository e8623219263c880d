// Files of a folder that belong together, such as settings and weights, are replaced all at one moment, whoever reads them:
//
// 1. The new files are written into `.tfjs-peft-save/new`, the old ones get a second name in `.tfjs-peft-save/old`.
// 2. Each of them becomes, in its place, a link through `.tfjs-peft-save/now`, which leads to `old`: nothing has changed for a reader.
// 3. `now` is made to lead to `new`, by one rename: every file is the new one.
// 4. Each link is replaced by the file it leads to, and `.tfjs-peft-save` is removed.
//
// A process that is killed leaves a folder whose files are all old or all new; the next save tidies up. Where a file system has no
// links, the settings are taken away first and put back last, so that there is no moment at which old and new files load together.

import { access, link, lstat, mkdir, readdir, readFile, readlink, realpath, rename, rm, rmdir, symlink } from 'node:fs/promises'
import { dirname, join, posix, relative, sep } from 'node:path'
import { CheckpointError, PeftError } from '../../errors.ts'
import { syncFolder, writeAtomic } from './atomic.ts'
import { withLock } from './lock.ts'

const WORK = '.tfjs-peft-save'
/** Beside the work folder: only one process at a time saves into a folder. */
const LOCK = `${WORK}.lock`
/** In the work folder where there are no links: the names that the new files have no use for, once they are being moved. */
const MOVING = 'moving'

/** Without these no other file of a folder is loaded: they go first and come last. */
const SETTINGS: readonly string[] = ['config.json', 'adapter_config.json']

/** What a file system without links answers. */
const NO_LINKS: readonly unknown[] = ['EPERM', 'EACCES', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL', 'EMLINK', 'EXDEV']

/**
 * Replaces files of a folder as one: whatever happens meanwhile, readers find all the old ones or all the new ones. Other files
 * of the folder are not touched.
 *
 * @param write fills an empty folder with the new files, and may return names of old ones that the new ones leave no use for
 * @param links whether the file system has links; found out where it is left away
 * @throws CheckpointError when the files cannot be written (full disk, read-only folder), and what `write` throws; the old
 *   files are there then
 * @example
 * await replaceFiles('spam-lora', async (into) => { await writeAtomic(join(into, 'adapter_config.json'), '{}') })
 */
export async function replaceFiles(
  folder: string,
  write: (into: string) => Promise<readonly string[] | undefined>,
  links?: boolean,
): Promise<void> {
  let made: string | undefined
  try {
    made = await mkdir(folder, { recursive: true })
    await withLock(join(folder, LOCK), undefined, async () => {
      await settle(folder)
      try {
        await replace(folder, write, links)
      } catch (error) {
        await settle(folder).catch(() => undefined) // the next save does
        throw error
      }
      await settle(folder)
    })
  } catch (cause) {
    if (made !== undefined) await rmdir(folder).catch(() => undefined) // if it is empty, and so of no use
    if (cause instanceof PeftError || !(cause instanceof Error) || !('code' in cause)) throw cause
    throw new CheckpointError(`${folder} cannot be written: ${cause.message}. What was there is as it was; make room or choose another folder.`, [], { cause })
  }
}

/** Ends what a process that was killed has begun, where a file system without links has left files between their places. */
export async function finishSave(folder: string): Promise<void> {
  if (!(await exists(join(folder, WORK, MOVING)))) return
  await withLock(join(folder, LOCK), undefined, () => settle(folder))
}

/** The names in a folder, without links that lead nowhere: of a save that a kill has cut short there may be some. */
export async function namesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder)
  const there = await Promise.all(names.map((name) => access(join(folder, name)).then(() => true, () => false)))
  return names.filter((_, i) => there[i])
}

async function replace(folder: string, write: (into: string) => Promise<readonly string[] | undefined>, links?: boolean): Promise<void> {
  const work = join(folder, WORK)
  await mkdir(join(work, 'new'), { recursive: true })
  const stale = (await write(join(work, 'new'))) ?? []
  const fresh = await filesIn(join(work, 'new'))
  const unused = [...new Set(stale)].filter((name) => !fresh.includes(name))
  for (const name of fresh) await mkdir(dirname(join(folder, name)), { recursive: true })
  if (links !== false && (await linkOld(folder, [...fresh, ...unused]))) {
    const old = await filesIn(join(work, 'old'))
    for (const name of new Set([...fresh, ...old])) await putLink(folder, name)
    await syncAll(folder, fresh)
    await symlink('new', join(work, 'next'))
    await rename(join(work, 'next'), join(work, 'now')) // from here on every file is the new one
    await syncFolder(work)
  } else {
    await writeAtomic(join(work, MOVING), JSON.stringify(unused)) // from here on the new files are in the end put into place
  }
}

/** Gives the old files their second names, and makes `now` lead to them. False where the file system has no links. */
async function linkOld(folder: string, names: readonly string[]): Promise<boolean> {
  const work = join(folder, WORK)
  try {
    await mkdir(join(work, 'old'))
    for (const name of names) {
      const place = join(folder, name)
      const status = await lstat(place).catch(unlessAbsent)
      if (status === undefined) continue
      const second = join(work, 'old', name)
      await mkdir(dirname(second), { recursive: true })
      const target = status.isSymbolicLink() ? await realpath(place).catch(unlessAbsent) : place // as in the Hub's cache
      if (target === undefined) continue
      if (status.isSymbolicLink()) await symlink(target, second)
      else await link(place, second)
    }
    await symlink('old', join(work, 'now'))
    return true
  } catch (error) {
    if (!NO_LINKS.includes((error as NodeJS.ErrnoException).code)) throw error
    await rm(join(work, 'now'), { force: true })
    return false
  }
}

/** In a file's place, a link to the one of its name that `now` leads to. */
async function putLink(folder: string, name: string): Promise<void> {
  const link = join(folder, WORK, 'link')
  await symlink(linkTo(name), link)
  await rename(link, join(folder, name))
}

function linkTo(name: string): string {
  return posix.join(...name.split('/').slice(1).map(() => '..'), WORK, 'now', name)
}

/** Puts the files that are in force into their places and removes the work folder. Each step may be the last of a process. */
async function settle(folder: string): Promise<void> {
  const work = join(folder, WORK)
  if (!(await exists(work))) return
  const inForce = await readlink(join(work, 'now')).catch(unlessAbsent)
  if (inForce !== undefined) await putFiles(folder, inForce)
  else if (await exists(join(work, MOVING))) await moveFiles(folder)
  await rm(work, { recursive: true, force: true })
  await syncFolder(folder)
}

async function putFiles(folder: string, inForce: string): Promise<void> {
  const work = join(folder, WORK)
  const names = [...(await filesIn(join(work, 'new'))), ...(await filesIn(join(work, 'old')))]
  for (const name of new Set(names)) {
    const place = join(folder, name)
    if ((await readlink(place).catch(() => undefined)) !== linkTo(name)) continue
    await rename(join(work, inForce, name), place).catch(unlessAbsent)
    if ((await readlink(place).catch(() => undefined)) === linkTo(name)) await rm(place) // it leads to no file
  }
  await syncAll(folder, names)
}

async function moveFiles(folder: string): Promise<void> {
  const work = join(folder, WORK)
  const unused = JSON.parse(await readFile(join(work, MOVING), 'utf8')) as readonly string[]
  const fresh = await filesIn(join(work, 'new'))
  const goneFirst = fresh.some(isSettings) ? [...fresh].reverse() : [] // settings that are in their place already are new
  for (const name of [...goneFirst, ...unused]) await rm(join(folder, name), { force: true })
  for (const name of fresh) await rename(join(work, 'new', name), join(folder, name))
  await syncAll(folder, fresh)
}

/** The files in a folder and its folders, as paths with slashes: settings last. */
async function filesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(unlessAbsent)
  const names = (entries ?? []).filter((entry) => !entry.isDirectory()).map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
  return names.sort((a, b) => Number(isSettings(a)) - Number(isSettings(b)) || (a < b ? -1 : 1))
}

function isSettings(name: string): boolean {
  return SETTINGS.includes(name)
}

async function syncAll(folder: string, names: readonly string[]): Promise<void> {
  for (const place of new Set([folder, ...names.map((name) => dirname(join(folder, name)))])) await syncFolder(place)
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(unlessAbsent)) !== undefined
}

function unlessAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined
  throw error
}
