import type { CharacterTest } from './node.ts'

/** What `(?…)` turns on and off. */
export interface Flags {
  readonly ignoreCase: boolean
  readonly multiline: boolean
  readonly dotAll: boolean
  readonly verbose: boolean
  readonly ascii: boolean
}

const isAscii = (character: number): boolean => character < 128
const matches = (expression: RegExp): CharacterTest => (character) => expression.test(String.fromCodePoint(character))

const DIGIT = matches(/^\p{Nd}$/u)
const BLANK = matches(/^[^\S\ufeff]$/u)
const SPACE: CharacterTest = (character) => BLANK(character) || (character >= 0x1c && character <= 0x1f) || character === 0x85
const WORD = matches(/^[\p{L}\p{N}_]$/u)

/** `\d`, `\s`, `\w` and their opposites in capitals; undefined for another letter. */
export function categoryOf(letter: string, { ascii }: Flags): CharacterTest | undefined {
  const named = { d: DIGIT, s: SPACE, w: WORD }[letter.toLowerCase()]
  if (named === undefined) return undefined
  const test: CharacterTest = ascii ? (character) => isAscii(character) && named(character) : named
  return letter === letter.toLowerCase() ? test : (character) => !test(character)
}

/** Between a character of a word and one that is none. */
export function wordBoundary(flags: Flags): (text: readonly number[], position: number) => boolean {
  const word = categoryOf('w', flags) as CharacterTest
  const at = (text: readonly number[], position: number): boolean => {
    const character = text[position]
    return character !== undefined && word(character)
  }
  return (text, position) => text.length > 0 && at(text, position - 1) !== at(text, position)
}

/** The characters from `low` to `high`, in both cases where case does not count. */
export function between(low: number, high: number, { ignoreCase }: Flags): CharacterTest {
  const plain: CharacterTest = (character) => character >= low && character <= high
  if (!ignoreCase) return plain
  return (character) => plain(character) || plain(caseOf(character, 'toLowerCase')) || plain(caseOf(character, 'toUpperCase'))
}

function caseOf(character: number, change: 'toLowerCase' | 'toUpperCase'): number {
  const changed = String.fromCodePoint(character)[change]()
  return Array.from(changed).length === 1 ? (changed.codePointAt(0) ?? character) : character
}
