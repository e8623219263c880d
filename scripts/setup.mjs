// Makes a clone of this repository ready: dependencies, build, TensorFlow engine, the quickstart's model.
// Each step looks first whether there is anything to do; when there is nothing, it says nothing.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const model = 'sentence-transformers/all-MiniLM-L6-v2'

checkNode()
if (!dependenciesMatch()) run('Installing dependencies', 'npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'])
build()
run(undefined, process.execPath, [join(root, 'dist', 'cli', 'main.js'), 'setup', '--model', model])

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  fail(`Node 20.19 or later is needed, this is ${process.version}. Install a newer Node.`)
}

/** npm writes its own record of node_modules when an installation is complete; compares it with the lock file. */
function dependenciesMatch() {
  const record = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(record)) return false
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
  return Object.entries(wanted).every(([path, { integrity, optional }]) => {
    if (path === '') return true
    return path in installed ? installed[path].integrity === integrity : optional // of another platform
  })
}

/** Compiles when the sources are not those that dist was made of. */
function build() {
  const hash = createHash('sha256')
  const files = readdirSync(join(root, 'src'), { recursive: true }).map((name) => join('src', name)).sort()
  for (const file of [...files, 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json', 'scripts/bundle.mjs', 'scripts/required-core.mjs', 'scripts/commonjs.mjs']) {
    const path = join(root, file)
    if (statSync(path).isFile()) hash.update(file).update('\0').update(readFileSync(path)).update('\0')
  }
  const sources = hash.digest('hex')
  const stamp = join(root, 'dist', '.sources')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === sources) return
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  run('Building', 'npm', ['run', '--silent', 'build'])
  writeFileSync(stamp, sources)
}

function run(title, command, args) {
  if (title) console.error(title)
  // npm is a script on Windows and needs a shell there; no argument here has anything a shell would change.
  const shell = process.platform === 'win32' && command === 'npm'
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], shell })
  if (error) fail(`${command} could not be started: ${error.message}`)
  if (status !== 0) fail(`set-up stopped: \`${[command, ...args].join(' ')}\` failed, see above. Run \`npm run setup\` again when it is mended.`)
}

function fail(message) {
  console.error(message)
  process.exit(1)
}
