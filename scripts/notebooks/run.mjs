// Runs the notebooks of docs/notebooks in a TypeScript kernel (tslab) and keeps their outputs.
//
//   npm run notebooks                     all of them
//   npm run notebooks -- --only 1,4       those with these numbers
//   npm run notebooks -- --check          run, but write nothing
//   npm run notebooks -- --setup          make everything ready for Jupyter and say how it finds the kernel
//
// What is needed beyond `npm run setup` goes into <cache>/notebooks: the kernel, from package-lock.json here, and a Python
// environment that speaks to it, from requirements.txt. Both are made anew when those files change.

import { spawn, spawnSync } from 'node:child_process'
import { once as event } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { withLock } from '../../dist/base/files/lock.js'
import { cacheFolder } from '../../dist/setup/cache.js'

const SECONDS_A_CELL = 300
const here = import.meta.dirname
const root = dirname(dirname(here))
const notebooks = join(root, 'docs', 'notebooks')
const cache = join(cacheFolder(), 'notebooks')
const jupyterPath = join(cache, 'share', 'jupyter')
const venv = join(cache, 'python')
const python = process.platform === 'win32' ? join(venv, 'Scripts', 'python.exe') : join(venv, 'bin', 'python')

const { values } = parseArgs({ options: {
  only: { type: 'string' },
  check: { type: 'boolean', default: false },
  setup: { type: 'boolean', default: false },
} })
try {
  process.exitCode = await main()
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}

async function main() {
  const files = chosen(values.only)
  mkdirSync(cache, { recursive: true })
  await withLock(join(cache, 'setup.lock'), undefined, async () => { // other clones share the cache
    await prepareKernel()
    await preparePython()
  })
  await prepareFolder()
  if (values.setup) {
    console.log(`The kernel is ready. Jupyter finds it with JUPYTER_PATH=${jupyterPath}`)
    return 0
  }
  const args = [join(here, 'execute.py'), '--timeout', String(SECONDS_A_CELL), ...(values.check ? [] : ['--write']), ...files]
  const env = { TF_CPP_MIN_LOG_LEVEL: '2', ...process.env, JUPYTER_PATH: jupyterPath }
  return spawnSync(python, args, { stdio: 'inherit', env }).status ?? 1
}

/** Paths of the notebooks, in their order. */
function chosen(only) {
  const numberOf = (name) => String(Number.parseInt(name, 10))
  const all = readdirSync(notebooks).filter((name) => name.endsWith('.ipynb')).sort((a, b) => numberOf(a) - numberOf(b))
  const numbers = only?.split(',').map((number) => number.trim())
  const unknown = numbers?.filter((number) => !all.some((name) => numberOf(name) === number)) ?? []
  if (unknown.length > 0) throw new Error(`--only: there is no notebook ${unknown.join(', ')}. Expected of: ${all.map(numberOf).join(', ')}.`)
  return all.filter((name) => numbers?.includes(numberOf(name)) ?? true).map((name) => join(notebooks, name))
}

async function prepareKernel() {
  const lock = readFileSync(join(here, 'package-lock.json'), 'utf8')
  await once(join(cache, 'kernel.txt'), lock, 'Installing the TypeScript kernel', async () => {
    for (const name of ['package.json', 'package-lock.json']) copyFileSync(join(here, name), join(cache, name))
    await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], cache)
  })
  copyFileSync(join(here, 'preload.cjs'), join(cache, 'preload.cjs')) // other clones share the kernel, and this one may go
  const spec = {
    argv: [
      process.execPath, '--require', join(cache, 'preload.cjs'),
      join(cache, 'node_modules', 'tslab', 'bin', 'tslab'), 'kernel', '--config-path', '{connection_file}',
    ],
    display_name: 'TypeScript',
    language: 'typescript',
  }
  const folder = join(jupyterPath, 'kernels', 'tslab')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'kernel.json'), JSON.stringify(spec, undefined, 2))
}

async function preparePython() {
  const requirements = join(here, 'requirements.txt')
  await once(join(cache, 'python.txt'), readFileSync(requirements, 'utf8'), 'Installing the notebooks\' Python packages', async () => {
    await run(process.platform === 'win32' ? 'python' : 'python3', ['-m', 'venv', '--clear', venv])
    await run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements])
  })
}

/** Cells see types through node_modules only, and no TypeScript file: the package is linked there and the helpers are compiled. */
async function prepareFolder() {
  const modules = join(notebooks, 'node_modules')
  const link = join(modules, 'tfjs-peft')
  mkdirSync(modules, { recursive: true })
  if (!existsSync(link)) symlinkSync(root, link, 'junction')
  await run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', notebooks], root)
}

/** Does the work unless it was done before for the same content; the record is written last. */
async function once(record, content, title, work) {
  if (existsSync(record) && readFileSync(record, 'utf8') === content) return
  console.error(title)
  await work()
  writeFileSync(record, content)
}

/** Not synchronous: the lock is kept alive meanwhile. */
async function run(command, args, cwd = root) {
  const shell = process.platform === 'win32' && command === 'npm'
  const [status] = await event(spawn(command, args, { cwd, stdio: ['ignore', 2, 2], shell }), 'exit')
  if (status !== 0) throw new Error(`${[command, ...args].join(' ')} failed: exit status ${status}.`)
}
