// Oniguruma's regular expressions, in which tokenizer.json has its patterns, in JavaScript's words. What has none, or is rarer than its
// price, is refused by name.

const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}'
const HEX = '0-9A-Fa-f'
/** What a set holds of these, by what stands behind the backslash. Large letters are what it lacks. */
const SETS: Readonly<Record<string, string>> = { s: '\\p{White_Space}', d: '\\p{Nd}', w: WORD, h: HEX }
/** Outside a set, the small numbers are letters of words too. */
const WORD_ALONE = `${WORD}\\u00B2\\u00B3\\u00B9\\u00BC-\\u00BE`
const POSIX: Readonly<Record<string, string>> = {
  alpha: '\\p{Alphabetic}', alnum: '\\p{Alphabetic}\\p{Nd}', digit: '\\p{Nd}', lower: '\\p{Lowercase}', upper: '\\p{Uppercase}', space: '\\p{White_Space}',
  blank: '\\t\\p{Zs}', punct: '\\p{P}\\p{S}', cntrl: '\\p{Cc}', word: WORD, xdigit: HEX, ascii: '\\0-\\x7F',
}
const CONTROLS: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f', v: '\v', a: '\x07', e: '\x1B' }
const [START, END] = ['(?<![^])', '(?![^])']
const AT_WORD = [`(?<=[${WORD_ALONE}])(?![${WORD_ALONE}])`, `(?<![${WORD_ALONE}])(?=[${WORD_ALONE}])`]
const PLACES: Readonly<Record<string, string>> = {
  A: START, z: END, Z: `(?=\\n?${END})`, b: `(?:${AT_WORD.join('|')})`, B: `(?!${AT_WORD.join('|')})`,
}
const MOST_FOLDED = 1000
const LAST_CASED = 0x1E943

/**
 * The expression that finds in JavaScript what Oniguruma finds, from left to right.
 *
 * @throws SyntaxError for what is not valid, or not here
 * @example fromOniguruma("(?i:'s)|\\s++") // finds 'S, and runs of white space
 */
export function fromOniguruma(source: string): RegExp {
  const translator = new Translator(source)
  return new RegExp(translator.whole(), 'gv')
}

class Translator {
  private at = 0
  private atoms = 0
  private readonly source: string

  constructor(source: string) {
    this.source = source
  }

  whole(): string {
    const result = this.choice(false)
    return this.at < this.source.length ? this.fail('a parenthesis that nothing opens') : result
  }

  private fail(what: string): never {
    throw new SyntaxError(`${what} at character ${this.at}`)
  }

  private take(pattern: RegExp): RegExpExecArray | undefined {
    const found = new RegExp(pattern.source, 'yu')
    found.lastIndex = this.at
    const match = found.exec(this.source) ?? undefined
    this.at += match?.[0].length ?? 0
    return match
  }

  /** Up to the end of the group. @param folds whether large and small letters are the same */
  private choice(folds: boolean): string {
    let result = ''
    while (this.at < this.source.length && this.source[this.at] !== ')') result += this.take(/\|/)?.[0] ?? this.repeated(folds)
    return result
  }

  private repeated(folds: boolean): string {
    let item = this.item(folds)
    for (let times = 0; ; times++) {
      const [, sign, least = '', comma, most = '', how = ''] = this.take(/(?:([*+?])|\{(\d*)(,?)(\d*)(?<!\{,?)\})(\??\+?)/) ?? []
      if (sign === undefined && comma === undefined) return item
      const once = times === 0 ? item : `(?:${item})`
      const repeat = sign ?? `{${least || 0}${comma}${most}}`
      const lazy = how.startsWith('?')
      if (sign === undefined && lazy && comma === '') item = `(?:${once}${repeat})?` // as Ruby has it
      else item = `${once}${repeat}${lazy ? '?' : ''}`
      if (how.endsWith('+')) item = sign !== undefined && !lazy ? this.atomic(item) : `(?:${item})+`
    }
  }

  /** What is found here once is not tried otherwise: JavaScript has that of what it looks ahead to alone. */
  private atomic(item: string): string {
    const name = `atom${this.atoms++}`
    return `(?:(?=(?<${name}>${item}))\\k<${name}>)`
  }

  private item(folds: boolean): string {
    if (this.take(/\./) !== undefined) return '[^\\n]'
    if (this.take(/\^/) !== undefined) return `(?:${START}|(?<=\\n)(?=[^]))`
    if (this.take(/\$/) !== undefined) return `(?=\\n|${END})`
    if (this.take(/\[/) !== undefined) return this.set(folds)
    if (this.take(/\(/) !== undefined) return this.group(folds)
    if (/[*+?]/.test(this.source[this.at] ?? '')) this.fail('nothing to repeat')
    const place = this.take(/\\([AzZbB])/)
    if (place !== undefined) return `${PLACES[place[1] ?? '']}`
    const escaped = this.take(/\\([wW])/)
    if (escaped !== undefined) return `[${escaped[1] === 'W' ? '^' : ''}${WORD_ALONE}]`
    return `[${this.several(folds) ?? cases(this.character(), folds)}]`
  }

  private group(folds: boolean): string {
    this.take(/\?#[^)]*(?=\))/)
    const kind = this.take(/\?(?:<?[=!]|[:>]|<[A-Za-z_]\w*>|(i|-i)(:|\)))/)
    if (kind === undefined && this.source[this.at] === '?') this.fail(`the group (${this.source.slice(this.at, this.at + 3)}`)
    const [opening = '', flag, end] = kind ?? []
    const inner = this.choice(flag === undefined ? folds : flag === 'i')
    if (end !== ')' && this.take(/\)/) === undefined) this.fail('a group that nothing closes')
    if (opening === '?>') return this.atomic(inner)
    return `(${/[=!]/.test(opening) ? opening : '?:'}${inner})`
  }

  /** Characters of several kinds, as a part of a set. */
  private several(folds: boolean): string | undefined {
    const [, letter, kind, not, name = ''] = this.take(/\\(?:([sdwhSDWH])|([pP])\{(\^?)([\w &-]+)\})/) ?? []
    if (letter !== undefined) return letter in SETS ? SETS[letter] : `[^${SETS[letter.toLowerCase()]}]`
    if (kind === undefined) return undefined
    if (folds && /^(l[ult]|(upper|lower)(case)?)$/i.test(name)) this.fail(`the property ${name} without regard to case`)
    return (kind === 'P') !== (not === '^') ? `[^${this.property(name)}]` : this.property(name)
  }

  private property(name: string): string {
    const posix = name.toLowerCase() === 'punct' ? '\\p{P}' : POSIX[name.toLowerCase()] // in brackets it has symbols too
    const own = ['', 'Script=', 'General_Category='].map((of) => `\\p{${of}${name}}`).find(isKnown)
    return posix ?? own ?? this.fail(`the property ${name}`)
  }

  /** What stands in brackets, of which the first is read. */
  private set(folds: boolean): string {
    const not = this.take(/\^/)?.[0] ?? ''
    const operands = [this.part(folds)] // a bracket that closes stands for itself here
    while (this.take(/\]/) === undefined) {
      if (this.take(/&&/) !== undefined) operands.push('')
      else operands.push((operands.pop() ?? '') + this.part(folds))
    }
    return `[${not}${operands.length === 1 ? operands.join() : operands.map((each) => `[${each}]`).join('&&')}]`
  }

  private part(folds: boolean): string {
    const [, not, name] = this.take(/\[:(\^?)(\w+):\]/) ?? []
    if (name !== undefined) return `[${not}${POSIX[name] ?? this.fail(`[:${name}:]`)}]`
    if (this.take(/\[/) !== undefined) return this.set(folds)
    const several = this.several(folds)
    if (several !== undefined) return several
    const from = this.character()
    const to = this.take(/-(?!\]|&&)/) === undefined ? from : this.character()
    if (from === to || !folds) return from === to ? cases(from, folds) : `${plain(from)}-${plain(to)}`
    const [first, size] = [codeOf(from), codeOf(to) - codeOf(from) + 1]
    if (size > MOST_FOLDED) this.fail(`a range of ${size} characters without regard to case`)
    return Array.from({ length: size }, (_, i) => cases(String.fromCodePoint(first + i), true)).join('')
  }

  /** One character, that a backslash may stand before. */
  private character(): string {
    const code = this.take(/\\(?:x\{[\dA-Fa-f]{1,6}\}|x[\dA-Fa-f]{1,2}|u[\dA-Fa-f]{4})/)
    if (code !== undefined) return String.fromCodePoint(parseInt(code[0].replace(/\W/g, '').slice(1), 16))
    const [whole, escaped] = this.take(/\\([^])|[^]/) ?? this.fail('an expression that ends too early')
    if (escaped === undefined || !/[A-Za-z\d]/.test(escaped)) return escaped ?? whole
    return CONTROLS[escaped] ?? this.fail(whole)
  }
}

function codeOf(character: string): number {
  return character.codePointAt(0) ?? 0
}

function plain(character: string): string {
  return /[A-Za-z\d]/.test(character) ? character : `\\u{${codeOf(character).toString(16)}}`
}

/** The character as a part of a set, with all that are the same without regard to case where it folds. A pair of letters is not the same as one, as in ß. */
function cases(character: string, folds: boolean): string {
  const all = folds ? cased().match(new RegExp(plain(character), 'giv')) : null
  return (all ?? [character]).map(plain).join('')
}

let allCased: string | undefined

/** Every letter that has another case. */
function cased(): string {
  allCased ??= Array.from({ length: LAST_CASED + 1 }, (_, code) => String.fromCodePoint(code)).filter((each) => /\p{CWCF}|\p{CWCM}/u.test(each)).join('')
  return allCased
}

function isKnown(property: string): boolean {
  try {
    return new RegExp(property, 'v').source !== ''
  } catch {
    return false
  }
}
