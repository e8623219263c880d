#!/usr/bin/env node
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { libraryVersion } from '../base/engine/version.ts'
import { PeftError } from '../errors.ts'
import { progressPrinter } from './progress.ts'

const HELP = `Usage: tfjs-peft <command> [options]

  setup              install the TensorFlow engine for the project in this folder
    --model <id>     fetch a model from the Hugging Face Hub as well
    --device <name>  cpu or cuda; by default cuda where there is an NVIDIA GPU
    --force          install again although there is an engine
  doctor             say what works and what does not, with a fix for each problem
    --json           the same for programs
  check-adapter <folder>
                     say what a server refuses of an adapter, or ignores, with a fix for each
    --for <name>     vllm, sglang or tgi
    --json           the same for programs
  launch <program>   run a program of Node's in several processes that share its training (see joinWorkers)
    --processes <n>  on this machine; by default 2, or 1 beside --hosts
    --hosts <list>   of all machines, as in a:7000,b:7000; the others are started there by the same command
    --rank <n>       which of them this machine is, from 0
    --timeout <s>    seconds that a worker may do nothing once another has ended; by default 600

  --help, --version

Environment: TFJS_PEFT_CACHE (folder for engines), TFJS_PEFT_DEVICE (cpu or cuda), HF_HOME (folder for models)
`

/** Exit codes: the command could not do its work or found a problem; it was called wrongly; Ctrl-C. */
const FAILED = 1
const MISUSED = 2
const INTERRUPTED = 130

class UsageError extends Error {}

async function main(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args
  switch (command) {
    case 'setup':
      return setup(rest)
    case 'doctor':
      return doctor(rest)
    case 'check-adapter':
      return check(rest)
    case 'launch':
      return launchWorkers(rest)
    case '--version':
      console.log(libraryVersion())
      return 0
    case '--help':
    case '-h':
      process.stdout.write(HELP)
      return 0
    case undefined:
      throw new UsageError('expected a command, setup, doctor, check-adapter or launch')
    default:
      throw new UsageError(`expected a command, setup, doctor, check-adapter or launch, got '${command}'`)
  }
}

async function setup(args: string[]): Promise<number> {
  const { model, device, force } = parse(args, {
    model: { type: 'string' },
    device: { type: 'string' },
    force: { type: 'boolean' },
  })
  const { chooseDevice } = await import('../setup/device.ts')
  const { installEngine } = await import('../setup/engine.ts')
  const { report, close } = progressPrinter(process.stderr)
  const context = { report, signal: interruptSignal() }
  try {
    await installEngine({ project: process.cwd(), device: await chooseDevice(device), force: force === true }, context)
    if (model !== undefined) {
      const { fetchModel } = await import('../setup/assets.ts')
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

async function doctor(args: string[]): Promise<number> {
  const { json } = parse(args, { json: { type: 'boolean' } })
  const { diagnose } = await import('../setup/doctor.ts')
  const { formatFindings } = await import('./findings.ts')
  const findings = await diagnose(process.cwd())
  const ok = findings.every(({ fix }) => fix === undefined)
  console.log(json ? JSON.stringify({ ok, findings }, undefined, 2) : formatFindings(findings))
  return ok ? 0 : FAILED
}

async function check(args: string[]): Promise<number> {
  const { values: { for: server, json }, positionals: [folder, ...more] } = understood(() => parseArgs({ args, options: { for: { type: 'string' }, json: { type: 'boolean' } }, allowPositionals: true }))
  if (folder === undefined || more.length > 0) throw new UsageError('check-adapter: expected one folder with an adapter, as in check-adapter out/spam --for vllm')
  const { checkAdapter, formatServerFindings, isServer } = await import('./check-adapter.ts')
  if (!isServer(server)) throw new UsageError(`check-adapter: --for: expected vllm, sglang or tgi, got ${server ?? 'none'}`)
  const findings = await checkAdapter(folder, server)
  const ok = findings.every(({ effect }) => effect === 'asks')
  console.log(json ? JSON.stringify({ ok, findings }, undefined, 2) : formatServerFindings(folder, server, findings))
  return ok ? 0 : FAILED
}

/** Seconds that a timer can wait: about 24 days. */
const LONGEST = 2_000_000

/** What stands behind the program is the program's own. */
async function launchWorkers(args: string[]): Promise<number> {
  const isValue = (i: number): boolean => /^--(processes|hosts|rank|timeout)$/.test(args[i - 1] ?? '')
  const found = args.findIndex((arg, i) => !arg.startsWith('-') && !isValue(i))
  const program = args[found]
  if (program === undefined) throw new UsageError('launch: expected a program, as in launch --processes 2 train.js')
  const { timeout = '600', ...of } = parse(args.slice(0, found), { processes: { type: 'string' }, hosts: { type: 'string' }, rank: { type: 'string' }, timeout: { type: 'string' } })
  if (!(Number(timeout) > 0 && Number(timeout) <= LONGEST)) throw new UsageError(`launch: --timeout: expected seconds, at most ${LONGEST}, got ${timeout}`)
  const { launch } = await import('../distributed/launch.ts')
  const { addressesOf } = await import('../distributed/addresses.ts')
  return launch(await addressesOf(of), program, args.slice(found + 1), { timeout: Number(timeout) })
}

/** Aborted by the first Ctrl-C, so that what is half-made is removed; the second one ends the process at once. */
function interruptSignal(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort())
  return controller.signal
}

function parse<T extends NonNullable<ParseArgsConfig['options']>>(
  args: string[],
  options: T,
): ReturnType<typeof parseArgs<{ options: T }>>['values'] {
  return understood(() => parseArgs({ args, options }).values)
}

function understood<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw new UsageError((error as Error).message.split('. ', 1)[0])
  }
}

function explain(error: unknown): number {
  if (error instanceof UsageError) {
    console.error(`tfjs-peft: ${error.message}. \`tfjs-peft --help\` lists all.`)
    return MISUSED
  }
  console.error(`tfjs-peft: ${error instanceof PeftError ? error.message : String((error as Error).stack)}`)
  return FAILED
}

process.exitCode = await main(process.argv.slice(2)).catch(explain)
