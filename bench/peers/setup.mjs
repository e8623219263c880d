// Makes the Python environment that holds the peers (torch, transformers, HF PEFT) and prints its python's path:
//
//     PYTHON=$(node bench/peers/setup.mjs)
//     PYTHON=$(node bench/peers/setup.mjs adapters)    one with AdapterHub's adapters, which want older transformers
//     PYTHON=$(node bench/peers/setup.mjs avalanche)   one with avalanche, for continual learning
//     PYTHON=$(node bench/peers/setup.mjs bnb)         one with bitsandbytes, for quantised weights
//     PYTHON=$(node bench/peers/setup.mjs onnx)        one with onnxruntime and Optimum's export
//     PYTHON=$(node bench/peers/setup.mjs mlx)         one with mlx-lm, on the CPU
//     PYTHON=$(node bench/peers/setup.mjs codecarbon)  one with CodeCarbon
//     PYTHON=$(node bench/peers/setup.mjs mlflow)      one with MLflow and its server
//
// The others are small: torch and the rest they read from the first.
// It lives in <cache>/peers, where <cache> is TFJS_PEFT_CACHE, else XDG_CACHE_HOME/tfjs-peft, else ~/.cache/tfjs-peft.
// TFJS_PEFT_PEERS may name the python of an environment of your own instead. Run again after a break, it goes on where
// it stopped: pip keeps what it has installed and downloaded. On Linux the only torch that the package index has links
// against its CUDA libraries and cannot be imported without them, so the environment takes 5.6 GB even for the CPU.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import process from 'node:process'

const here = import.meta.dirname
const requirements = readFileSync(join(here, 'requirements.txt'), 'utf8')
const constraints = readFileSync(join(here, 'constraints.txt'), 'utf8')
const pins = [...requirements.matchAll(/^(\w+)==(.+)$/gm)].map(([, name, version]) => ({ name, version }))

/** Progress and problems go to stderr: stdout is the answer. */
const say = (text) => process.stderr.write(`${text}\n`)

function run(command, args) {
  const { error, status } = spawnSync(command, args, { stdio: ['ignore', process.stderr, process.stderr] })
  if (status !== 0) throw new Error(`${[command, ...args].join(' ')} failed: ${error?.message ?? `exit status ${status}`}.`)
}

/** What a python answers to a one-line program, or undefined where it cannot run it. */
function ask(python, program) {
  const { status, stdout } = spawnSync(python, ['-c', program], { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
}

/** The user's own environment has to hold the packages; other versions are allowed, and said. */
function checkOwn(python) {
  for (const { name, version } of pins) {
    const found = ask(python, `from importlib.metadata import version; print(version('${name}'))`)
    if (found === undefined) {
      throw new Error(
        `TFJS_PEFT_PEERS: ${python} has no ${name}. Install bench/peers/requirements.txt there, or unset the variable.`,
      )
    }
    if (found !== version) say(`note: ${python} has ${name} ${found}; the golden files were made with ${version}`)
  }
  return python
}

/** numpy 2.4 wants Python 3.11. */
function basePython() {
  const found = ['python3', 'python3.11', 'python3.12', 'python3.13', 'python'].find(
    (command) => ask(command, 'import sys; print(sys.version_info >= (3, 11))') === 'True',
  )
  if (found === undefined) {
    throw new Error('Expected Python 3.11 or later on the PATH, found none. Install it, or set TFJS_PEFT_PEERS to a python.')
  }
  return found
}

function cacheFolder() {
  const { TFJS_PEFT_CACHE, XDG_CACHE_HOME } = process.env
  return resolve(TFJS_PEFT_CACHE || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'tfjs-peft'))
}

function pythonIn(folder) {
  return process.platform === 'win32' ? join(folder, 'Scripts', 'python.exe') : join(folder, 'bin', 'python')
}

function install() {
  return once('peers', requirements + constraints, '5.6 GB on Linux', 'peft, torch, transformers', (folder, python) => {
    run(basePython(), ['-m', 'venv', folder])
    const files = ['-r', join(here, 'requirements.txt'), '-c', join(here, 'constraints.txt')]
    // Both steps may be repeated in a half-made environment. pip is asked for without -q: the downloads are long.
    run(python, ['-m', 'pip', 'install', '--disable-pip-version-check', ...files])
  })
}

/** One more environment; what it installs itself comes before what it reads from the peers' environment. */
function installBeside(peers, name) {
  const file = join(here, `requirements-${name}.txt`)
  if (!existsSync(file)) throw new Error(`Expected adapters, avalanche, bnb, codecarbon, mlflow, onnx or mlx, got ${name}.`)
  const wanted = readFileSync(file, 'utf8')
  return once(`peers-${name}`, peers + wanted, '100 MB', `${name === 'bnb' ? 'bitsandbytes' : name}, torch`, (folder, python) => {
    run(peers, ['-m', 'venv', folder])
    const packages = ask(python, "import sysconfig; print(sysconfig.get_path('purelib'))")
    writeFileSync(join(packages, 'peers.pth'), `${ask(peers, "import sysconfig; print(sysconfig.get_path('purelib'))")}\n`)
    run(python, ['-m', 'pip', 'install', '--disable-pip-version-check', '-r', file])
  })
}

/** The python of an environment that is made where what it was made of is not what is wanted. */
function once(name, wanted, size, modules, make) {
  const folder = join(cacheFolder(), name)
  const python = pythonIn(folder)
  const done = join(folder, 'installed.txt') // written last: what is in it is complete
  if (existsSync(python) && existsSync(done) && readFileSync(done, 'utf8') === wanted) return python

  say(`Installing the Python peers in ${folder} (about ${size}, some minutes) …`)
  mkdirSync(folder, { recursive: true })
  make(folder, python)
  if (ask(python, `import ${modules}`) === undefined) {
    throw new Error(`${folder} was installed but cannot import ${modules}. Delete it and run this again.`)
  }
  writeFileSync(done, wanted)
  return python
}

try {
  const own = process.env['TFJS_PEFT_PEERS']
  const peers = own ? checkOwn(own) : install()
  const [, , beside] = process.argv
  process.stdout.write(`${beside === undefined ? peers : installBeside(peers, beside)}\n`)
} catch (error) {
  say(error.message)
  process.exitCode = 1
}
