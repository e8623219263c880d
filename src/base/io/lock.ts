import { randomUUID } from 'node:crypto'
import { open, readFile, rm, stat, utimes } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { hostname } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'

/** The holder touches its lock this often; one not touched for six times as long belongs to nobody. Milliseconds. */
const heartbeat = 5000
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
    if (!await isAbandoned(path) || !await takeOver(path)) await pause(poll)
  }
  const timer = setInterval(() => {
    const now = new Date()
    utimes(path, now, now).catch(() => undefined) // taken over after this process slept; the work survives that
  }, heartbeat)
  timer.unref()
  try {
    return await work()
  } finally {
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

async function isAbandoned(path: string): Promise<boolean> {
  try {
    const age = Date.now() - (await stat(path)).mtimeMs
    const owner = ownerOf(await readFile(path, 'utf8'))
    if (owner === undefined) return age > unwritten
    return age > 6 * heartbeat || (owner.host === hostname() && !isRunning(owner.pid))
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

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0) // sends nothing
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' // runs as another user
  }
}

/**
 * Removes an abandoned lock. Only one process at a time does, and it looks again before: the lock may be a new one by now, of
 * another process that has seen the same abandoned one. False when another process is at it.
 */
async function takeOver(path: string): Promise<boolean> {
  const guard = `${path}.takeover`
  if (!await create(guard, '')) {
    const { mtimeMs } = await stat(guard).catch(() => ({ mtimeMs: Infinity }))
    if (Date.now() - mtimeMs > 6 * heartbeat) await rm(guard, { force: true }) // its process was killed in the middle
    return false
  }
  try {
    if (await isAbandoned(path)) await rm(path, { force: true })
  } finally {
    await rm(guard, { force: true })
  }
  return true
}
