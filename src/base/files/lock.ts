import { randomUUID } from 'node:crypto'
import { open, readFile, rm, stat, utimes } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { hostname } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'

/** The holder touches its lock this often. Milliseconds. */
const heartbeat = 5000
/** A lock not touched for so long belongs to nobody, unless its user says otherwise. */
const silence = 6 * heartbeat
const poll = 200
/** A lock whose owner is not readable for so long is that of a process that died while it wrote. Milliseconds. */
const unwritten = 1000

/**
 * Does `work` while no other process (nor another call in this one) does work under the same lock file. The lock of
 * a process that died is taken over at once on the same machine, after half a minute from another.
 */
export async function withLock<T>(path: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const owner = JSON.stringify({ pid: process.pid, host: hostname(), id: randomUUID() })
  while (!await create(path, owner)) {
    signal?.throwIfAborted()
    if (!await isAbandoned(path, silence) || !await takeOver(path, silence)) await pause(poll)
  }
  const release = keep(path, owner)
  try {
    return await work()
  } finally {
    await release()
  }
}

/** Who holds a lock. */
export interface Owner {
  readonly pid: number
  readonly host: string
}

/**
 * Holds a lock until it is released, or says who does.
 *
 * @param dead milliseconds without a sign of life after which a holder counts as dead; one on this machine does when its process is gone
 */
export async function tryLock(path: string, dead: number): Promise<Owner | { release(): Promise<void> }> {
  const owner = JSON.stringify({ pid: process.pid, host: hostname(), id: randomUUID() })
  while (!await create(path, owner)) {
    if (await isAbandoned(path, dead)) await takeOver(path, dead)
    else {
      const other = ownerOf(await readFile(path, 'utf8').catch(() => ''))
      if (other !== undefined) return other
      await pause(poll) // released meanwhile, or not yet written
    }
  }
  return { release: keep(path, owner) }
}

/** Shows that the lock is still held. @returns what ends it */
function keep(path: string, owner: string): () => Promise<void> {
  const timer = setInterval(() => {
    const now = new Date()
    utimes(path, now, now).catch(() => undefined) // taken over after this process slept; the work survives that
  }, heartbeat)
  timer.unref()
  return async () => {
    clearInterval(timer)
    if (await readFile(path, 'utf8').catch(() => '') === owner) await rm(path, { force: true })
  }
}

async function create(path: string, owner: string): Promise<boolean> {
  let handle: FileHandle
  try {
    handle = await open(path, 'wx')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
  try {
    await handle.writeFile(owner)
  } catch (error) {
    await rm(path, { force: true }) // the disk is full: an empty lock would keep others out
    throw error
  } finally {
    await handle.close()
  }
  return true
}

async function isAbandoned(path: string, dead: number): Promise<boolean> {
  try {
    const age = Date.now() - (await stat(path)).mtimeMs
    const owner = ownerOf(await readFile(path, 'utf8'))
    if (owner === undefined) return age > unwritten
    return age > dead || (owner.host === hostname() && (!isRunning(owner.pid) || isFormer(owner.pid, age)))
  } catch {
    return false // released meanwhile
  }
}

function ownerOf(text: string): { pid: number; host: string } | undefined {
  try {
    const { pid, host } = JSON.parse(text) as { pid: unknown; host: unknown }
    return typeof pid === 'number' && typeof host === 'string' ? { pid, host } : undefined
  } catch {
    return undefined
  }
}

/** Whether a process of this machine lives. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0) // sends nothing
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' // runs as another user
  }
}

/** Whether it is this process by its number alone: in a container that is started again, each process has that of the one before. */
function isFormer(pid: number, age: number): boolean {
  return pid === process.pid && age > process.uptime() * 1000 + unwritten
}

/**
 * Removes an abandoned lock. Only one process at a time does, and it looks again before: the lock may be a new one by now, of
 * another process that has seen the same abandoned one. False when another process is at it.
 */
async function takeOver(path: string, dead: number): Promise<boolean> {
  const guard = `${path}.takeover`
  if (!await create(guard, '')) {
    const { mtimeMs } = await stat(guard).catch(() => ({ mtimeMs: Infinity }))
    if (Date.now() - mtimeMs > silence) await rm(guard, { force: true }) // its process was killed in the middle
    return false
  }
  try {
    if (await isAbandoned(path, dead)) await rm(path, { force: true })
  } finally {
    await rm(guard, { force: true })
  }
  return true
}
