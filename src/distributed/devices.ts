import { readdirSync } from 'node:fs'

/** A folder of the driver for each NVIDIA GPU of this machine. */
const GPUS = '/proc/driver/nvidia/gpus'

/**
 * The variable that gives a worker a GPU of its own, where there are any: of those that the environment allows, or of all. Workers
 * beyond their number begin with the first again.
 *
 * @param worker of this machine's, from 0
 */
export function deviceOf(worker: number, { CUDA_VISIBLE_DEVICES: allowed }: Readonly<Record<string, string | undefined>>, folder: string = GPUS): { readonly CUDA_VISIBLE_DEVICES?: string } {
  const devices = allowed === undefined ? indexes(folder) : allowed.split(',').map((each) => each.trim()).filter((each) => each !== '')
  const device = devices[worker % devices.length]
  return device === undefined ? {} : { CUDA_VISIBLE_DEVICES: device }
}

function indexes(folder: string): readonly string[] {
  try {
    return readdirSync(folder).map((_, i) => String(i))
  } catch {
    return [] // no driver
  }
}
