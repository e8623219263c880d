import { describe, expect, it } from 'vitest'
import { KINDS, trainTokenizer, type Kind } from '../../examples/poems/tokenizers.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()
const POEMS = ['床前明月光，疑是地上霜。举头望明月，低头思故乡。', '明月松间照，清泉石上流。', '海上生明月，天涯共此时。', '明月几时有，把酒问青天。']

describe.each(Object.keys(KINDS) as Kind[])('a vocabulary of %s', (kind) => {
  it('is a tokenizer for a masked language model', async () => {
    const tokenizer = await trainTokenizer(temporary(kind), kind, POEMS, kind === 'byte-level BPE' ? 280 : 120)
    const [ids = []] = tokenizer.encode(['明月光，']).ids.map((row) => [...row])
    expect([ids[0], ids.at(-1)].map((id) => tokenizer.idToToken(id as number))).toEqual(['[CLS]', '[SEP]'])
    expect(tokenizer.decode(ids).replaceAll(' ', '')).toBe('明月光，')
    expect(tokenizer.idToToken(tokenizer.maskId as number)).toBe('[MASK]')
    expect(tokenizer.specialIds).toContain(tokenizer.maskId)
  })
})

it('words of several characters are tokens of WordPiece and of byte-level BPE, and not of characters', async () => {
  const lengths = await Promise.all((Object.keys(KINDS) as Kind[]).map(async (kind) => {
    const tokenizer = await trainTokenizer(temporary(kind), kind, POEMS, kind === 'byte-level BPE' ? 280 : 120)
    return tokenizer.encode(['明月']).ids[0]?.length
  }))
  expect(lengths).toEqual([4, 3, 3]) // with [CLS] and [SEP]
})

it('a line with a character that WordPiece lacks is unknown as a whole, and nothing is unknown in bytes', async () => {
  const encoded = async (kind: Kind, size: number): Promise<string[]> => {
    const tokenizer = await trainTokenizer(temporary(kind), kind, POEMS, size)
    return Array.from(tokenizer.encode(['明月龘']).ids[0] ?? [], (id) => tokenizer.idToToken(id) ?? '')
  }
  expect(await encoded('WordPiece', 120)).toEqual(['[CLS]', '[UNK]', '[SEP]'])
  expect(await encoded('characters', 120)).toEqual(['[CLS]', '明', '月', '[UNK]', '[SEP]'])
  expect(await encoded('byte-level BPE', 280)).not.toContain('[UNK]')
})
