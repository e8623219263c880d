// Runs `tfjs-peft doctor`, imports of the packed package and one training test under each supported Node and prints a table.
//
//   npm run test:nodes             Node 20, 22, 24 and 26, each at the newest release npm has
//   npm run test:nodes -- 24       only that one
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheFolder } from '../dist/setup/cache.js'
import { packed } from './packed.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const asked = process.argv.length > 2 ? process.argv.slice(2) : ['20', '22', '24', '26']
const { folder } = packed()

const rows = asked.map((version) => {
  const node = fetchNode(version)
  const doctor = run(node, [join(root, 'dist', 'cli', 'main.js'), 'doctor', '--json'])
  const findings = doctor.ok ? JSON.parse(doctor.output).findings : []
  const tensorflow = findings.find(({ name }) => name === 'TensorFlow')?.value ?? '-'
  const smoke = run(node, [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', 'test/setup/smoke.test.ts'])
  const imports = ['import.mjs', 'require.cjs'].map((program) => run(node, [join(folder, program)]))
  const checks = [doctor, ...imports, smoke]
  for (const { ok, output } of checks) if (!ok) console.error(output)
  return [run(node, ['--version']).output.trim(), tensorflow, ...checks.map(({ ok }) => (ok ? 'passed' : 'failed'))]
})
rmSync(folder, { recursive: true })
for (const row of [['Node', 'TensorFlow', 'doctor', 'import', 'require', 'smoke test'], ...rows]) console.log(row.map((cell) => cell.padEnd(12)).join('').trimEnd())
process.exitCode = rows.some((row) => row.includes('failed')) ? 1 : 0

/** npm has Node itself as a package per platform: a plain file, no install script. */
function fetchNode(version) {
  const system = `${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
  const name = system === 'darwin-arm64' ? `node-bin-${system}` : `node-${system}`
  const folder = join(cacheFolder(), 'nodes', version)
  mkdirSync(folder, { recursive: true })
  console.error(`Fetching Node ${version}`)
  const { ok, output } = run('npm', ['install', '--prefix', folder, '--no-save', '--ignore-scripts', `${name}@${version}`])
  if (!ok) throw new Error(`npm could not fetch ${name}@${version}:\n${output}`)
  return join(folder, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
}

function run(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8' })
  return { ok: status === 0, output: `${stdout}${stderr}` }
}
