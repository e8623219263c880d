// The package as it would be published, from the packed tarball in an empty folder.

import { execFile, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
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

it.each(['nodenext', 'node16'])('types are found from an ES module and from CommonJS, with TypeScript\'s module: %s', { timeout: 120_000 }, async (module) => {
  const program = `import { attach, lora, PeftError, Trainer, type Adapter, type Model } from 'tfjs-peft'
import { AdamW, datasetOf, type Dataset } from 'tfjs-peft/advanced'
import { lineChart, type Point } from 'tfjs-peft/plot'
export const adapt = (model: Model): Adapter => attach(model, lora({ rank: 4 }))
export const isOurs = (error: unknown): error is PeftError => error instanceof PeftError
export const rows: Dataset<number> = datasetOf([1])
export const chart = (points: readonly Point[]): string => lineChart(points, { x: 'step', y: 'loss' })
export const trainer: typeof Trainer = Trainer
export const optimizer: AdamW | undefined = undefined
// @ts-expect-error -- the types are there, and are not all the same
export const wrong: number = attach
`
  await writeFile(join(folder, 'types.mts'), program)
  await writeFile(join(folder, 'types.cts'), program)
  const options = ['--module', module, '--target', 'es2022', '--strict', '--noEmit', '--skipLibCheck']
  expect(await tool('typescript/bin/tsc', ...options, 'types.mts', 'types.cts')).toBe('')
})

it('no page that comes along has a link to a file that does not', async () => {
  const place = join(folder, 'node_modules', 'tfjs-peft')
  const pages = (await readdir(place, { recursive: true })).filter((name) => name.endsWith('.md'))
  expect(pages).toEqual(expect.arrayContaining(['README.md', join('docs', 'training.md')]))
  const links = await Promise.all(pages.map(async (page) => {
    const text = (await readFile(join(place, page), 'utf8')).replace(/^```[^]*?^```$/gm, '')
    return [...text.matchAll(/\]\((?!\w+:|#)([^)#\s]+)/g)].map(([, link = '']) => [page, join(place, page, '..', link)] as const)
  }))
  expect(links.flat().filter(([, path]) => !existsSync(path))).toEqual([])
})

it('publint finds nothing', async () => {
  expect(await tool('publint/src/cli.js', 'run', tarball, '--strict')).toContain('All good!')
})

it('are-the-types-wrong finds nothing', async () => {
  expect(await tool('@arethetypeswrong/cli/dist/index.js', tarball, '--no-color')).toContain('No problems found')
})
