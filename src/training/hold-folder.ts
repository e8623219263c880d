import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { tryLock } from '../base/files/lock.ts'
import { CheckpointError } from '../errors.ts'

const LOCK = '.training.lock'

/** Minutes without a sign of life after which the training of another machine counts as dead; a step may take long. */
const DEAD_AFTER = 10

/**
 * Makes a folder of checkpoints this training's own until it is released. The lock of a process that died is taken over.
 *
 * @throws CheckpointError when another training has it, or it cannot be written
 */
export async function holdFolder(folder: string): Promise<{ release(): Promise<void> }> {
  const path = join(folder, LOCK)
  const lock = await mkdir(folder, { recursive: true }).then(() => tryLock(path, DEAD_AFTER * 60_000)).catch((cause: unknown) => {
    throw new CheckpointError(`${folder} cannot be written: ${(cause as Error).message}. Choose another folder for the checkpoints.`, [], { cause })
  })
  if ('release' in lock) return lock
  const who = lock.pid === process.pid ? 'of this process' : `of process ${lock.pid} on ${lock.host}`
  throw new CheckpointError(
    `${folder} has the checkpoints of another training, ${who}, which is still running. Wait for its end, or give this one another folder. ` +
      `If there is no such training any more, remove ${path}.`,
  )
}
