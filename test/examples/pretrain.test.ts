import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { loadBrown, plainText } from '../../examples/brown.ts'
import { END_OF_TEXT, trainBpe } from '../../examples/pretrain/bpe.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
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

it('the script goes from nothing to an adapter, and says what it gained and cost', { timeout: 120_000 }, async () => {
  const script = fileURLToPath(new URL('../../examples/pretrain.ts', import.meta.url))
  const args = ['--import', 'tsx', script, '--steps', '3', '--one-in', '14', '--out', temporary('out')]
  const { stdout } = await promisify(execFile)('node', args)
  expect(stdout).toMatch(/gained {6}-?\d\.\d{4} on 'learned'\ncost {8}-?\d\.\d{4} on the other genres/)
  const untrained = Number(/untrained {3}held-out loss (\d\.\d+)/.exec(stdout)?.[1])
  const pretrained = Number(/pretrained {2}held-out loss (\d\.\d+)/.exec(stdout)?.[1])
  expect(pretrained).toBeLessThan(untrained - 0.1)
  const model = await loadModel(temporary('out', 'model'), { task: 'causal-lm' })
  expect(model.parts.config['architectures']).toEqual(['GPT2LMHeadModel'])
  model.dispose()
})
