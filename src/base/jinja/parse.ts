import { tokensOf } from './lexer.ts'
import type { Block, Expression, Parameter, Statement, Target } from './nodes.ts'
import { parseArguments, parseExpression, parseFilter, parseOr, parseTuple, Reader } from './parse-expression.ts'

/**
 * The statements of a template.
 *
 * @throws SyntaxError with what is wrong and the line
 */
export function parse(template: string): Block {
  const reader = new Reader(tokensOf(template))
  const body = parseBlock(reader, [])
  if (reader.current !== undefined) reader.fail(`unexpected ${reader.current.value}`)
  return body
}

/** Statements up to a block that begins with one of the words, which is left to the caller; its `{%` is taken. */
function parseBlock(reader: Reader, ends: readonly string[]): Block {
  return reader.nested(() => {
    const body: Statement[] = []
    while (reader.current !== undefined) {
      if (reader.is('text')) body.push({ kind: 'text', text: reader.next().value })
      else if (reader.skip('variableBegin')) {
        body.push({ kind: 'print', value: parseTuple(reader, () => reader.is('variableEnd')) })
        reader.expect('variableEnd')
      } else {
        reader.expect('blockBegin')
        if (reader.is('name', ...ends) && ends.length > 0) return body
        body.push(...parseStatement(reader))
      }
    }
    if (ends.length > 0) reader.fail(`expected ${ends.join(' or ')}, got the end`)
    return body
  })
}

/** A block and its end. */
function parseBody(reader: Reader, end: string): Block {
  reader.expect('blockEnd')
  const body = parseBlock(reader, [end])
  reader.expect('name', end)
  reader.expect('blockEnd')
  return body
}

function parseStatement(reader: Reader): Statement[] {
  const word = reader.expect('name').value
  switch (word) {
    case 'for': return [parseFor(reader)]
    case 'if': return [parseIf(reader)]
    case 'set': return [parseSet(reader)]
    case 'macro': {
      const name = reader.expect('name').value
      const parameters = parseParameters(reader)
      return [{ kind: 'macro', name, parameters, body: parseBody(reader, 'endmacro') }]
    }
    case 'call': {
      const parameters = reader.is('operator', '(') ? parseParameters(reader) : []
      const call = parseExpression(reader)
      if (call.kind !== 'call') reader.fail('expected a call')
      return [{ kind: 'callBlock', parameters, call, body: parseBody(reader, 'endcall') }]
    }
    case 'filter': {
      const filter = parseFilters(reader, parseFilter(reader, undefined))
      return [{ kind: 'filterBlock', filter, body: parseBody(reader, 'endfilter') }]
    }
    case 'with': {
      const values: (readonly [Target, Expression])[] = []
      while (!reader.is('blockEnd')) {
        if (values.length > 0) reader.expect('operator', ',')
        const target = parseTarget(reader, false)
        reader.expect('operator', '=')
        values.push([target, parseExpression(reader)])
      }
      return [{ kind: 'with', values, body: parseBody(reader, 'endwith') }]
    }
    case 'generation': return [{ kind: 'with', values: [], body: parseBody(reader, 'endgeneration') }] // marks answers for training masks; prints them as they are
    case 'break': case 'continue':
      reader.expect('blockEnd')
      return [{ kind: word }]
    default: return reader.fail(`the block '${word}' is not supported; known are for, if, set, macro, call, filter, with, raw, generation, break, continue`)
  }
}

function parseFilters(reader: Reader, first: Expression): Expression {
  let filter = first
  while (reader.skip('operator', '|')) filter = parseFilter(reader, filter)
  return filter
}

function parseFor(reader: Reader): Statement {
  const target = parseTarget(reader, false)
  reader.expect('name', 'in')
  // Here `if` begins the loop's own test.
  const of = parseTuple(reader, () => reader.is('blockEnd') || reader.is('name', 'if', 'recursive'), parseOr)
  const test = reader.skip('name', 'if') ? parseExpression(reader) : undefined
  if (reader.is('name', 'recursive')) reader.fail('recursive loops are not supported')
  reader.expect('blockEnd')
  const body = parseBlock(reader, ['endfor', 'else'])
  let otherwise: Block = []
  if (reader.skip('name', 'else')) {
    reader.expect('blockEnd')
    otherwise = parseBlock(reader, ['endfor'])
  }
  reader.expect('name', 'endfor')
  reader.expect('blockEnd')
  return { kind: 'for', target, of, test, body, otherwise }
}

function parseIf(reader: Reader): Statement {
  const branches: { test: Expression; body: Block }[] = []
  let otherwise: Block = []
  do {
    const test = parseTuple(reader, () => reader.is('blockEnd'))
    reader.expect('blockEnd')
    branches.push({ test, body: parseBlock(reader, ['elif', 'else', 'endif']) })
  } while (reader.skip('name', 'elif'))
  if (reader.skip('name', 'else')) {
    reader.expect('blockEnd')
    otherwise = parseBlock(reader, ['endif'])
  }
  reader.expect('name', 'endif')
  reader.expect('blockEnd')
  return { kind: 'if', branches, otherwise }
}

function parseSet(reader: Reader): Statement {
  const target = parseTarget(reader, true)
  if (reader.skip('operator', '=')) {
    const value = parseTuple(reader, () => reader.is('blockEnd'))
    reader.expect('blockEnd')
    return { kind: 'set', target, value }
  }
  const filter = reader.skip('operator', '|') ? parseFilters(reader, parseFilter(reader, undefined)) : undefined
  return { kind: 'setBlock', target, filter, body: parseBody(reader, 'endset') }
}

function parseTarget(reader: Reader, fields: boolean): Target {
  const targets: Target[] = []
  let commas = 0
  while (!reader.is('name', 'in') && !reader.is('operator', '=', ')')) {
    if (reader.skip('operator', '(')) {
      targets.push(parseTarget(reader, fields))
      reader.expect('operator', ')')
    } else {
      const name = reader.expect('name').value
      targets.push(fields && reader.skip('operator', '.') ? { kind: 'field', name, field: reader.expect('name').value } : { kind: 'name', name })
    }
    if (!reader.skip('operator', ',')) break
    commas++
  }
  const [first] = targets
  return commas > 0 || first === undefined ? { kind: 'targets', targets } : first
}

function parseParameters(reader: Reader): Parameter[] {
  const { positional, named, spread, spreadNamed } = parseArguments(reader)
  const names = positional.map((each) => each.kind === 'name' ? each.name : reader.fail('expected the name of a parameter'))
  if (spread !== undefined || spreadNamed !== undefined) reader.fail('parameters with * are not supported')
  return [...names.map((name) => ({ name, fallback: undefined })), ...named.map(([name, fallback]) => ({ name, fallback }))]
}
