// Conversations from a file: the tokens that a chat template writes, and the answers alone as what is learned.

import { checkRoles } from '../../src/base/tokenizer/chat.ts'
import { mkdir, writeFile } from 'node:fs/promises'
import {
  attach, chat, createModel, jsonLines, loadTokenizer, lora, perplexity, readExamples, streamBatches, Trainer, type Tokenizer,
} from 'tfjs-peft'
import { datasetOf, InputError, type ReadOptions, type Row } from 'tfjs-peft/advanced'
import { beforeAll, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()
const WORDS = ['<unk>', '<end>', '<user>', '<assistant>', 'where', 'is', 'Rome', 'Oslo', '?', 'in', 'Italy', 'Norway', 'thanks', 'matey', '(', ')']
const TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"

async function tokenizerIn(name: string, template: string): Promise<string> {
  const folder = temporary(name)
  await mkdir(folder)
  const special = (id: number): object => ({ id, content: WORDS[id], special: true, single_word: false, lstrip: false, rstrip: false, normalized: false })
  await writeFile(`${folder}/tokenizer.json`, JSON.stringify({
    added_tokens: [1, 2, 3].map(special), normalizer: null, pre_tokenizer: { type: 'Whitespace' }, post_processor: null, decoder: null,
    model: { type: 'WordLevel', vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])), unk_token: '<unk>' },
  }))
  await writeFile(`${folder}/tokenizer_config.json`, JSON.stringify({ chat_template: template }))
  return folder
}

let folder: string
let tokenizer: Tokenizer
beforeAll(async () => {
  folder = await tokenizerIn('plain', TEMPLATE)
  tokenizer = await loadTokenizer(folder)
})

const user = (content: unknown): Row => ({ role: 'user', content })
const assistant = (content: unknown): Row => ({ role: 'assistant', content })
const rome = [user('where is Rome ?'), assistant('in Italy matey')]
const thanked = [...rome, user('thanks'), assistant('matey')]
const read = async (rows: readonly Row[], options: Partial<ReadOptions<Row>> = {}): ReturnType<typeof readExamples> =>
  await readExamples(datasetOf(rows), { tokenizer, messages: 'messages', ...options })
const learned = (labels: readonly ArrayLike<unknown>[] = []): string[] => labels.map((row) => Array.from(row, (label) => WORDS[label as number] ?? '_').join(' '))

describe('the answers of a conversation', () => {
  it('are what is learned, each to its end, and nothing else', async () => {
    const { examples, labels } = await read([{ messages: rome }, { messages: thanked }])
    expect(learned(examples.ids)).toEqual(['<user> where is Rome ? <end> <assistant> in Italy matey <end>',
      '<user> where is Rome ? <end> <assistant> in Italy matey <end> <user> thanks <end> <assistant> matey <end>'])
    expect(learned(examples.tokenLabels)).toEqual(['_ _ _ _ _ _ _ in Italy matey <end>', '_ _ _ _ _ _ _ in Italy matey <end> _ _ _ _ matey <end>'])
    expect(labels).toEqual([])
  })

  it('come in the same batches where they are streamed', async () => {
    const path = temporary('chat.jsonl')
    await writeFile(path, [{ messages: rome }, { messages: thanked }].map((row) => JSON.stringify(row)).join('\n'))
    const { examples } = await readExamples(jsonLines(path), { tokenizer, messages: 'messages' })
    const batches = await streamBatches(jsonLines(path), { tokenizer: folder, messages: 'messages', batchSize: 1, window: 1 })
    const rows = []
    for await (const { ids, labels } of batches.epoch(0)) rows.push([ids, labels])
    expect(rows.map(([ids, labels]) => [learned([ids as Int32Array]), learned([labels as Int32Array])])).toEqual(
      [0, 1].map((i) => [learned(examples.ids?.slice(i, i + 1)), learned(examples.tokenLabels?.slice(i, i + 1))]))
  })

  it('that a template rewrites once another follows are read, and the last one is learned', async () => {
    const rewriting = await tokenizerIn('rewriting', TEMPLATE.replace('{{ m.content }}', "{{ m.content.split(' ')[-1] if m.role == 'assistant' and not loop.last else m.content }}"))
    const { examples } = await read([{ messages: thanked }], { tokenizer: rewriting })
    expect(learned(examples.tokenLabels)).toEqual(['_ _ _ _ _ _ _ _ _ _ _ _ _ matey <end>'])
  })

  it('are learned by a model, which then answers so', { timeout: 60_000 }, async () => {
    const oslo = [user('where is Oslo ?'), assistant('in Norway matey')]
    const { examples } = await read([{ messages: rome }, { messages: oslo }])
    const config = { model_type: 'llama', vocab_size: WORDS.length, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 64, eos_token_id: 1 }
    const model = await createModel(config, { task: 'causal-lm' })
    attach(model, lora({ rank: 8, alpha: 16, targets: 'all-linear' }), { train: ['embed_tokens', 'lm_head'] })
    await new Trainer({ model, train: examples, learningRate: 1e-2, maxSteps: 60 }).fit()
    expect(await perplexity(model, examples)).toBeLessThan(1.1)
    expect((await chat(model, tokenizer, [{ role: 'user', content: 'where is Oslo ?' }], { maxNewTokens: 8 })).trim()).toBe('in Norway matey')
    model.dispose()
  })
})

describe('what is none', () => {
  const refused = (bad: string, ...problems: string[]): InputError => new InputError(`readExamples: ${bad} rows cannot be used:`, problems)

  it('is missing where there is no answer to learn, or a message has no content', async () => {
    const rows = [null, [], [user('where')], [assistant('in Italy')], [user('where'), assistant(null)], [user(null), assistant('in')], [user('where'), assistant(' ')]].map((messages) => ({ messages }))
    await expect(read([{ messages: rome }, ...rows])).rejects.toThrow(new InputError(
      "readExamples: 7 of 8 rows cannot be used. Mend them, or leave out those that lack something with missing: 'drop':",
      ['messages with an answer: none in row 1, row 2, row 3, row 4, row 5 and 2 more']))
    const { examples, dropped } = await read([{ messages: rome }, ...rows], { missing: 'drop' })
    expect([examples.ids?.length, dropped]).toEqual([1, 7])
  })

  it('has questions under another role than user', async () => {
    const asked = (role: string): Row => ({ messages: [{ role, content: 'where' }, assistant('in Italy')] })
    await expect(read([asked('human'), asked('User'), { messages: [{ role: 'System', content: 'a' }, ...rome] }])).rejects.toThrow(refused('3 of 3',
      'messages: expected the role \'user\', as chat templates know it; got the role "human" in row 0, the role "User" in row 1', 'messages: expected the role \'system\', as chat templates know it; got the role "System" in row 2'))
    expect(() => { checkRoles([{ role: 'human', content: 'where' }]) }).toThrow('Chat templates know other roles:\n  - message 0: expected the role \'user\', got "human"')
  })

  it('has answers under another role than assistant, or parts that the template would print as a list', async () => {
    const answered = (role: string): Row => ({ messages: [user('where'), { role, content: 'in Italy' }] })
    await expect(read([answered('bot'), answered('Assistant'), { messages: [...rome, { role: 'gpt', content: 'in Italy' }] }])).rejects.toThrow(refused('3 of 3',
      'messages: expected answers to have the role \'assistant\', as others are read and not learned; got the role "bot" in row 0, the role "Assistant" in row 1, the role "gpt" in row 2'))
    const parts = [{ role: 'user', content: [{ type: 'text', text: 'where' }] }, assistant('in Italy')]
    await expect(read([{ messages: parts }])).rejects.toThrow(new InputError('readExamples: rows cannot be used:', [
      "row 0: the chat template takes texts alone and would write the list as it is printed: give content as a text, parts.map(({ text }) => text).join(''); " +
        'got {"role":"user","content":[{"type":"text","text":"where"}]}']))
  })

  it('is refused with its place, and how other names become these', async () => {
    const from = [{ from: 'human', value: 'where' }, { from: 'gpt', value: 'in' }]
    await expect(read([{ messages: rome }, { messages: from }, { messages: 'where' }, { messages: [user(5), assistant('in')] }])).rejects.toThrow(refused('3 of 4',
      'messages: expected messages of { role, content }, as a function of the row makes them: messages: (row) => row.conversations.map(({ from, value }) => ' +
        "({ role: from === 'gpt' ? 'assistant' : 'user', content: value })); got {\"from\":\"human\",\"value\":\"where\"} in row 1",
      'messages: expected a list of messages, { role, content }, got "where" in row 2',
      'messages: expected messages of { role, content }, as a function of the row makes them; got {"role":"user","content":5} in row 3'))
    const { examples } = await read([{ conversations: from }], {
      messages: (row: Row) => (row['conversations'] as typeof from).map(({ from: who, value }) => ({ role: who === 'gpt' ? 'assistant' : 'user', content: value })),
    })
    expect(learned(examples.tokenLabels)).toEqual(['_ _ _ _ in <end>'])
  })

  it('is refused by the template with the place of the row', async () => {
    const strict = await tokenizerIn('strict', `{% if messages[0].role != 'user' %}{{ raise_exception('begin with a question') }}{% endif %}${TEMPLATE}`)
    await expect(read([{ messages: rome }, { messages: [{ role: 'system', content: 'in' }, ...rome] }], { tokenizer: strict })).rejects.toThrow(new InputError(
      'readExamples: rows cannot be used:', ['row 1: The chat template cannot be applied to these messages: begin with a question']))
    const other = await tokenizerIn('other', TEMPLATE.replace('<assistant>{% endif', 'in <assistant>{% endif'))
    await expect(read([{ messages: rome }], { tokenizer: other })).rejects.toThrow(new InputError('readExamples: rows cannot be used:',
      ['row 0: the chat template writes a conversation otherwise than what is asked before its answer: where the answer begins cannot be told']))
  })

  it('counts nothing where maxLength cuts the answers off, and is told', async () => {
    const { warnings } = await read([{ messages: rome }, { messages: [user('where is Rome ? where is Oslo ?'), assistant('in Italy')] }], { maxLength: 9 })
    expect(warnings).toEqual(['2 of 2 texts are longer than maxLength 9: their rest is cut off', '1 of 2 answers do not count: maxLength cuts them off'])
  })

  it('is an option beside others', async () => {
    await expect(read([{ messages: rome }], { text: 'text', label: 'label' })).rejects.toThrow(new InputError('readExamples: the options cannot be used:',
      ['text, words, messages, image: expected one of them', 'label: expected none beside messages, whose answers are what is learned']))
  })
})

it('a function of the row that fails says which row it was', async () => {
  await expect(readExamples(datasetOf([{ text: 'a' }, { text: null }]), { tokenizer, text: ({ text }) => (text as string).trim() })).rejects.toThrow(new InputError(
    'The function of a row fails at row 1: Cannot read properties of null (reading \'trim\')'))
})
