// Labels of words that say where an entity begins and ends: BIO, as CoNLL has it, and BIOES, also written BILOU or BMES.

/** What a label says of its word. */
export interface Tag {
  /** Begins an entity, goes on with it, ends it, or is one by itself; nothing where labels are types alone, and of what is none. */
  readonly place: 'B' | 'I' | 'E' | 'S' | undefined
  readonly type: string
}

const PLACES: Readonly<Record<string, Tag['place']>> = { B: 'B', I: 'I', M: 'I', E: 'E', L: 'E', S: 'S', U: 'S' }
/** Labels beside O, and the letters that stand before a type in them. */
const SCHEMES = [/^([BI])-(.+)$/s, /^([BIES])-(.+)$/s, /^([BILU])-(.+)$/s, /^([BMES])-(.+)$/s]

/** How labels are read. */
export interface Tags {
  /** Labels say where an entity ends. */
  readonly haveEnds: boolean
  readonly read: (label: string) => Tag
}

/** How the labels of a model are read: by the scheme that they have all together, since "E-mail" alone may be a type. */
export function tagsOf(labels: readonly string[]): Tags {
  const tags = labels.filter((label) => label !== 'O')
  const scheme = SCHEMES.findIndex((pattern) => tags.every((tag) => pattern.test(tag)))
  const pattern = SCHEMES[Math.max(0, scheme)] as RegExp
  return {
    haveEnds: scheme > 0,
    read(label) {
      const [, place = '', type = label] = pattern.exec(label) ?? []
      return { place: PLACES[place], type }
    },
  }
}

/** The labels that are of no scheme that the most of them have. */
export function strangeTags(labels: readonly string[]): string[] {
  const strange = SCHEMES.map((pattern) => labels.filter((label) => label !== 'O' && !pattern.test(label)))
  return strange.reduce((fewest, some) => (some.length < fewest.length ? some : fewest))
}

/** Whether a word goes on with the entity of the word before it. */
export function goesOn(before: Tag, { place, type }: Tag): boolean {
  return before.type === type && before.place !== 'E' && before.place !== 'S' && place !== 'B' && place !== 'S'
}
