// What src/index.ts exports, as the compiler sees it.

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('..', import.meta.url))
const config = ts.parseJsonConfigFileContent(ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)).config, ts.sys, root)
const index = join(root, 'src/index.ts')
const program = ts.createProgram([index], config.options)
const source = program.getSourceFile(index)

export const checker = program.getTypeChecker()
const module = source && checker.getSymbolAtLocation(source)
if (module === undefined) throw new Error(`${index} exports nothing`)

export const exported: readonly ts.Symbol[] = checker.getExportsOfModule(module).map((symbol) =>
  (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol))
