// Against transformers' apply_chat_template: golden/make_generation.py.

import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { chatTemplate, type ChatMessage } from '../../../src/base/tokenizer/chat.ts'
import { loadTokenizer } from '../../../src/base/tokenizer/tokenizer.ts'
import { CheckpointError, InputError } from '../../../src/errors.ts'
import { goldenPath } from '../../golden.ts'

interface Case {
  readonly template: string
  readonly messages: readonly ChatMessage[]
  readonly tools?: readonly object[]
  readonly prompt?: boolean
  readonly variables?: Readonly<Record<string, unknown>>
  readonly text: string | null
  readonly refusal: string | null
}

const { chats } = JSON.parse(await readFile(goldenPath('generation/golden.json'), 'utf8')) as {
  chats: { special: Record<string, string>; cases: readonly Case[] }
}
const templates = new Map<string, string>()
for (const { template } of chats.cases) templates.set(template, await readFile(goldenPath(`generation/templates/${template}.jinja`), 'utf8'))

const hello: readonly ChatMessage[] = [{ role: 'user', content: 'Hello' }]
const folders: string[] = []

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true })
})

/** A tokenizer with these settings and files of its own. */
async function tokenizerWith(config: object, files: Readonly<Record<string, string>> = {}): Promise<Awaited<ReturnType<typeof loadTokenizer>>> {
  const folder = await mkdtemp(join(tmpdir(), 'chat-'))
  folders.push(folder)
  await cp(goldenPath('tokenizer/bytes'), folder, { recursive: true })
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify(config))
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), text)
  }
  return loadTokenizer(folder)
}

describe.each([...templates.keys()])('a template in the style of %s', (name) => {
  it.each(chats.cases.filter(({ template }) => template === name).map((each, i) => [i, each] as const))('writes conversation %i as transformers does', (_, each) => {
    const { messages, tools, prompt, variables, text, refusal } = each
    const apply = chatTemplate({ ...chats.special, chat_template: templates.get(name) })
    const write = (): string =>
      apply(messages, { addGenerationPrompt: prompt === true, ...(tools === undefined ? {} : { tools }), ...(variables === undefined ? {} : { variables }) })
    if (text !== null) expect(write()).toBe(text)
    else {
      expect(write).toThrow(InputError)
      if (name === 'mistral') expect(write).toThrow(`The chat template cannot be applied to these messages: ${refusal ?? ''}`)
    }
  })
})

describe('a tokenizer', () => {
  it('takes its template from the configuration, or from chat_template.jinja before that', async () => {
    const config = { bos_token: { content: '<s>' }, chat_template: '{{ bos_token }}{{ messages[0].content }}' }
    const tokenizer = await tokenizerWith(config)
    const text = tokenizer.applyChatTemplate(hello)
    expect(text).toBe('<s>Hello')
    const ids = (specialTokens: boolean): number[] => [...(tokenizer.encode([text], { specialTokens }).ids[0] ?? [])]
    expect(ids(false)).toEqual([0, ...(tokenizer.encode(['Hello'], { specialTokens: false }).ids[0] ?? [])])
    expect(ids(true)).toEqual([0, ...ids(false), 2]) // this tokenizer puts <s> and </s> around texts
    const other = await tokenizerWith(config, { 'chat_template.jinja': 'from the file: {{ messages[0].content }}' })
    expect(other.applyChatTemplate(hello)).toBe('from the file: Hello')
  })

  it('chooses among templates with names', async () => {
    const list = [{ name: 'default', template: 'plain' }, { name: 'tool_use', template: '{{ tools | length }} tools' }, { name: 'rag', template: '{{ documents[0] }}' }]
    const tokenizer = await tokenizerWith({ chat_template: list })
    expect(tokenizer.applyChatTemplate(hello)).toBe('plain')
    expect(tokenizer.applyChatTemplate(hello, { tools: [{}, {}] })).toBe('2 tools')
    expect(tokenizer.applyChatTemplate(hello, { template: 'rag', variables: { documents: ['a'] } })).toBe('a')
    expect(() => tokenizer.applyChatTemplate(hello, { template: 'none' })).toThrow("has no chat template 'none'; it has default, tool_use, rag")
  })

  it('takes templates with names from additional_chat_templates, the one for tools where there are tools', async () => {
    const files = { 'chat_template.jinja': 'plain', 'additional_chat_templates/tool_use.jinja': '{{ tools | length }} tools', 'additional_chat_templates/rag.jinja': 'rag' }
    const tokenizer = await tokenizerWith({ chat_template: 'of the configuration' }, files)
    expect(tokenizer.applyChatTemplate(hello)).toBe('plain')
    expect(tokenizer.applyChatTemplate(hello, { tools: [{}, {}] })).toBe('2 tools')
    expect(tokenizer.applyChatTemplate(hello, { template: 'rag' })).toBe('rag')
    expect(() => tokenizer.applyChatTemplate(hello, { template: 'none' })).toThrow("has no chat template 'none'; it has default, rag, tool_use")
  })

  it('gives up a template that goes on', async () => {
    const tokenizer = await tokenizerWith({ chat_template: '{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}' })
    expect(() => tokenizer.applyChatTemplate(hello)).toThrow(new InputError('The chat template cannot be applied to these messages: it takes more than 20,000,000 steps and is given up'))
  })

  it('says that it has none, or what is wrong with it or the messages', async () => {
    const none = await tokenizerWith({})
    expect(() => none.applyChatTemplate(hello)).toThrow(/no chat template: no chat_template in tokenizer_config.json and no chat_template.jinja/)
    const apply = chatTemplate({ chat_template: '{{ messages | length }}' })
    expect(() => apply([])).toThrow('expected at least one message')
    expect(() => apply([{ role: 'user' }, { content: 'x' } as unknown as ChatMessage])).toThrow('message 1: expected an object with a role, got {"content":"x"}')
    const broken = await tokenizerWith({ chat_template: '{% for message in messages %}{{ message.content }' }) // encodes all the same
    expect(broken.encode(['a']).ids).toHaveLength(1)
    expect(() => broken.applyChatTemplate(hello)).toThrow(CheckpointError)
    expect(() => broken.applyChatTemplate(hello)).toThrow(/The chat template of the tokenizer cannot be read: /)
  })

  it.each([
    '{{ messages.constructor.constructor("return process")() }}',
    '{{ "".constructor.constructor("return process")() }}',
    '{{ raise_exception.constructor("return process")() }}',
    '{{ messages[0]["content"].no_such_method() }}',
    '{% include "/etc/passwd" %}',
  ])('does not let %s out of the template', (text) => {
    const apply = chatTemplate({ chat_template: text })
    expect(() => apply(hello)).toThrow(/^The chat template (cannot be applied to these messages|of the tokenizer cannot be read): /)
  })

  it('has nothing of JavaScript in its values', () => {
    const apply = chatTemplate({ chat_template: '{{ messages.__proto__ }}{{ messages.constructor }}{{ messages[0].hasOwnProperty }}{{ process }}' })
    expect(apply(hello)).toBe('')
  })
})
