// What may import what, over all files between: ESLint sees one import at a time.

import { readdir, readFile } from 'node:fs/promises'
import { join, sep } from 'node:path'
import ts from 'typescript'
import { expect, it } from 'vitest'

const src = join(import.meta.dirname, '..', 'src')
const files = (await readdir(src, { recursive: true })).filter((name) => name.endsWith('.ts')).sort()
/** Of each file or folder. */
type Imports = ReadonlyMap<string, readonly string[]>

const read = async (types: boolean): Promise<Imports> => new Map(await Promise.all(files.map(async (file) => [file, await importsOf(file, types)] as const)))
const [imports, withTypes] = [await read(false), await read(true)]

/** A file's imports, without those that are erased with the types unless they are asked for: files below src/, and packages by name. */
async function importsOf(file: string, types: boolean): Promise<readonly string[]> {
  const { statements } = ts.createSourceFile(file, await readFile(join(src, file), 'utf8'), ts.ScriptTarget.Latest)
  return statements.flatMap((statement) => {
    if (!(ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement)) || statement.moduleSpecifier === undefined) return []
    if (!types && (ts.isImportDeclaration(statement) ? areTypes(statement.importClause) : statement.isTypeOnly)) return []
    const { text } = statement.moduleSpecifier as ts.StringLiteral
    return [text.startsWith('.') ? join(file, '..', text) : text]
  })
}

function areTypes(clause: ts.ImportClause | undefined): boolean {
  if (clause === undefined) return false
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true
  const named = clause.namedBindings
  return clause.name === undefined && named !== undefined && ts.isNamedImports(named) && named.elements.every(({ isTypeOnly }) => isTypeOnly)
}

/** The shortest way of imports from a file, or folder, to what `isEnd` is true of. */
function wayFrom(start: string, isEnd: (name: string) => boolean, graph: Imports = imports): readonly string[] | undefined {
  const ways = [[start]]
  const seen = new Set<string>()
  for (const way of ways) {
    for (const next of graph.get(way.at(-1) ?? '') ?? []) {
      if (isEnd(next)) return [...way, next]
      if (!seen.has(next)) ways.push([...way, next])
      seen.add(next)
    }
  }
  return undefined
}

/** The part of the library that knows files, the Hub, processes and threads. */
const NODE = [
  /^(cli|data|distributed|report|setup)\//, /^base\/(checkpoint|files|hub|image|tokenizer)\//, /^base\/engine\/(engine|load-native|version)\.ts$/, /^forgetting\/save-guards\.ts$/,
  /^export\/onnx\/(export-onnx|export-onnx-adapter|model-file)\.ts$/, /^export\/gguf\/(export-gguf|gguf-file|tokenizer)\.ts$/, /^export\/mlx\//,
  /^training\/(agree|checkpoint|cost|energy|event-log|frozen-rows|hold-folder|multi-task|read-examples|resume|row-pixels|settings|share-checkpoint|stream-batches|tensorboard|tokenize-worker|trainer)\.ts$/, /^(index|advanced|load-adapted|load-adapter|loftq)\.ts$/,
]

it('models, methods, operations, guards and the step of a training run without Node: nothing that they import knows it', () => {
  const core = files.filter((file) => !NODE.some((pattern) => pattern.test(file)))
  expect(core.length).toBeGreaterThan(100)
  expect(core.map((file) => wayFrom(file, (name) => name.startsWith('node:'))).filter((way) => way !== undefined)).toEqual([])
})

it('no file imports itself by way of others', () => {
  expect(files.map((file) => wayFrom(file, (name) => name === file)).filter((way) => way !== undefined)).toEqual([])
})

it('no folder imports itself by way of others, types included', () => {
  const folderOf = (file: string): string => file.split(sep)[0] ?? ''
  const folders = new Map(files.map((file) => [folderOf(file), files.filter((other) => folderOf(other) === folderOf(file))]))
  const between = new Map([...folders].map(([folder, own]) => [folder, own.flatMap((file) => withTypes.get(file) ?? []).map(folderOf).filter((other) => other !== folder)]))
  expect([...folders.keys()].map((folder) => wayFrom(folder, (name) => name === folder, between)).filter((way) => way !== undefined)).toEqual([])
})
