import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { formatFindings } from '../../src/cli/findings.ts'
import { runCommand } from '../../src/setup/command.ts'
import { temporaryFolder } from '../temporary-folder.ts'

/** As the errors list them. */
const COMMANDS = 'setup, doctor, demo, train, init, inspect, eval, predict, generate, chat, merge, convert, push, check-adapter, launch'

const root = join(import.meta.dirname, '..', '..')

interface Diagnosis {
  readonly ok: boolean
  readonly findings: readonly { readonly name: string; readonly value: string; readonly fix?: string }[]
}

/** Runs the program in a process of its own. */
function run(args: readonly string[], cwd = root): ReturnType<typeof runCommand> {
  return runCommand(process.execPath, ['--import', import.meta.resolve('tsx'), join(root, 'src', 'cli', 'main.ts'), ...args], { cwd })
}

/** Runs the program in this process. */
async function call(args: readonly string[]): Promise<{ readonly code: unknown; readonly output: string }> {
  let output = ''
  const write = (text: string): void => void (output += `${text}\n`)
  vi.spyOn(console, 'log').mockImplementation(write)
  vi.spyOn(console, 'error').mockImplementation(write)
  vi.spyOn(process, 'argv', 'get').mockReturnValue([process.execPath, 'tfjs-peft', ...args])
  const before = process.exitCode
  vi.resetModules()
  try {
    await import('../../src/cli/main.ts')
    return { code: process.exitCode, output }
  } finally {
    process.exitCode = before
  }
}

afterEach(() => void vi.restoreAllMocks())

describe('tfjs-peft', () => {
  const folder = temporaryFolder()

  it('prints its version and its help', async () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
    expect(await call(['--version'])).toEqual({ code: 0, output: `${version}\n` })
    const help = await run(['--help'])
    expect(help.ok).toBe(true)
    for (const word of ['setup', 'doctor', '--model', '--device', '--force', '--json']) expect(help.output).toContain(word)
  })

  it.each([
    { args: [], error: `expected a command, ${COMMANDS}. ` },
    { args: ['check-adapter', 'a'], error: 'check-adapter: --for: expected vllm, sglang or tgi, got none. ' },
    { args: ['check-adapter', '--for', 'vllm'], error: 'check-adapter: expected one folder with an adapter, as in check-adapter out/spam --for vllm. ' },
    { args: ['set-up'], error: `expected a command, ${COMMANDS}; got 'set-up'. ` },
    { args: ['setup', '--modell', 'x'], error: "Unknown option '--modell'. " },
    { args: ['setup', '--model'], error: "Option '--model <value>' argument missing. " },
    { args: ['doctor', 'now'], error: "Unexpected argument 'now'. " },
  ])('called as `tfjs-peft $args` says what is wrong and exits with 2', async ({ args, error }) => {
    expect(await call(args)).toEqual({ code: 2, output: `tfjs-peft: ${error}\`tfjs-peft --help\` lists all.\n` })
  })

  it('refuses an unknown device without a stack trace', async () => {
    expect(await call(['setup', '--device', 'tpu'])).toEqual({
      code: 1,
      output: "tfjs-peft: Device: expected 'cpu' or 'cuda', got 'tpu'. Correct --device or TFJS_PEFT_DEVICE.\n",
    })
  })

  it('doctor finds the engine of this repository working', async () => {
    const { ok, output } = await run(['doctor', '--json'])
    const diagnosis = JSON.parse(output) as Diagnosis
    expect(diagnosis.findings.filter(({ fix }) => fix !== undefined)).toEqual([])
    expect({ ok, reported: diagnosis.ok }).toEqual({ ok: true, reported: true })
    const names = ['tfjs-peft', 'Node', 'Engine package', 'TensorFlow', 'Fused kernels', 'Devices', 'Processor', 'Threads', 'Cache', 'Models', 'Python', 'Compiler']
    expect(diagnosis.findings.map(({ name }) => name)).toEqual(names)
    const text = formatFindings(diagnosis.findings)
    expect(text).toMatch(/^ok {7}TensorFlow {6}2\.\d+\.\d+$/m)
    expect(text.trimEnd()).toMatch(/\nEverything works\.$/)
  })

  it('doctor reports an engine package of another version with its fix, and exits with 1', async () => {
    const { ending, output } = await run(['doctor'], await projectWithOldPackage(folder('old')))
    expect(ending).toBe('exit code 1')
    expect(output).toMatch(/^problem {2}Engine package .*expected version 4\.22\.0, got 4\.10\.0\.\n +fix: Run `npm install @tensorflow\/tfjs-node-gpu@4\.22\.0`\.$/m)
    expect(output.trimEnd()).toMatch(/\n1 problem found\.$/)
  })
})

async function projectWithOldPackage(project: string): Promise<string> {
  const { mkdir, writeFile } = await import('node:fs/promises')
  const folder = join(project, 'node_modules', '@tensorflow', 'tfjs-node-gpu')
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'package.json'), '{"version":"4.10.0"}')
  return project
}
