// Labels of words that say where an entity begins and ends: BIO, as CoNLL has it, and BIOES, also written BILOU or BMES.

/** What a label says of its word. */
export interface Tag {
  /** Begins an entity, goes on with it, ends it, or is one by itself; nothing where labels are types alone, and of what is none. */
  readonly place: 'B' | 'I' | 'E' | 'S' | undefined
  readonly type: string
}

const PLACES: Readonly<Record<string, Tag['place']>> = { B: 'B', I: 'I', M: 'I', E: 'E', L: 'E', S: 'S', U: 'S' }
/** Labels beside O: the letter stands before the type in them, or behind it as in PER-B. */
const SCHEMES = [
  /^(?<place>[BI])[-_](?<type>.+)$/si, /^(?<type>.+)[-_](?<place>[BI])$/si,
  /^(?<place>[BIES])[-_](?<type>.+)$/si, /^(?<place>[BILU])[-_](?<type>.+)$/si, /^(?<place>[BMES])[-_](?<type>.+)$/si,
]
/** Those before this one do not say where an entity ends. */
const FIRST_WITH_ENDS = 2
/** Of labels that are of none of them all together. */
const NO_SCHEME = /^(?<place>[BI])-(?<type>.+)$/s

/** Whether a label says that its word is nothing. */
export function isOutside(label: string): boolean {
  return label.toUpperCase() === 'O'
}

/** How labels are read. */
export interface Tags {
  /** Labels say where an entity ends. */
  readonly haveEnds: boolean
  readonly read: (label: string) => Tag
}

/** How the labels of a model are read: by the scheme that they have all together, since "E-mail" alone may be a type. */
export function tagsOf(labels: readonly string[]): Tags {
  const tags = labels.filter((label) => !isOutside(label))
  const scheme = SCHEMES.findIndex((pattern) => tags.every((tag) => pattern.test(tag)))
  const pattern = SCHEMES[scheme] ?? NO_SCHEME
  return {
    haveEnds: scheme >= FIRST_WITH_ENDS,
    read(label) {
      const { place = '', type = label } = pattern.exec(label)?.groups ?? {}
      return { place: PLACES[place.toUpperCase()], type }
    },
  }
}

/** The labels that are of no scheme that the most of them have. */
export function strangeTags(labels: readonly string[]): string[] {
  const strange = SCHEMES.map((pattern) => labels.filter((label) => !isOutside(label) && !pattern.test(label)))
  return strange.reduce((fewest, some) => (some.length < fewest.length ? some : fewest))
}

/** Whether a word goes on with the entity of the word before it. */
export function goesOn(before: Tag, { place, type }: Tag): boolean {
  return before.type === type && before.place !== 'E' && before.place !== 'S' && place !== 'B' && place !== 'S'
}
