// Makes few files of dist's many, so that a program that imports the library reads and links a dozen, not five hundred: each entry, and what entries
// share, in dist/bundle, whose names the entries in dist hand on. Modules that run in threads and processes of their own stay as they are.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { requiredCore } from './required-core.mjs'

const dist = join(dirname(dirname(fileURLToPath(import.meta.url))), 'dist')
const bundle = join(dist, 'bundle')
const [LIBRARY, PROGRAM] = [['index', 'advanced', 'plot/plot'], 'cli/main']

/** A module finds package.json, native/ and the modules beside it from where it was. */
const places = {
  name: 'places',
  setup: ({ onLoad }) => {
    onLoad({ filter: /\.js$/ }, ({ path }) => {
      const was = relative(bundle, path).split(sep).join('/')
      return { contents: readFileSync(path, 'utf8').replaceAll('import.meta.url', `new URL('${was}', import.meta.url).href`), loader: 'js' }
    })
  },
}

rmSync(bundle, { recursive: true, force: true })
await build({
  entryPoints: [...LIBRARY, PROGRAM].map((entry) => join(dist, `${entry}.js`)), outdir: bundle, entryNames: '[name]', chunkNames: 'shared-[hash]', bundle: true, splitting: true,
  format: 'esm', platform: 'node', target: 'node20.19', packages: 'external', plugins: [places, requiredCore], sourcemap: true, sourcesContent: false,
  keepNames: true, // checkpoints know schedules and losses by their names
  logLevel: 'warning',
})
for (const entry of [...LIBRARY, PROGRAM]) rmSync(join(dist, `${entry}.js.map`))
for (const entry of LIBRARY) writeFileSync(join(dist, `${entry}.js`), `export * from '${fromEntry(entry)}'\n`)
writeFileSync(join(dist, `${PROGRAM}.js`), `#!/usr/bin/env node\nimport '${fromEntry(PROGRAM)}'\n`)

function fromEntry(entry) {
  return `${entry.includes('/') ? '..' : '.'}/bundle/${basename(entry)}.js`
}
