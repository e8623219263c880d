import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runCommand } from '../../src/setup/command.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const root = join(import.meta.dirname, '..', '..')

interface Diagnosis {
  readonly ok: boolean
  readonly findings: readonly { readonly name: string; readonly value: string; readonly fix?: string }[]
}

function run(args: readonly string[], env: Record<string, string> = {}, cwd = root): ReturnType<typeof runCommand> {
  const loader = import.meta.resolve('tsx')
  return runCommand(process.execPath, ['--import', loader, join(root, 'src', 'cli', 'main.ts'), ...args], { cwd, env: { ...process.env, ...env } })
}

describe('tfjs-peft', () => {
  const folder = temporaryFolder()

  it('prints its version and its help', async () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
    expect(await run(['--version'])).toMatchObject({ ok: true, output: `${version}\n` })
    const help = await run(['--help'])
    expect(help.ok).toBe(true)
    for (const word of ['setup', 'doctor', '--model', '--device', '--force', '--json']) expect(help.output).toContain(word)
  })

  it.each([
    { args: [], error: 'expected a command, setup or doctor. ' },
    { args: ['set-up'], error: "expected a command, setup or doctor, got 'set-up'. " },
    { args: ['setup', '--modell', 'x'], error: "Unknown option '--modell'. " },
    { args: ['setup', '--model'], error: "Option '--model <value>' argument missing. " },
    { args: ['doctor', 'now'], error: "Unexpected argument 'now'. " },
  ])('called as `tfjs-peft $args` says what is wrong and exits with 2', async ({ args, error }) => {
    expect(await run(args)).toEqual({
      ok: false,
      ending: 'exit code 2',
      output: `tfjs-peft: ${error}\`tfjs-peft --help\` lists all.\n`,
    })
  })

  it('refuses an unknown device without a stack trace', async () => {
    expect(await run(['setup', '--device', 'tpu'])).toEqual({
      ok: false,
      ending: 'exit code 1',
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
    const text = (await run(['doctor'])).output
    expect(text).toMatch(/^ok {7}TensorFlow {6}2\.\d+\.\d+$/m)
    expect(text.trimEnd()).toMatch(/\nEverything works\.$/)
  })

  it('doctor reports an engine package of another version with its fix, and exits with 1', async () => {
    const { ending, output } = await run(['doctor'], {}, await projectWithOldPackage(folder('old')))
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
