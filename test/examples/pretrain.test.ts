import { writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { loadBrown, plainText } from '../../examples/brown.ts'
import { END_OF_TEXT, trainBpe } from '../../examples/pretrain/bpe.ts'
import { loadTokenizer } from '../../src/base/tokenizer/tokenizer.ts'
import { InputError } from '../../src/errors.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()

describe('the Brown corpus', () => {
  it('has 500 samples in 15 genres, without tags', async () => {
    const samples = await loadBrown()
    expect(samples).toHaveLength(500)
    expect(new Set(samples.map(({ genre }) => genre)).size).toBe(15)
    expect(samples.filter(({ text }) => /\/(nn|at|vbd)\b|``|''| [.,;]/.test(text)).map(({ name }) => name)).toEqual([])
    expect(samples[0]?.text).toMatch(/^The Fulton County Grand Jury said Friday an investigation of Atlanta's recent primary election produced "no evidence" that/)
  })

  it('is put together as it is printed', () => {
    expect(plainText("\n\n\tHe/pps said/vbd :/: ``/`` Come/vb (/( now/rb )/) ''/'' ,/, and/or/cc 1/2/cd ?/. ?/.\n\n\n\tYes/rb ./.\n"))
      .toBe('He said: "Come (now)", and/or 1/2?\nYes.')
  })
})

describe('the BPE trainer', () => {
  it('joins the most frequent pairs first, and of equal ones the first in the alphabet', () => {
    const { model } = trainBpe(['low low low lower lowest'], 262) as { model: { merges: string[][] } }
    expect(model.merges).toEqual([['l', 'o'], ['lo', 'w'], ['Ġ', 'low'], ['Ġlow', 'e']])
  })

  it('makes a tokenizer that gives every text back, also one of bytes it never saw', async () => {
    await writeFile(temporary('tokenizer.json'), JSON.stringify(trainBpe(['the cat sat on the mat, the hat'], 270)))
    const tokenizer = await loadTokenizer(temporary())
    const texts = ['the cat', ' żółć 東京 🙂\n\ttabs', "don't  stop"]
    for (const [i, ids] of tokenizer.encode(texts).ids.entries()) expect(tokenizer.decode(ids)).toBe(texts[i])
    expect(tokenizer.encode(['the the']).ids[0]).toHaveLength(2) // the, Ġthe
    expect(tokenizer.tokenToId(END_OF_TEXT)).toBe(0)
    expect(tokenizer.specialIds).toEqual([0])
  })

  it('refuses a vocabulary without room for the bytes', () => {
    expect(() => trainBpe(['a'], 256)).toThrow(InputError)
  })
})
