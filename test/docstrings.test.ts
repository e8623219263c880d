// The docstrings of everything public, as far as a program can judge them; examples.long.ts runs their examples.

import ts from 'typescript'
import { expect, it } from 'vitest'
import { checker, exported } from './public-symbols.ts'

/** What can be called and what can be read: every export, and the members of those that are classes or interfaces. */
const documented = exported.flatMap((symbol) => [
  { name: symbol.name, symbol },
  ...[...(symbol.members?.values() ?? [])].filter(isOwn).map((member) => ({ name: `${symbol.name}.${member.name}`, symbol: member })),
])

it('everything public says what it is, or has a type that does', () => {
  const silent = documented.filter(({ symbol }) => textOf(symbol) === '' && !isPlain(symbol))
  expect(silent.map(({ name }) => name)).toEqual([])
})

it('every option that may be left out says what then holds', () => {
  const options = documented.filter(({ name, symbol }) => /Options\./.test(name) && (symbol.flags & ts.SymbolFlags.Optional) !== 0)
  expect(options.length).toBeGreaterThan(100)
  const silent = options.filter(({ symbol }) => !hasTag(symbol, 'default') && !/unless given|when (it is )?absent|without it|by default/i.test(textOf(symbol)))
  expect(silent.map(({ name }) => name)).toEqual([])
})

it('every function that throws an error of this library names it', () => {
  const silent = documented.filter(({ symbol }) => {
    const missing = [...thrownBy(symbol)].filter((error) => !tagText(symbol, 'throws').includes(error))
    return missing.length > 0
  })
  expect(silent.map(({ name, symbol }) => `${name}: ${[...thrownBy(symbol)].join()}`)).toEqual([])
})

it('every method names its paper, where there is one', () => {
  const methods = exported.filter((symbol) => returnsMethod(symbol) && !['fullFineTuning', 'headOnly', 'trainableTokens'].includes(symbol.name))
  expect(methods.length).toBeGreaterThan(10)
  expect(methods.filter((symbol) => !/arXiv:\d{4}\.\d{5}/.test(textOf(symbol))).map(({ name }) => name)).toEqual([])
})

function returnsMethod(symbol: ts.Symbol): boolean {
  return (symbol.flags & ts.SymbolFlags.Function) !== 0 &&
    checker.getTypeOfSymbol(symbol).getCallSignatures().some((signature) => checker.typeToString(signature.getReturnType()) === 'Method')
}

function isOwn(symbol: ts.Symbol): boolean {
  const [declaration] = symbol.declarations ?? []
  return declaration !== undefined && !/^(#|__)/.test(symbol.name.replace(/^__#\d+@/, '')) && (ts.getCombinedModifierFlags(declaration) & ts.ModifierFlags.Private) === 0 && !hasTag(symbol, 'internal')
}

/** Names that say everything: constructors, and the fields of a type that is explained as a whole. */
function isPlain(symbol: ts.Symbol): boolean {
  return (symbol.flags & (ts.SymbolFlags.Constructor | ts.SymbolFlags.Property | ts.SymbolFlags.TypeParameter)) !== 0
}

function textOf(symbol: ts.Symbol): string {
  return ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim()
}

function hasTag(symbol: ts.Symbol, tag: string): boolean {
  return symbol.getJsDocTags(checker).some(({ name }) => name === tag)
}

function tagText(symbol: ts.Symbol, tag: string): string {
  return symbol.getJsDocTags(checker).filter(({ name }) => name === tag).map(({ text }) => ts.displayPartsToString(text)).join('\n')
}

/** The library's errors that a function throws itself, or through functions of its own file. */
function thrownBy(symbol: ts.Symbol): ReadonlySet<string> {
  const thrown = new Set<string>()
  const seen = new Set<ts.Node>()
  const visit = (node: ts.Node): void => {
    if (ts.isThrowStatement(node) && ts.isNewExpression(node.expression)) {
      const error = node.expression.expression.getText()
      if (/^(Checkpoint|Engine|Hub|Input|Target|Training)Error$/.test(error)) thrown.add(error)
    }
    if (ts.isCallExpression(node)) {
      const called = checker.getSymbolAtLocation(node.expression)?.declarations?.[0]
      if (called !== undefined && ts.isFunctionDeclaration(called) && called.getSourceFile() === node.getSourceFile()) enter(called)
    }
    ts.forEachChild(node, visit)
  }
  const enter = (node: ts.FunctionLikeDeclaration): void => {
    if (seen.has(node) || node.body === undefined) return
    seen.add(node)
    visit(node.body)
  }
  for (const declaration of symbol.declarations ?? []) if (ts.isFunctionDeclaration(declaration) || ts.isMethodDeclaration(declaration)) enter(declaration)
  return thrown
}
