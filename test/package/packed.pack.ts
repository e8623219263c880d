// The package as it would be published, from the packed tarball in an empty folder.

import { execFile, fork } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { afterAll, expect, it } from 'vitest'
import { packed } from '../../scripts/packed.mjs'

const modules = fileURLToPath(new URL('../../node_modules', import.meta.url))
const { folder, tarball } = packed()
afterAll(() => rm(folder, { recursive: true }))

interface Imported {
  readonly report: unknown
  readonly printed: string
}

function run(program: string): Promise<Imported> {
  return new Promise((resolve, reject) => {
    const child = fork(join(folder, program), { cwd: folder, silent: true, execArgv: [] })
    let [printed, report]: [string, unknown] = ['', undefined]
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (printed += chunk.toString()))
    child.on('message', (message) => (report = message))
    child.on('error', reject)
    child.on('close', () => resolve({ report, printed }))
  })
}

/** A tool's output, also where it exits with an error. */
async function tool(path: string, ...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)('node', [join(modules, path), ...args], { cwd: folder })
    .catch((error: unknown) => error as { stdout: string; stderr: string })
  return stdout + stderr
}

const QUIET = {
  report: { names: ['function', 'function', 'LORA'], backends: [], resources: [], env: true },
  printed: '',
}

it.each(['import.mjs', 'require.cjs'])('%s has the package, and importing prints nothing, loads no engine and leaves nothing open', async (program) => {
  expect(await run(program)).toEqual(QUIET)
})

it('a bundle has it, with the engine left outside', async () => {
  await build({
    entryPoints: [join(folder, 'import.mjs')], outfile: join(folder, 'bundle.mjs'), bundle: true, platform: 'node', format: 'esm', logLevel: 'error',
    external: ['@tensorflow/*', 'yauzl', 'cli-progress'], // native, or CommonJS that requires Node's own modules
  })
  expect(await run('bundle.mjs')).toEqual(QUIET)
})

it('types are found from an ES module and from CommonJS', { timeout: 120_000 }, async () => {
  const program = "import { attach, lora, type Adapter, type Model } from 'tfjs-peft'\nexport const adapt = (model: Model): Adapter => attach(model, lora({ rank: 4 }))\n"
  await writeFile(join(folder, 'types.mts'), program)
  await writeFile(join(folder, 'types.cts'), program)
  const options = ['--module', 'nodenext', '--target', 'es2022', '--strict', '--noEmit', '--skipLibCheck']
  expect(await tool('typescript/bin/tsc', ...options, 'types.mts', 'types.cts')).toBe('')
})

it('publint finds nothing', async () => {
  expect(await tool('publint/src/cli.js', 'run', tarball, '--strict')).toContain('All good!')
})

it('are-the-types-wrong finds nothing but that CommonJS gets an ES module', async () => {
  expect(await tool('@arethetypeswrong/cli/dist/index.js', tarball, '--ignore-rules', 'cjs-resolves-to-esm', '--no-color')).toContain('No problems found')
})
