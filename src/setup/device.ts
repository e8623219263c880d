import { existsSync } from 'node:fs'
import { EngineError } from '../errors.ts'
import { runCommand } from './command.ts'
import type { Device } from './wheels.ts'

/**
 * The NVIDIA GPUs of this machine by name, from the driver's own tool.
 *
 * @returns empty without a GPU; one general entry where the driver is loaded and its tool is not installed
 */
export async function nvidiaGpus(): Promise<readonly string[]> {
  const { ok, output } = await runCommand('nvidia-smi', ['--query-gpu=name', '--format=csv,noheader'], { timeout: 10 })
  const names = ok ? output.split('\n').map((line) => line.trim()).filter((line) => line !== '') : []
  return names.length === 0 && existsSync('/proc/driver/nvidia/version') ? ['NVIDIA GPU'] : names
}

/**
 * The device to set the engine up for: `wanted`, else `TFJS_PEFT_DEVICE`, else cuda where there is an NVIDIA GPU that
 * an engine exists for.
 *
 * @throws EngineError when the name is neither 'cpu' nor 'cuda'
 */
export async function chooseDevice(wanted: string | undefined = process.env['TFJS_PEFT_DEVICE']): Promise<Device> {
  if (wanted === 'cpu' || wanted === 'cuda') return wanted
  if (wanted) throw new EngineError(`Device: expected 'cpu' or 'cuda', got '${wanted}'. Correct --device or TFJS_PEFT_DEVICE.`)
  const supported = process.arch === 'x64' && (process.platform === 'linux' || process.platform === 'win32')
  return supported && (await nvidiaGpus()).length > 0 ? 'cuda' : 'cpu'
}
