// Against AutoTokenizer: golden/make_tokenizer_config.py.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadTokenizer } from '../../../src/base/tokenizer/tokenizer.ts'
import { CheckpointError } from '../../../src/errors.ts'
import { goldenPath } from '../../golden.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

interface Case {
  readonly files: Readonly<Record<string, unknown>>
  readonly rows: readonly { readonly text: string; readonly ids: readonly number[]; readonly decoded: string; readonly plain: string }[]
  readonly padId: number | null
  readonly paddingSide: 'left' | 'right'
}

const temporary = temporaryFolder()
let made = 0

async function folderOf(files: Readonly<Record<string, unknown>>): Promise<string> {
  const folder = temporary(String(made++))
  await mkdir(folder)
  for (const [name, value] of Object.entries(files)) await writeFile(join(folder, name), JSON.stringify(value))
  return folder
}

const { bases, cases } = JSON.parse(await readFile(goldenPath('tokenizer/configured.json'), 'utf8')) as { bases: Record<string, object>; cases: readonly Case[] }
const bytes = JSON.parse(await readFile(goldenPath('tokenizer/bytes/tokenizer.json'), 'utf8')) as object
const settingsOf = ({ files }: Case): string => JSON.stringify(Object.fromEntries(Object.entries(files).map(([name, value]) => [name, name === 'tokenizer.json' && typeof value !== 'string' ? '…' : value])))

describe('tokenizer_config.json beside tokenizer.json', () => {
  it.each(cases.map((each, i) => [i, settingsOf(each), each] as const))('is obeyed as transformers does, case %i: %s', async (_, __, { files, rows, padId, paddingSide }) => {
    const base = files['tokenizer.json']
    const tokenizer = await loadTokenizer(await folderOf({ ...files, 'tokenizer.json': typeof base === 'string' ? { ...bytes, ...bases[base] } : base }))
    for (const { text, ids, decoded, plain } of rows) {
      const own = [...(tokenizer.encode([text]).ids[0] ?? [])]
      expect(own.map((id) => tokenizer.idToToken(id))).toEqual(ids.map((id) => tokenizer.idToToken(id)))
      expect(own).toEqual(ids)
      expect(tokenizer.decode(own, { skipSpecialTokens: false })).toBe(decoded)
      expect(tokenizer.decode(own)).toBe(plain)
    }
    expect(tokenizer.padId ?? null).toBe(padId)
    if (padId === null) return
    const [short] = tokenizer.encode(['a', 'a a a a a'], { padding: 'longest' }).ids
    expect(paddingSide === 'left' ? short?.[0] : short?.at(-1)).toBe(padId)
  })

  it('is refused with everything in it that is not done', async () => {
    const config = { split_special_tokens: true, do_lower_case: 'yes', padding_side: 'top', pad_token: 5 }
    const folder = await folderOf({ 'tokenizer.json': bytes, 'tokenizer_config.json': config })
    await expect(loadTokenizer(folder)).rejects.toThrow(new CheckpointError(`${join(folder, 'tokenizer_config.json')} cannot be used with the tokenizer.json beside it:`, [
      'do_lower_case: expected true, false or null, got "yes"',
      'padding_side: expected "left" or "right", got "top"',
      'pad_token: expected a text or an object with a content, got 5',
      'split_special_tokens: true is not supported, only false or null',
    ]))
  })

  it('is refused where a class that is not known contradicts tokenizer.json', async () => {
    const folder = await folderOf({ 'tokenizer.json': bytes, 'tokenizer_config.json': { tokenizer_class: 'OtherTokenizer', do_lower_case: true } })
    await expect(loadTokenizer(folder)).rejects.toThrow(new CheckpointError(`${join(folder, 'tokenizer_config.json')} cannot be used with the tokenizer.json beside it:`, [
      'do_lower_case: true contradicts tokenizer.json, and what OtherTokenizer does with it is not known here. Save the tokenizer anew with transformers 5, or take the field out',
    ]))
  })
})
