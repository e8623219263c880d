import { expect, it } from 'vitest'
import { loadBrown, loadTagged, PARTS_OF_SPEECH } from '../../examples/brown.ts'

it('the Brown corpus has 500 samples, whose sentences are those of the printed texts, and words of every part of speech', async () => {
  const [printed, tagged] = [await loadBrown(), await loadTagged()]
  expect(tagged.map(({ name, genre }) => `${name} ${genre}`)).toEqual(printed.map(({ name, genre }) => `${name} ${genre}`))
  expect(tagged.length).toBe(500)
  const [first] = tagged[0]?.sentences ?? []
  expect(first?.words.slice(0, 8)).toEqual(['The', 'Fulton', 'County', 'Grand', 'Jury', 'said', 'Friday', 'an'])
  expect(first?.tags.slice(0, 8)).toEqual(['determiner', 'noun', 'noun', 'adjective', 'noun', 'verb', 'noun', 'determiner'])
  const counts = new Map<string, number>()
  for (const { sentences } of tagged) for (const { words, tags } of sentences) {
    expect(words.length).toBe(tags.length)
    for (const tag of tags) counts.set(tag, (counts.get(tag) ?? 0) + 1)
  }
  expect([...counts.keys()].sort()).toEqual([...PARTS_OF_SPEECH].sort())
  expect((counts.get('other') ?? Infinity) / 1.16e6).toBeLessThan(0.002)
})
