import { mkdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { EngineError } from '../errors.ts'
import { compileBinding } from './compiler.ts'
import { fetchWheel } from './download.ts'
import { BINDING_FOLDER } from './link.ts'
import type { SetupContext } from './report.ts'
import { unpackWheel } from './unpack.ts'
import { type Device, enginePlace, engineWheels } from './wheels.ts'

/** Bytes of disk a build takes at its largest: the wheels and what is unpacked from them. */
const DISK: Readonly<Record<Device, number>> = { cpu: 1.3e9, cuda: 9.2e9 }

/**
 * Builds an engine in `folder` out of the pinned TensorFlow wheels: fetches them, unpacks libraries and headers, and
 * compiles the package's binding against them.
 *
 * @param packageFolder the installed `@tensorflow/tfjs-node-gpu`; it is only read
 * @param wheels where fetched wheels are kept, so that an interrupted build does not fetch them again
 * @throws EngineError when the platform has no wheels, the disk is too full, or a step fails
 */
export async function buildEngine(
  packageFolder: string,
  folder: string,
  wheels: string,
  device: Device,
  context: SetupContext,
): Promise<void> {
  const { report, signal } = context
  const pinned = engineWheels(device)
  await mkdir(wheels, { recursive: true })
  await requireDisk(wheels, DISK[device])
  const binding = join(folder, BINDING_FOLDER)
  const paths: string[] = []
  for (const wheel of pinned) {
    report({ kind: 'step', text: `Fetching ${wheel.file.split('-', 2).join(' ')}` })
    paths.push(await fetchWheel(wheel, wheels, context))
  }
  report({ kind: 'step', text: 'Unpacking TensorFlow' })
  for (const path of paths) await unpackWheel(path, binding, enginePlace, signal)
  report({ kind: 'step', text: 'Compiling the binding' })
  await compileBinding(packageFolder, binding, signal)
}

async function requireDisk(folder: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  if (free >= needed) return
  const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1)
  throw new EngineError(
    `${folder}: expected ${gigabytes(needed)} GB of free disk to build the engine, got ${gigabytes(free)} GB. ` +
      'Free some, or set TFJS_PEFT_CACHE to a folder on a larger disk.',
  )
}
