import { progressPrinter } from '../progress.ts'
import { INTERRUPTED, parse } from '../usage.ts'

/** Installs the engine. */
export async function setup(args: string[]): Promise<number> {
  const { model, device, force } = parse(args, {
    model: { type: 'string' },
    device: { type: 'string' },
    force: { type: 'boolean' },
  })
  const { chooseDevice } = await import('../../setup/device.ts')
  const { installEngine } = await import('../../setup/engine.ts')
  const { report, close } = progressPrinter(process.stderr)
  const context = { report, signal: interruptSignal() }
  try {
    await installEngine({ project: process.cwd(), device: await chooseDevice(device), force: force === true }, context)
    if (model !== undefined) {
      const { fetchModel } = await import('../../setup/assets.ts')
      await fetchModel(model, context)
    }
    return 0
  } catch (error) {
    if (!context.signal.aborted) throw error
    console.error('Interrupted. The next set-up goes on with what is complete.')
    return INTERRUPTED
  } finally {
    close()
  }
}

/** Aborted by the first Ctrl-C, so that what is half-made is removed; the second one ends the process at once. */
function interruptSignal(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort())
  return controller.signal
}
