// Long texts in one piece: what would take the square of their length does not end in the time of a test.

import { expect, it } from 'vitest'
import { readFileSync } from 'node:fs'
import { precompiled } from '../../../src/base/tokenizer/charsmap.ts'
import { goldenPath } from '../../golden.ts'

it("SentencePiece's clean-up cuts 600,000 characters in Russian and Japanese as it does each line of them", () => {
  const table = /"precompiled_charsmap": ?"([^"]{100,})"/.exec(readFileSync(goldenPath('tokenizer/steps.json'), 'utf8'))?.[1]
  expect(table).toBeDefined()
  const normalize = precompiled(table)
  const line = 'Привет, мир ｶﾞｷﾞ e\u0301\u0323 नमस्ते \r\n日本語のテキスト👨‍👩‍👧 '
  const times = Math.ceil(600_000 / line.length)
  expect(normalize({ text: line.repeat(times) }).text === normalize({ text: line }).text.repeat(times)).toBe(true)
})
