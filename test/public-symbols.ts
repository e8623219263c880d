// What src/index.ts, src/advanced.ts and src/plot/plot.ts export, as the compiler sees it.

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('..', import.meta.url))
const config = ts.parseJsonConfigFileContent(ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)).config, ts.sys, root)
const [index, others, plots] = ['index.ts', 'advanced.ts', 'plot/plot.ts'].map((name) => join(root, 'src', name)) as [string, string, string]
/** A program that imports the package by its name finds the sources. */
const options = { ...config.options, paths: { 'tfjs-peft': [index], 'tfjs-peft/advanced': [others], 'tfjs-peft/plot': [plots] } }
const host = ts.createCompilerHost(options)
const files = new Map<string, ts.SourceFile | undefined>()
const program = ts.createProgram([index, others, plots], options, { ...host, getSourceFile: readOnce })

export const checker = program.getTypeChecker()

/** By entry: the package's own, `advanced` and `plot`. */
export const [main = [], advanced = [], plot = []] = [index, others, plots].map((entry) => {
  const source = program.getSourceFile(entry)
  const module = source && checker.getSymbolAtLocation(source)
  if (module === undefined) throw new Error(`${entry} exports nothing`)
  return checker.getExportsOfModule(module).map((symbol) => ((symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol)))
})

export const exported: readonly ts.Symbol[] = [...main, ...advanced, ...plot]

/** What the compiler has to say of one program. */
export function problemsIn(path: string): string {
  const other = ts.createProgram([path], options, { ...host, getSourceFile: readOnce })
  const file = other.getSourceFile(path)
  return ts.formatDiagnostics([...other.getSyntacticDiagnostics(file), ...other.getSemanticDiagnostics(file)], host)
}

/** Both programs are of the same sources, and reading them takes longer than checking. */
function readOnce(...[path, target, onError]: Parameters<ts.CompilerHost['getSourceFile']>): ts.SourceFile | undefined {
  if (!files.has(path)) files.set(path, host.getSourceFile(path, target, onError))
  return files.get(path)
}
