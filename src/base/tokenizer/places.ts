/** Begin and end in a text, in UTF-16 units. */
export type Span = readonly [begin: number, end: number]

/**
 * A text on its way to the model. Where places are asked for it knows where each of its UTF-16 units came from in the
 * text as given: unit i from `places[2 * i]` to `places[2 * i + 1]`. The units of a character all have the same place.
 */
export interface Placed {
  readonly text: string
  readonly places?: Int32Array | undefined
}

/** A step that changes texts. */
export type Normalizer = (text: Placed) => Placed

/** One step after the other. */
export function chain(steps: readonly Normalizer[]): Normalizer {
  return (text) => steps.reduce((done, step) => step(done), text)
}

/** A character of a changed text: 0 where it stands for the next one of the old text, -n where n more go with that, 1 where it is new. */
export type Edit = readonly [character: string, change: number]

/** A text as given, which begins at `from`. */
export function placed(text: string, from = 0): Placed {
  const places = new Int32Array(2 * text.length)
  let at = 0
  for (const character of text) {
    const end = at + character.length
    for (let unit = at; unit < end; unit++) {
      places[2 * unit] = from + at
      places[2 * unit + 1] = from + end
    }
    at = end
  }
  return { text, places }
}

export function sliced({ text, places }: Placed, begin: number, end: number): Placed {
  return { text: text.slice(begin, end), places: places?.subarray(2 * begin, 2 * end) }
}

/** Where a stretch of the text came from: from the begin of its first unit's place to the end of its last one's. */
export function originOf({ places }: Placed, begin: number, end: number): Span {
  return begin < end ? [places?.[2 * begin] ?? 0, places?.[2 * end - 1] ?? 0] : [0, 0]
}

/** A change that takes each character alone, as a function of whole texts: what a character becomes is where that was. */
export function perCharacter(change: (text: string) => string): Normalizer {
  const known = new Map<string, string>()
  const changed = (character: string): string => {
    let now = known.get(character)
    if (now === undefined) known.set(character, now = change(character))
    return now
  }
  return ({ text, places }) => {
    if (places === undefined) return { text: change(text) }
    const now = writer(places)
    let at = 0
    for (const character of text) {
      now.write(changed(character), at)
      at += character.length
    }
    return now.done()
  }
}

/** What stands before a text is where its first character is. */
export function prefixed({ text, places }: Placed, prefix: string): Placed {
  if (places === undefined || text === '') return { text: prefix + text, places }
  const now = writer(places)
  now.write(prefix, 0)
  now.copy(text, 0)
  return now.done()
}

/** `content` in the place of each span; it is where the last character was that it replaces. */
export function replaced({ text, places }: Placed & { readonly places: Int32Array }, spans: Iterable<Span>, content: string): Placed {
  const now = writer(places)
  let done = 0
  for (const [begin, end] of spans) {
    now.copy(text.slice(done, begin), done)
    now.write(content, end - 1)
    done = end
  }
  now.copy(text.slice(done), done)
  return now.done()
}

/** The text that edits make; a new character is where the one before it was. */
export function edited({ text, places }: Placed & { readonly places: Int32Array }, edits: Iterable<Edit>): Placed {
  const now = writer(places)
  let at = 0
  for (const [character, change] of edits) {
    now.write(character, change > 0 ? at - 1 : at)
    for (let taken = change > 0 ? 0 : 1 - change; taken > 0; taken--) at += (text.codePointAt(at) ?? 0) > 0xFFFF ? 2 : 1
  }
  return now.done()
}

/** Writes a text whose units have places of another one's. */
function writer(places: Int32Array): { write: (text: string, at: number) => void; copy: (text: string, from: number) => void; done: () => Placed } {
  let out = ''
  const own: number[] = []
  const place = (unit: number): void => void own.push(places[2 * unit] ?? 0, places[2 * unit + 1] ?? 0)
  return {
    write(text, at) {
      out += text
      for (let i = 0; i < text.length; i++) place(at)
    },
    copy(text, from) {
      out += text
      for (let i = 0; i < text.length; i++) place(from + i)
    },
    done: () => ({ text: out, places: Int32Array.from(own) }),
  }
}
