// tfjs in a bundle by `require`: an import would read all of it for the names that it exports, twice. It is the same module either way.
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

/** For esbuild. */
export const requiredCore = {
  name: 'required-core',
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /^@tensorflow\/tfjs-core$/ }, ({ path }) => ({ path, namespace: 'required' }))
    onLoad({ filter: /.*/, namespace: 'required' }, ({ path }) => {
      const names = Object.keys(require(path)).map((name) => `export const ${name} = core.${name}`)
      return { contents: ["import { createRequire } from 'node:module'", `const core = createRequire(import.meta.url)('${path}')`, ...names].join('\n'), loader: 'js' }
    })
  },
}
