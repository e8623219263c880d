import { edited } from './places.ts'
import type { Edit, Normalizer } from './places.ts'

export type NormalForm = 'NFC' | 'NFD' | 'NFKC' | 'NFKD'

/**
 * A Unicode normal form. Marks change their order and join letters, so that places come from what each character breaks
 * up into: like characters keep their order on the way.
 */
export function normalForm(form: NormalForm): Normalizer {
  const composes = form === 'NFC' || form === 'NFKC'
  return ({ text, places }) => {
    const now = text.normalize(form)
    if (places === undefined || now === text) return { text: now, places }
    const broken = new Map<string, { readonly changes: number[]; next: number }>()
    for (const character of text) {
      let change = 0
      for (const part of character.normalize(form.replace('C', 'D'))) {
        const like = broken.get(part)
        if (like === undefined) broken.set(part, { changes: [change], next: 0 })
        else like.changes.push(change)
        change = 1
      }
    }
    const changeOf = (part: string): number => {
      const like = broken.get(part)
      return like?.changes[like.next++] ?? 0
    }
    return edited({ text, places }, Array.from(now, (character): Edit => {
      const parts = composes ? Array.from(character.normalize('NFD')) : [character]
      return [character, parts.reduce((sum, part) => sum + changeOf(part), 1 - parts.length)]
    }))
  }
}

/** Each letter alone, unlike String.toLowerCase: a sigma at the end of a word stays σ. */
export function lowercase(text: string): string {
  return text.replaceAll('Σ', 'σ').toLowerCase()
}
