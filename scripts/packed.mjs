// The package as it would be published, in an empty folder: what the tests of the package import.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/**
 * Packs the package and unpacks it into the node_modules of a new folder. Beside it stand links to its own dependencies and
 * peers and to nothing else, so that an import that package.json does not declare fails.
 *
 * @returns {{ folder: string, tarball: string }} the caller removes the folder
 */
export function packed() {
  const folder = mkdtempSync(join(tmpdir(), 'packed-'))
  execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], { cwd: root, shell: process.platform === 'win32' })
  const tarball = join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz')))
  const place = join(folder, 'node_modules', 'tfjs-peft')
  mkdirSync(place, { recursive: true })
  execFileSync('tar', ['-xzf', tarball, '-C', place, '--strip-components=1'])
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(place, 'package.json'), 'utf8'))
  for (const name of Object.keys({ ...dependencies, ...peerDependencies })) {
    const link = join(folder, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), link, 'junction')
  }
  writeFileSync(join(folder, 'package.json'), '{}')
  for (const [name, program] of Object.entries(PROGRAMS)) writeFileSync(join(folder, name), program)
  return { folder, tarball }
}

const REPORT = `
const before = JSON.stringify(process.env)
const report = ({ lora, loadModel }, tf) => setTimeout(() => process.send?.({
  names: [typeof lora, typeof loadModel, lora({ rank: 4 }).format.type],
  backends: Object.keys(tf.engine().registryFactory),
  resources: process.getActiveResourcesInfo().filter((name) => !['PipeWrap', 'Timeout'].includes(name)), // the channels to the parent, and this timer
  env: JSON.stringify(process.env) === before,
}, () => process.disconnect()), 100) // the files of the modules are closed by then
`

/** Each imports the package in one way, and sends what importing did. */
const PROGRAMS = {
  'import.mjs': `${REPORT}report(await import('tfjs-peft'), await import('@tensorflow/tfjs-core'))\n`,
  'require.cjs': `${REPORT}report(require('tfjs-peft'), require('@tensorflow/tfjs-core'))\n`,
}
