// Matches Python's regular expressions in a time that is bounded, whatever the expression: a place in the program and a
// position in the text are tried once at most, in the order in which Python would try them.

import { repeatsEmpty, widthOf, type CharacterTest, type Node, type PlaceTest } from './node.ts'
import { parsePattern, PatternError } from './parse.ts'

export { PatternError } from './parse.ts'

type Step =
  | { readonly do: 'character'; readonly fits: CharacterTest }
  | { readonly do: 'place'; readonly fits: PlaceTest }
  | { readonly do: 'split'; readonly first: number; readonly second: number }
  | { readonly do: 'open' | 'close'; readonly name: string }
  | { readonly do: 'atomic'; readonly program: Program }
  | { readonly do: 'look'; readonly program: Program; readonly back: number; readonly negative: boolean }
  | { readonly do: 'accept' }

type Program = readonly Step[]

/** The places of named groups: a list, the last one first. */
type Marks = { readonly name: string; readonly opens: boolean; readonly at: number; readonly before: Marks } | undefined

/** Where a way through a program ended, and the groups on it. */
type Found = { readonly end: number; readonly marks: Marks } | undefined

const MOST_CHARACTERS = 10_000
const MOST_STEPS = 5_000
const MOST_TRIES = 20_000_000

/** A compiled expression of Python's `re`. */
export interface Pattern {
  /** Whether `re.fullmatch` finds the text. */
  readonly fits: (text: string) => boolean
  /** Whether `re.match` finds something at its start. */
  readonly starts: (text: string) => boolean
  /** The named groups of what `re.match` finds at the text's start; undefined where it finds nothing. */
  readonly groups: (text: string) => Readonly<Record<string, string>> | undefined
}

/**
 * Compiles a regular expression of Python. Beyond it, references back to groups and choices by a group are refused, and
 * expressions that are too large; a match that takes too many tries is an error too.
 *
 * @throws PatternError with Python's reason
 * @example pythonPattern('.*\\.(?P<name>query|key)').fits('layer.0.query') // true
 */
export function pythonPattern(source: string): Pattern {
  if (source.length > MOST_CHARACTERS) throw new PatternError(`${source.length} characters, more than ${MOST_CHARACTERS}`)
  const node = parsePattern(source)
  const program = compile(node)
  const run = (text: string, whole: boolean): Found =>
    new Matcher(Array.from(text).map((character) => character.codePointAt(0) ?? 0)).run(program, 0, whole)
  return {
    fits: (text) => run(text, true) !== undefined,
    starts: (text) => run(text, false) !== undefined,
    groups: (text) => {
      if (repeatsEmpty(node)) throw new PatternError('a repetition of what may be empty is not supported here')
      const found = run(text, false)
      return found === undefined ? undefined : textsOf(found.marks, Array.from(text))
    },
  }
}

/** What is wrong with an expression of Python; undefined where nothing is. */
export function patternProblem(source: string): string | undefined {
  try {
    pythonPattern(source)
    return undefined
  } catch (error) {
    if (error instanceof PatternError) return error.message
    throw error
  }
}

function textsOf(marks: Marks, text: readonly string[]): Record<string, string> {
  const ends: Record<string, number> = {}
  const texts: Record<string, string> = {}
  for (let mark = marks; mark !== undefined; mark = mark.before) {
    const { name, at, opens } = mark
    if (!opens) ends[name] ??= at
    else if (ends[name] !== undefined) texts[name] ??= text.slice(at, ends[name]).join('')
  }
  return texts
}

function compile(root: Node): Program {
  const steps: Step[] = []
  const put = (step: Step): number => {
    if (steps.length >= MOST_STEPS) throw new PatternError(`more than ${MOST_STEPS} steps, repetitions written out`)
    return steps.push(step) - 1
  }
  const split = (greedy: boolean, way: number, end: number): Step =>
    greedy ? { do: 'split', first: way, second: end } : { do: 'split', first: end, second: way }
  const add = (node: Node): void => {
    switch (node.kind) {
      case 'character':
      case 'place':
        put(node.kind === 'character' ? { do: 'character', fits: node.fits } : { do: 'place', fits: node.fits })
        return
      case 'sequence':
        node.items.forEach(add)
        return
      case 'group':
        if (node.name !== undefined) put({ do: 'open', name: node.name })
        add(node.item)
        if (node.name !== undefined) put({ do: 'close', name: node.name })
        return
      case 'atomic':
        put({ do: 'atomic', program: compile(node.item) })
        return
      case 'look':
        put({ do: 'look', program: compile(node.item), back: node.ahead ? 0 : widthOf(node.item)[0], negative: node.negative })
        return
      case 'choice':
        addChoice(node.options)
        return
      case 'repeat':
        addRepeat(node)
    }
  }
  const addChoice = (options: readonly Node[]): void => {
    const ends: number[] = []
    options.forEach((option, i) => {
      const last = i === options.length - 1
      const fork = last ? -1 : put(NOWHERE)
      add(option)
      if (last) return
      ends.push(put(NOWHERE))
      steps[fork] = { do: 'split', first: fork + 1, second: steps.length }
    })
    for (const end of ends) steps[end] = { do: 'split', first: steps.length, second: steps.length }
  }
  const addRepeat = ({ item, min, max, greedy }: Node & { readonly kind: 'repeat' }): void => {
    const start = steps.length
    for (let i = 0; i < min && steps.length >= start + i; i++) add(item) // what takes no step need not be said again
    if (max === Infinity) {
      const fork = put(NOWHERE)
      add(item)
      put({ do: 'split', first: fork, second: fork })
      steps[fork] = split(greedy, fork + 1, steps.length)
      return
    }
    const forks: number[] = []
    for (let i = min; i < max; i++) {
      forks.push(put(NOWHERE))
      add(item)
    }
    for (const fork of forks) steps[fork] = split(greedy, fork + 1, steps.length)
  }
  add(root)
  put({ do: 'accept' })
  return steps
}

/** Stands until it is known where the way goes on. */
const NOWHERE: Step = { do: 'split', first: 0, second: 0 }

/** Marks, after others. */
function joined(marks: Marks, before: Marks): Marks {
  return marks === undefined ? before : { ...marks, before: joined(marks.before, before) }
}

/** One text, and what has been found out about it. */
class Matcher {
  private tries = 0
  private readonly decided = new Map<Program, Map<number, Found>>()

  private readonly text: readonly number[]

  constructor(text: readonly number[]) {
    this.text = text
  }

  /** The first way through the program from a position, in Python's order; to the end of the text where it is asked for. */
  run(program: Program, start: number, whole: boolean): Found {
    const { text } = this
    const width = text.length + 1
    const seen = new Uint8Array(program.length * width)
    const open: { readonly at: number; readonly position: number; readonly marks: Marks }[] = [{ at: 0, position: start, marks: undefined }]
    for (let state = open.pop(); state !== undefined; state = open.pop()) {
      const { at, position, marks } = state
      const place = at * width + position
      if (seen[place] === 1) continue
      seen[place] = 1
      if (++this.tries > MOST_TRIES) throw new PatternError('takes too long')
      const step = program[at] as Step // every way leads to a step
      const next = (end: number, after: Marks = marks): number => open.push({ at: at + 1, position: end, marks: after })
      switch (step.do) {
        case 'accept':
          if (!whole || position === text.length) return { end: position, marks }
          break
        case 'character':
          if (position < text.length && step.fits(text[position] as number)) next(position + 1)
          break
        case 'place':
          if (step.fits(text, position)) next(position)
          break
        case 'split':
          open.push({ at: step.second, position, marks }, { at: step.first, position, marks })
          break
        case 'open':
        case 'close':
          next(position, { name: step.name, opens: step.do === 'open', at: position, before: marks })
          break
        case 'atomic': {
          const found = this.decide(step.program, position)
          if (found !== undefined) next(found.end, joined(found.marks, marks))
          break
        }
        case 'look': {
          const from = position - step.back
          const found = from < 0 ? undefined : this.decide(step.program, from)
          if ((found === undefined) === step.negative) next(position, joined(step.negative ? undefined : found?.marks, marks))
        }
      }
    }
    return undefined
  }

  private decide(program: Program, start: number): Found {
    const known = this.decided.get(program) ?? new Map<number, Found>()
    this.decided.set(program, known)
    if (!known.has(start)) known.set(start, this.run(program, start, false))
    return known.get(start)
  }
}
