// The package for CommonJS: Node's `require` reads ES modules, but TypeScript with `module: node16` says no where only these are
// declared. Beside each entry in dist goes a file that requires it, and its declarations.
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const dist = join(dirname(dirname(fileURLToPath(import.meta.url))), 'dist')

for (const entry of ['index', 'advanced', 'plot/plot']) {
  const exported = Object.entries(await import(pathToFileURL(join(dist, `${entry}.js`)).href))
  const file = `./${entry.split('/').at(-1)}.js`
  const asModule = "with { 'resolution-mode': 'import' }"
  const isClass = (value) => typeof value === 'function' && /^class\b/.test(String(value))
  const declarations = [
    `import type * as entry from '${file}' ${asModule}`,
    `export type * from '${file}' ${asModule}`,
    ...exported.map(([name]) => `export declare const ${name}: typeof entry.${name}`),
    ...exported.filter(([, value]) => isClass(value)).map(([name]) => `export type ${name} = entry.${name}`),
  ]
  writeFileSync(join(dist, `${entry}.d.cts`), `${declarations.join('\n')}\n`)
  writeFileSync(join(dist, `${entry}.cjs`), `module.exports = require('${file}')\n`)
}

// What editors complete a training's file by.
const { jobSchema } = await import(pathToFileURL(join(dist, 'cli/job/job.js')).href)
writeFileSync(join(dist, 'job.schema.json'), `${JSON.stringify(jobSchema(), undefined, 2)}\n`)
