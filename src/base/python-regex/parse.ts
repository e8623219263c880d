// Reads a regular expression by the rules of Python 3.11's `re`, with its words for what is wrong.

import { between, categoryOf, wordBoundary, type Flags } from './characters.ts'
import { repeatsEmpty, widthOf, type CharacterTest, type Node } from './node.ts'

/** A pattern that Python refuses, or that asks for what is not done here. */
export class PatternError extends Error {
  override name = 'PatternError'
}

const FLAGS: Readonly<Record<string, keyof Flags>> = { a: 'ascii', i: 'ignoreCase', m: 'multiline', s: 'dotAll', x: 'verbose' }
const OFF: Flags = { ignoreCase: false, multiline: false, dotAll: false, verbose: false, ascii: false }
const CONTROLS: Readonly<Record<string, number>> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11 }
const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 }
const MOST_NESTED = 100

/** @throws PatternError */
export function parsePattern(pattern: string): Node {
  return new Parser(pattern).parse()
}

class Parser {
  private readonly source: readonly string[]
  private readonly names = new Set<string>()
  private at = 0
  private depth = 0

  constructor(pattern: string) {
    this.source = Array.from(pattern)
  }

  parse(): Node {
    const node = this.choice(this.globalFlags())
    if (this.at < this.source.length) this.fail('unbalanced parenthesis')
    return node
  }

  private get next(): string | undefined {
    return this.source[this.at]
  }

  private take(text: string): boolean {
    if (!Array.from(text).every((character, i) => this.source[this.at + i] === character)) return false
    this.at += text.length
    return true
  }

  private fail(problem: string, at = this.at): never {
    throw new PatternError(`${problem} at position ${at}`)
  }

  private unsupported(what: string, at: number): never {
    this.fail(`${what} is not supported`, at)
  }

  /** `(?i)` and the like, which hold for the whole expression and stand before it. */
  private globalFlags(): Flags {
    let flags = OFF
    for (;;) {
      const found = /^\(\?([a-zA-Z]+)\)/.exec(this.source.slice(this.at, this.at + 12).join(''))
      if (found === null) return flags
      flags = this.withFlags(flags, Array.from(found[1] ?? ''), true)
      this.at += found[0].length
    }
  }

  private withFlags(flags: Flags, letters: readonly string[], value: boolean): Flags {
    let result = flags
    for (const letter of letters) {
      const name = FLAGS[letter]
      if (name !== undefined) result = { ...result, [name]: value }
      else if (letter === 'L') this.fail("bad inline flags: cannot use 'L' flag with a str pattern")
      else if (letter !== 'u') this.fail('unknown flag')
    }
    return result
  }

  private choice(flags: Flags): Node {
    const options = [this.sequence(flags)]
    while (this.take('|')) options.push(this.sequence(flags))
    return options.length === 1 ? (options[0] as Node) : { kind: 'choice', options }
  }

  private sequence(flags: Flags): Node {
    const items: Node[] = []
    for (;;) {
      if (flags.verbose && this.skipped()) continue
      const { next } = this
      if (next === undefined || next === '|' || next === ')') return items.length === 1 ? (items[0] as Node) : { kind: 'sequence', items }
      const bounds = this.bounds()
      if (bounds === undefined) {
        const node = this.item(flags)
        if (node !== undefined) items.push(node)
      } else items.push(this.repeat(items.pop(), bounds))
    }
  }

  /** A blank or a comment of a verbose expression. */
  private skipped(): boolean {
    const skipped = /^([ \t\n\r\v\f]|#[^\n]*\n?)/.exec(this.source.slice(this.at).join(''))?.[0] ?? ''
    this.at += Array.from(skipped).length
    return skipped !== ''
  }

  /** How often what stands before is to be repeated; undefined where no such thing stands here. */
  private bounds(): readonly [min: number, max: number, start: number] | undefined {
    const start = this.at
    if (this.take('*')) return [0, Infinity, start]
    if (this.take('+')) return [1, Infinity, start]
    if (this.take('?')) return [0, 1, start]
    const found = /^\{(\d*)(,?)(\d*)\}/.exec(this.source.slice(start, start + 30).join(''))
    if (found === null || found[0] === '{}') return undefined
    const [whole, low = '', comma, high = ''] = found
    this.at += whole.length
    const min = low === '' ? 0 : Number(low)
    const max = comma === '' ? min : high === '' ? Infinity : Number(high)
    if (max < min) this.fail('min repeat greater than max repeat', start)
    return [min, max, start]
  }

  private repeat(item: Node | undefined, [min, max, start]: readonly [number, number, number]): Node {
    if (item === undefined || item.kind === 'place') this.fail('nothing to repeat', start)
    if (item.kind === 'repeat' || (item.kind === 'atomic' && item.item.kind === 'repeat')) this.fail('multiple repeat', start) // 'x*+' is both
    const lazy = this.take('?')
    const possessive = !lazy && this.take('+')
    const node: Node = { kind: 'repeat', item: isGroup(item) ? item.item : item, min, max, greedy: !lazy }
    return possessive ? this.atomic(node, start) : node
  }

  private atomic(item: Node, start: number): Node {
    if (repeatsEmpty(item)) this.unsupported('an atomic or possessive repetition of what may be empty', start)
    return { kind: 'atomic', item }
  }

  private item(flags: Flags): Node | undefined {
    const start = this.at
    const character = this.source[this.at++] as string // sequence has seen that there is one
    if (character === '(') return this.group(flags, start)
    if (character === '[') return { kind: 'character', fits: this.set(flags, start) }
    if (character === '.') return { kind: 'character', fits: (each) => flags.dotAll || each !== 10 }
    if (character === '^') return { kind: 'place', fits: (text, at) => at === 0 || (flags.multiline && text[at - 1] === 10) }
    if (character === '$') {
      return { kind: 'place', fits: (text, at) => at === text.length || (text[at] === 10 && (flags.multiline || at === text.length - 1)) }
    }
    if (character === '\\') return this.escape(flags, start)
    return literal(character.codePointAt(0) ?? 0, flags)
  }

  private escape(flags: Flags, start: number): Node {
    const letter = this.next
    if (letter === 'A') return this.place((_, at) => at === 0)
    if (letter === 'Z') return this.place((text, at) => at === text.length)
    if (letter === 'b' || letter === 'B') {
      const boundary = wordBoundary(flags)
      return this.place((text, at) => text.length > 0 && boundary(text, at) === (letter === 'b'))
    }
    if (letter !== undefined && /[1-9]/.test(letter) && !/^[0-3][0-7]{2}/.test(this.source.slice(this.at, this.at + 3).join(''))) {
      this.unsupported('a reference back to a group', start)
    }
    const found = this.escaped(flags, start)
    return typeof found === 'number' ? literal(found, flags) : { kind: 'character', fits: found }
  }

  private place(fits: (text: readonly number[], at: number) => boolean): Node {
    this.at++
    return { kind: 'place', fits }
  }

  /** What means the same in a set: a character, or several of them by name. */
  private escaped(flags: Flags, start: number): number | CharacterTest {
    const letter = this.source[this.at++]
    if (letter === undefined) this.fail('bad escape (end of pattern)', start)
    const category = categoryOf(letter, flags)
    if (category !== undefined) return category
    const digits = HEX_DIGITS[letter]
    if (digits !== undefined) {
      const hex = this.source.slice(this.at, this.at + digits).join('')
      const code = /^[0-9a-fA-F]+$/.test(hex) && hex.length === digits ? parseInt(hex, 16) : Infinity
      if (code > 0x10ffff) this.fail(`incomplete escape \\${letter}${hex}`, start)
      this.at += digits
      return code
    }
    if (/[0-7]/.test(letter)) {
      const octal = /^[0-7]{1,3}/.exec(this.source.slice(this.at - 1, this.at + 2).join(''))?.[0] ?? letter
      const code = parseInt(octal, 8)
      if (code > 0o377) this.fail(`octal escape value \\${octal} outside of range 0-0o377`, start)
      this.at += octal.length - 1
      return code
    }
    if (letter === 'N') this.unsupported('a character by its name, \\N{…},', start)
    const control = CONTROLS[letter]
    if (control !== undefined) return control
    if (/[a-zA-Z0-9]/.test(letter)) this.fail(`bad escape \\${letter}`, start)
    return letter.codePointAt(0) ?? 0
  }

  private set(flags: Flags, start: number): CharacterTest {
    const negative = this.take('^')
    const tests: CharacterTest[] = []
    for (let first = true; first || this.next !== ']'; first = false) {
      const from = this.at
      const low = this.setItem(flags, start)
      if (this.next !== '-' || this.source[this.at + 1] === ']') {
        tests.push(typeof low === 'number' ? between(low, low, flags) : low)
        continue
      }
      this.at++
      const high = this.setItem(flags, start)
      if (typeof low !== 'number' || typeof high !== 'number' || high < low) {
        this.fail(`bad character range ${this.source.slice(from, this.at).join('')}`, from)
      }
      tests.push(between(low, high, flags))
    }
    this.at++
    return (character) => tests.some((fits) => fits(character)) !== negative
  }

  private setItem(flags: Flags, start: number): number | CharacterTest {
    const at = this.at
    const character = this.source[this.at++]
    if (character === undefined) this.fail('unterminated character set', start)
    return character === '\\' ? this.escaped(flags, at) : (character.codePointAt(0) ?? 0)
  }

  private group(flags: Flags, start: number): Node | undefined {
    if (!this.take('?')) return { kind: 'group', name: undefined, item: this.inside(flags, start) }
    if (this.take('P<')) {
      const name = this.groupName()
      return { kind: 'group', name, item: this.inside(flags, start) }
    }
    if (this.take('P=')) this.unsupported('a reference back to a group', start)
    if (this.take('(')) this.unsupported('a choice by a group, (?(…)…|…),', start)
    if (this.take('#')) {
      while (!this.take(')')) if (this.at++ >= this.source.length) this.fail('missing ), unterminated comment', start)
      return undefined
    }
    if (this.take('>')) return this.atomic({ kind: 'group', name: undefined, item: this.inside(flags, start) }, start)
    for (const [sign, ahead, negative] of LOOKS) {
      if (!this.take(sign)) continue
      const item = this.inside(flags, start)
      const [low, high] = widthOf(item)
      if (!ahead && low !== high) this.fail('look-behind requires fixed-width pattern', start)
      return { kind: 'look', item, ahead, negative }
    }
    return { kind: 'group', name: undefined, item: this.inside(this.scopedFlags(flags, start), start) }
  }

  private groupName(): string {
    const start = this.at
    const end = this.source.indexOf('>', start)
    if (end < 0) this.fail('missing >, unterminated name', start)
    const name = this.source.slice(start, end).join('')
    if (!/^[\p{L}_][\p{L}\p{N}_]*$/u.test(name)) this.fail(`bad character in group name '${name}'`, start)
    if (this.names.has(name)) this.fail(`redefinition of group name '${name}'`, start)
    this.names.add(name)
    this.at = end + 1
    return name
  }

  /** Up to and with the colon of `(?i-s:…)`. */
  private scopedFlags(flags: Flags, start: number): Flags {
    const found = /^([a-zA-Z]*)(?:-([a-zA-Z]+))?([:)]?)/.exec(this.source.slice(this.at, this.at + 20).join(''))
    const [whole = '', on = '', off = '', end] = found ?? []
    if (end === ')' && on !== '') this.fail('global flags not at the start of the expression', start)
    if (end !== ':') this.fail(`unknown extension ?${this.next ?? ''}`, start)
    this.at += whole.length
    return this.withFlags(this.withFlags(flags, Array.from(on), true), Array.from(off), false)
  }

  private inside(flags: Flags, start: number): Node {
    if (++this.depth > MOST_NESTED) this.fail(`more than ${MOST_NESTED} groups in one another`, start)
    const node = this.choice(flags)
    if (!this.take(')')) this.fail('missing ), unterminated subpattern', start)
    this.depth--
    return node
  }
}

const LOOKS = [['=', true, false], ['!', true, true], ['<=', false, false], ['<!', false, true]] as const

function literal(code: number, flags: Flags): Node {
  return { kind: 'character', fits: between(code, code, flags) }
}

function isGroup(node: Node): node is Node & { readonly kind: 'group' } {
  return node.kind === 'group' && node.name === undefined
}
