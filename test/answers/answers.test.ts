import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { answer } from '../../src/answers/answer.ts'
import { chat } from '../../src/answers/chat.ts'
import { classify, regress } from '../../src/answers/classify.ts'
import { extractEntities } from '../../src/answers/extract-entities.ts'
import { similar } from '../../src/answers/similar.ts'
import { attach } from '../../src/base/adapter/attach.ts'
import { adapterNamed } from '../../src/base/adapter/named.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import { createModel } from '../../src/base/checkpoint/create.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { LoadOptions } from '../../src/base/checkpoint/load.ts'
import { alignLabels } from '../../src/base/tokenizer/align-labels.ts'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { generateText } from '../../src/base/generate/text.ts'
import type { Model } from '../../src/base/model.ts'
import { loadTokenizer } from '../../src/base/tokenizer/tokenizer.ts'
import type { Tokenizer } from '../../src/base/tokenizer/tokenizer.ts'
import { InputError } from '../../src/errors.ts'
import { embed } from '../../src/training/embed.ts'
import { predict } from '../../src/training/predict.ts'
import { predictTokens } from '../../src/training/predict-tokens.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { lora } from '../../src/lora/lora.ts'
import { prompt } from '../../src/prompt/prompt.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { goldenPath } from '../golden.ts'
import { attachTrained, closeModel } from '../manage/models.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()
const texts = ['Ada lived in London.', 'The minutes of the meeting were read', 'nobody objected', 'Zürich']
let tokenizer: Tokenizer
let tensors: number
const models: Model[] = []
beforeAll(async () => {
  await loadEngine()
  tensors = tf.memory().numTensors
  tokenizer = await loadTokenizer(goldenPath('answers/pieces'))
})
afterEach(() => {
  for (const model of models.splice(0)) closeModel(model)
})
afterAll(() => {
  expect(tf.memory().numTensors).toBe(tensors)
})

async function load(options: LoadOptions, path = 'answers/tagger'): Promise<Model> {
  const model = await loadModel(goldenPath(path), options)
  models.push(model)
  return model
}

const classifier = (options: Partial<LoadOptions> = {}): Promise<Model> => load({ task: 'sequence-classification', labels: ['ham', 'spam', 'news'], newHead: true, ...options })

describe('classify', () => {
  it('tells the label of each text that a training has taught, with the probability of every label', async () => {
    const source = 'sentence-transformers/all-MiniLM-L6-v2'
    const reader = await loadTokenizer(source, { offline: true })
    const model = await loadModel(source, { task: 'sequence-classification', labels: ['ham', 'spam'], offline: true })
    models.push(model)
    const mails = ['You have won a prize, claim it now!', 'Minutes of the meeting on Monday', 'Win money today', 'Can we move our call to Friday?']
    const labels = ['spam', 'ham', 'spam', 'ham']
    const before = await classify(model, reader, mails)

    attach(model, lora({ rank: 8 }), { name: 'mails' })
    const train = { ids: reader.encode(mails).ids, labels: labels.map((label) => model.labels.indexOf(label)) }
    await new Trainer({ model, train, batchSize: 4, learningRate: 5e-3, maxSteps: 15 }).fit()

    const found = await classify(model, reader, mails, { batchSize: 3 })
    expect(found.map(({ label }) => label)).toEqual(labels)
    for (const { label, probability, labels: holding, probabilities } of found) {
      expect(probability).toBeGreaterThan(0.5)
      expect([holding, probabilities[label]]).toEqual([[label], probability])
      expect((probabilities['ham'] ?? NaN) + (probabilities['spam'] ?? NaN)).toBeCloseTo(1, 6)
    }
    expect(await classify(model, reader, mails, { adapter: [] })).toEqual(before)
  })

  it('reads of a long text, or of a pair, what the model has positions for', async () => {
    const model = await classifier()
    const long = 'nobody objected. '.repeat(400)
    const [found, pair] = await classify(model, tokenizer, [long, [long, 'Zürich']])
    const [cut] = tokenizer.encode([long], { maxLength: 160 }).ids
    const { logits } = await predict(model, { ids: [cut ?? []] })
    expect(found?.label).toBe(model.labels[logits.indexOf(Math.max(...logits))])
    expect(Object.keys(pair?.probabilities ?? {})).toEqual(['ham', 'spam', 'news'])
    const shorter = await classify(model, tokenizer, [long], { maxLength: 8 })
    expect(shorter).not.toEqual([found])
    attach(model, prompt({ virtualTokens: 10 })) // they take positions of the text
    await expect(classify(model, tokenizer, [long])).resolves.toHaveLength(1)
  })

  it('gives the labels that hold, where a text may have several', async () => {
    const model = await classifier({ problemType: 'multi_label_classification' })
    const found = await classify(model, tokenizer, texts)
    const { logits, labels } = await predict(model, { ids: tokenizer.encode(texts).ids })
    expect(found.map((each) => [...each.labels].sort())).toEqual(labels?.map((row) => row.map((label) => model.labels[label]).sort()))
    for (const [i, { label, probability, probabilities }] of found.entries()) {
      expect(probabilities['spam']).toBeCloseTo(1 / (1 + Math.exp(-(logits[3 * i + 1] ?? NaN))), 6)
      expect(probability).toBe(Math.max(...Object.values(probabilities)))
      expect(probabilities[label]).toBe(probability)
    }
  })

  it('answers with the classes of the adapter that takes part, as that is meant', async () => {
    const model = await classifier()
    attach(model, lora(), { name: 'topics', labels: ['music', 'sport'], problemType: 'multi_label_classification', enabled: false })
    attach(model, lora(), { name: 'rating', labels: ['stars'], problemType: 'regression', enabled: false })
    const [[topics], [plain], [rating]] = await Promise.all([
      classify(model, tokenizer, ['Zürich'], { adapter: 'topics' }), classify(model, tokenizer, ['Zürich']), regress(model, tokenizer, ['Zürich'], { adapter: 'rating' }),
    ])
    expect([topics, plain].map((each) => Object.keys(each?.probabilities ?? {}))).toEqual([['music', 'sport'], ['ham', 'spam', 'news']])
    const { logits } = await predict(model, { ids: tokenizer.encode(['Zürich']).ids }, { adapter: 'topics' })
    expect(topics?.probabilities['sport']).toBeCloseTo(1 / (1 + Math.exp(-(logits[1] ?? NaN))), 6)
    expect(Object.keys(rating ?? {})).toEqual(['stars'])
  })

  it('leaves numbers to regress, which gives them by name', async () => {
    const model = await classifier({ labels: ['stars', 'length'], problemType: 'regression' })
    const { logits } = await predict(model, { ids: tokenizer.encode(texts).ids })
    expect(await regress(model, tokenizer, texts)).toEqual(texts.map((_, i) => ({ stars: logits[2 * i], length: logits[2 * i + 1] })))
    await expect(classify(model, tokenizer, texts)).rejects.toThrow('classify: expected a model with classes, got one of a regression; use regress.')
    await expect(regress(await classifier(), tokenizer, texts)).rejects.toThrow('regress: expected a model of a regression, got one with classes; use classify.')
  })

  it('says once that a head which nobody trained answers, and which adapters there are', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    try {
      const model = await classifier({ seed: 3 })
      const adapter = attach(model, lora(), { name: 'mails', enabled: false })
      for (const options of [{}, { adapter: [] }]) await classify(model, tokenizer, texts, options)
      const random = 'classifier.weight, classifier.bias: these are random, and so is what they answer.'
      expect(warn.mock.calls).toEqual([[`classify: the checkpoint has no bert.pooler.dense.weight, bert.pooler.dense.bias, ${random} Name an adapter that was trained: { adapter: … }, of 'mails'.`]])
      const merged = merge(model, adapter)
      models.push(merged)
      await classify(merged, tokenizer, texts)
      await extractEntities(await load({ task: 'token-classification' }), tokenizer, texts)
      expect(warn).toHaveBeenCalledTimes(1)
      await extractEntities(await load({ task: 'token-classification', labels: ['O', 'B-PER'], newHead: true }), tokenizer, texts)
      expect(warn.mock.calls[1]).toEqual([`extractEntities: the checkpoint has no ${random} Load an adapter that was trained: loadAdapter(model, folder).`])
    } finally {
      warn.mockRestore()
    }
  })

  it('says once that nobody has trained the head of an adapter which answers', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    try {
      const model = await classifier({ seed: 4 })
      for (const name of ['first', 'second']) attach(model, lora(), { name, enabled: false, ...(name === 'second' ? { labels: ['a', 'b'] } : {}) })
      for (const adapter of ['first', 'first', 'second']) await classify(model, tokenizer, texts, { adapter })
      const random = (name: string): string[] => [`classify: nobody has trained the head of '${name}': it is random, and so is what it answers. Train it (await trainer.fit()), or load one that was: loadAdapter(model, folder).`]
      expect(warn.mock.calls).toEqual([random('first'), random('second')])
      await adapterNamed(model, 'second').save(temporary('untrained'))
      expect(warn.mock.calls[2]).toEqual(["save of 'second': nothing of it was trained. Write `await trainer.fit()` before, or go through `for await (const event of trainer.run())`."])
      const third = attach(model, lora(), { name: 'third' })
      await new Trainer({ model, train: { ids: tokenizer.encode(texts).ids, labels: [0, 1, 2, 0] }, maxSteps: 1 }).fit()
      await classify(model, tokenizer, texts)
      await third.save(temporary('trained'))
      await loadAdapter(model, temporary('trained'), { name: 'fourth', enabled: false })
      await classify(model, tokenizer, texts, { adapter: 'fourth' })
      expect(warn).toHaveBeenCalledTimes(3)
    } finally {
      warn.mockRestore()
    }
  })

  it('says once that texts are cut, unless where they are cut was asked for', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    try {
      const model = await load({ task: 'token-classification' })
      const long = texts.join(' ').repeat(30)
      const words = await classifier({ newHead: true })
      attachTrained(words, 'mails', lora(), {})
      await classify(words, tokenizer, ['Ada'])
      warn.mockClear() // of its head
      const positions = words.limits?.maxLength ?? NaN
      await classify(words, tokenizer, [long, 'Ada'], { maxLength: 8 })
      for (const asked of [[long, 'Ada'], [long]]) await classify(words, tokenizer, asked)
      await extractEntities(model, tokenizer, [long]) // in windows
      expect(warn.mock.calls).toEqual([[`classify: 1 of 2 texts are longer than the ${positions} tokens that the model reads: their rest is not seen. Where that is right, say so: { maxLength: ${positions} }.`]])
    } finally {
      warn.mockRestore()
    }
  })

  it('says what is no text, and which function answers for a model', async () => {
    const model = await classifier()
    await expect(classify(model, tokenizer, 'one text' as never)).rejects.toThrow('classify: expected a list of texts, got "one text". One text is a list too: [text]')
    await expect(classify(model, tokenizer, ['a', 5, ['a']] as never)).rejects.toThrow(new InputError('classify: the texts cannot be answered:', [
      'text 1: expected a text or a pair of texts, got 5', 'text 2: expected a text or a pair of texts, got ["a"]',
    ]))
    expect(await classify(model, tokenizer, [])).toEqual([])
    await expect(classify(model, tokenizer, Array(400).fill(null))).rejects.toThrow(new InputError('classify: the texts cannot be answered:', [
      ...Array.from({ length: 10 }, (_, i) => `text ${i}: expected a text or a pair of texts, got null`), 'and 390 more texts',
    ]))
    await expect(extractEntities(model, tokenizer, texts)).rejects.toThrow("extractEntities: expected a model loaded for 'token-classification', got one for 'sequence-classification'; use classify.")
    await expect(classify(await load({ task: 'token-classification' }), tokenizer, texts)).rejects.toThrow('use extractEntities.')
  })
})

describe('extractEntities', () => {
  it.each([
    ['', ['O', 'B-PER', 'I-PER', 'B-LOC'], (tag: string): string => tag],
    [', which say what a name ends with,', ['O', 'B-PER', 'E-PER', 'S-LOC'], (tag: string): string => tag.replace('I-PER', 'E-PER').replace('B-LOC', 'S-LOC')],
  ])('finds the names that a training on labelled words%s has taught', async (_what, labels, written) => {
    const source = 'sentence-transformers/all-MiniLM-L6-v2'
    const reader = await loadTokenizer(source, { offline: true })
    const model = await loadModel(source, { task: 'token-classification', labels, offline: true })
    models.push(model)
    const rows = [
      { words: ['Ada', 'Lovelace', 'lives', 'in', 'London'], tags: ['B-PER', 'I-PER', 'O', 'O', 'B-LOC'] },
      { words: ['Paris', 'is', 'where', 'Paul', 'Cézanne', 'works'], tags: ['B-LOC', 'O', 'O', 'B-PER', 'I-PER', 'O'] },
    ]
    const { ids, wordIds } = reader.encodeWords(rows.map(({ words }) => words), { maxLength: 32 })
    const train = { ids, tokenLabels: rows.map(({ tags }, i) => alignLabels(wordIds[i] ?? [], tags.map(written))) }
    attach(model, lora({ rank: 8 }))
    await new Trainer({ model, train, batchSize: 2, learningRate: 1e-2, maxSteps: 20 }).fit()

    const found = await extractEntities(model, reader, ['Ada Lovelace lives in London.', 'Paris is where Paul Cézanne works.'])
    expect(found.map((row) => row.map(({ type, text }) => `${type} ${text}`))).toEqual([['PER Ada Lovelace', 'LOC London'], ['LOC Paris', 'PER Paul Cézanne']])
    expect(found[1]?.[1]).toMatchObject({ start: 15, end: 27 })
  })

  it('says once that no label is for words which are nothing, and reads tags in small letters and with underscores', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    const model = await load({ task: 'token-classification', labels: ['0', 'B_PER'], newHead: true })
    for (let i = 0; i < 2; i++) await extractEntities(model, tokenizer, texts)
    expect(warn.mock.calls.filter(([text]) => String(text).includes('none of the labels'))).toEqual([['extractEntities: none of the labels is O, for a word that is nothing: every word is of an entity. They are "0", "B_PER".']])
    const small = await load({ task: 'token-classification', labels: ['b_per', 'o'], newHead: true })
    warn.mockClear()
    const found = await extractEntities(small, tokenizer, texts)
    expect([...new Set(found.flat().map(({ type }) => type))]).toEqual(['per'])
    expect(warn.mock.calls.some(([text]) => String(text).includes('none of the labels'))).toBe(false)
    warn.mockRestore()
  })

  it('finds the entities of many texts as of each alone', async () => {
    const model = await load({ task: 'token-classification' })
    const all = await extractEntities(model, tokenizer, texts, { batchSize: 3 })
    for (const [i, text] of texts.entries()) {
      const [alone = []] = await extractEntities(model, tokenizer, [text])
      expect(all[i]).toEqual(alone.map((entity) => ({ ...entity, probability: expect.closeTo(entity.probability, 5) as number })))
      for (const { text: found, start, end } of all[i] ?? []) expect(found).toBe(text.slice(start, end))
    }
    expect(await extractEntities(model, tokenizer, [])).toEqual([])
  })

  it('reads a long text in windows, and takes the label of each token from the one that shows most around it', async () => {
    const model = await load({ task: 'token-classification' })
    const text = 'Ada Lovelace lived in London. The minutes of the meeting were read and nobody objected in Zürich.'
    const [all] = tokenizer.encode([text], { specialTokens: false }).ids
    const ids = [...all ?? []]
    const [maxLength, stride] = [12, 4]
    const row = (from: number, to: number): number[] => [tokenizer.clsId ?? NaN, ...ids.slice(from, to), tokenizer.sepId ?? NaN]
    const labels: string[] = []
    for (let from = 0; ; from += 6) { // ten tokens a window, of which four are in the next as well
      const { classes: [classes] } = await predictTokens(model, { ids: [row(from, from + 10)] })
      const last = from + 10 >= ids.length
      labels.push(...[...classes?.slice(1, -1) ?? []].slice(from === 0 ? 0 : 2, last ? undefined : 8).map((label) => model.labels[label] ?? ''))
      if (last) break
    }
    expect(labels).toHaveLength(ids.length)

    const [found = []] = await extractEntities(model, tokenizer, [text], { maxLength, stride, aggregation: 'simple' })
    const places = tokenizer.encode([text], { specialTokens: false, offsets: true }).offsets?.[0] ?? []
    const typeAt = (start: number): string => found.find((entity) => entity.start <= start && start < entity.end)?.type ?? 'O'
    expect(places.map(([start]) => typeAt(start))).toEqual(labels.map((label) => label.replace(/^[BI]-/, '')))
    expect(found.at(-1)?.end).toBeGreaterThan(places[10]?.[1] ?? Infinity)
  })

  it('finds at the end of a text that is longer than the model what it finds at the beginning', async () => {
    const model = await load({ task: 'token-classification' })
    const long = 'nobody objected. '.repeat(400)
    const [all = []] = await extractEntities(model, tokenizer, [long])
    expect(all.some(({ end }) => end > long.length - 100)).toBe(true)
    expect(all.every(({ text, start, end }) => text === long.slice(start, end))).toBe(true)
    expect(await extractEntities(model, tokenizer, ['', ' '])).toEqual([[], []])
  })

  it('refuses another aggregation, a stride that is none, and a length that leaves no room', async () => {
    const model = await load({ task: 'token-classification' })
    await expect(extractEntities(model, tokenizer, texts, { aggregation: 'max' as never, stride: -1 })).rejects.toThrow(new InputError('extractEntities: the options cannot be used:', [
      'stride: expected a number of tokens, got -1', 'aggregation: expected \'first\' or \'simple\', got "max"',
    ]))
    await expect(extractEntities(model, tokenizer, texts, { maxLength: 2 })).rejects.toThrow('extractEntities: maxLength 2 leaves 0 tokens for a text, which must be more than the stride of 0')
    await expect(extractEntities(model, tokenizer, texts, { maxLength: 12, stride: 10 })).rejects.toThrow('extractEntities: maxLength 12 leaves 10 tokens for a text, which must be more than the stride of 10')
  })
})

describe('answer', () => {
  const context = 'Ada lived in London. '.repeat(30)

  it('answers many questions, of long and short contexts, as each alone', async () => {
    const model = await load({ task: 'question-answering' }, 'answers/reader')
    const questions = [{ question: 'Who lived in London?', context }, { question: 'Where?', context: texts[1] ?? '' }, { question: 'Who?', context: 'Zürich' }]
    const all = await answer(model, tokenizer, questions)
    for (const [i, question] of questions.entries()) {
      const [alone] = await answer(model, tokenizer, [question], { batchSize: 2 })
      expect(all[i]).toEqual({ ...alone, probability: expect.closeTo(alone?.probability ?? NaN, 5) as number })
      expect(all[i]?.text).toBe(question.context.slice(all[i]?.start, all[i]?.end))
    }
    expect(await answer(model, tokenizer, [])).toEqual([])
  })

  it('says where a question and its context seem to be in each other\'s place', async () => {
    const model = await load({ task: 'question-answering' }, 'answers/reader')
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    await answer(model, tokenizer, [{ question: 'Who?', context }, { question: 'Ada lived in London.', context: 'Who lived?' }])
    expect(warn.mock.calls).toContainEqual(["answer: question 1: its context ends in a question mark and is the shorter of the two: are they in each other's place?"])
    warn.mockClear()
    await answer(model, tokenizer, [{ question: 'Who?', context: 'Did Ada live in London?' }])
    expect(warn.mock.calls.flat().filter((text) => String(text).includes('place'))).toEqual([])
    warn.mockRestore()
  })

  it('says what is missing, and when a question leaves no room', async () => {
    const model = await load({ task: 'question-answering' }, 'answers/reader')
    await expect(answer(model, tokenizer, { question: 'Who?', context } as never)).rejects.toThrow('answer: expected a list of { question, context }, got {"question":"Who?"')
    await expect(answer(model, tokenizer, [{ question: 'Who?' }, { question: ' ', context }, ['Who?', context], 'Who?'] as never, { stride: -1 })).rejects.toThrow(new InputError('answer: the questions cannot be answered:', [
      'stride: expected a number of tokens, got -1', 'question 0: context: expected a text that is not empty, got undefined', 'question 1: question: expected a text that is not empty, got " "',
      'question 2: expected { question, context }, got a pair of texts', 'question 3: expected { question, context }, got "Who?"',
    ]))
    await expect(answer(model, tokenizer, [{ question: context, context }])).rejects.toThrow(/question 0: its \d+ tokens leave 0 of maxLength 160 for the context, which must be more than the stride of 0/)
    await expect(answer(model, tokenizer, [{ question: 'Who?', context }], { maxLength: 20, stride: 15 })).rejects.toThrow('of maxLength 20 for the context, which must be more than the stride of 15')
  })
})

describe('similar', () => {
  const answers = ['Open the settings and choose "new password".', 'We deliver within three days.', 'The office is closed on Sunday.']

  it('finds the text that means what is asked for, with vectors made before too', async () => {
    const reader = await loadTokenizer('sentence-transformers/all-MiniLM-L6-v2', { offline: true })
    const model = await loadModel('sentence-transformers/all-MiniLM-L6-v2', { task: 'sentence-embedding', offline: true })
    models.push(model)
    const vectors = await embed(model, { ids: reader.encode(answers).ids })
    for (const [i, query] of ['I forgot how to log in', 'When will my parcel arrive?', 'opening hours'].entries()) {
      const found = await similar(model, reader, query, answers)
      expect(found.map(({ index }) => answers[index])).toEqual(found.map(({ text }) => text))
      expect([found.length, found[0]?.index]).toEqual([3, i])
      expect(found.map(({ similarity }) => similarity)).toEqual(found.map(({ similarity }) => similarity).sort((a, b) => b - a))
      const [nearest] = await similar(model, reader, query, answers, { vectors, top: 1 })
      expect(nearest).toEqual({ ...found[0], similarity: expect.closeTo(found[0]?.similarity ?? NaN, 5) as number })
    }
    const [same] = await similar(model, reader, answers[1] ?? '', answers, { top: 1 })
    expect(same?.similarity).toBeCloseTo(1, 6)
  })

  it('says once that vectors are not what the model makes of the texts, and what is no vectors at all', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    try {
      const model = await load({ task: 'sentence-embedding' })
      const vectors = await embed(model, { ids: tokenizer.encode(texts).ids })
      for (let i = 0; i < 2; i++) await similar(model, tokenizer, 'Ada', texts, { vectors })
      expect(warn).not.toHaveBeenCalled()
      const turned = vectors.slice()
      for (let i = 0; i < 2; i++) await similar(model, tokenizer, 'Ada', [...texts].reverse(), { vectors: turned })
      const [[said] = []] = warn.mock.calls
      expect(String(said)).toMatch(/^similar: the vector of text 0 is another than the model makes of it now \(their cosine is -?0\.\d\d\)\. Were the vectors made by another model or adapter, of texts in another order, cut elsewhere or with words before them\? Then embed them anew\.$/)
      expect(warn).toHaveBeenCalledTimes(1)
      const refused = (given: unknown, got: string): Promise<void> => expect(similar(model, tokenizer, 'a', texts, { vectors: given as Float32Array })).rejects.toThrow(
        new InputError('similar: the texts cannot be compared:', [`vectors: expected 16 numbers for each of 4 texts, as embed gives them, got ${got}`]))
      await refused([1, 2], '[1,2], which is no Float32Array')
      await refused(Promise.resolve(vectors), 'a Promise; write `await` before embed(…)')
    } finally {
      warn.mockRestore()
    }
  })

  it('refuses vectors of other texts', async () => {
    const model = await load({ task: 'sentence-embedding' })
    await expect(similar(model, tokenizer, 'a', texts, { vectors: new Float32Array(17), top: 0 })).rejects.toThrow(new InputError('similar: the texts cannot be compared:', [
      'top: expected an integer of at least 1, got 0', 'vectors: expected 16 numbers for each of 4 texts, as embed gives them, got 17',
    ]))
    expect(await similar(model, tokenizer, 'a', [])).toEqual([])
  })
})

describe('chat', () => {
  it('gives the whole answer, and its pieces as they come, by the chat template and what it is told', async () => {
    const folder = temporary('chat')
    await cp(goldenPath('tokenizer/bytes'), folder, { recursive: true })
    const config = JSON.parse(await readFile(join(folder, 'tokenizer_config.json'), 'utf8')) as object
    const template = '{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}{{ mood }}'
    await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ ...config, chat_template: [{ name: 'default', template }, { name: 'parts', template: '{{ messages[0].content[0].text }}' }] }))
    const talker = await loadTokenizer(folder)
    const model = await createModel({ model_type: 'gpt2', vocab_size: talker.vocabSize, n_embd: 16, n_layer: 1, n_head: 2, n_positions: 200, initializer_range: 1 }, { task: 'causal-lm', seed: 3 })
    models.push(model)
    const messages = [{ role: 'user', content: 'Hello' }]
    const pieces: string[] = []
    const options = { maxNewTokens: 20, variables: { mood: 'glad' } }
    const whole = await chat(model, talker, messages, { ...options, onText: (piece) => void pieces.push(piece) })
    expect(pieces.length).toBeGreaterThan(1)
    expect(pieces.join('')).toBe(whole)
    let streamed = ''
    for await (const piece of generateText(model, talker, messages, options)) streamed += piece
    expect(streamed).toBe(whole)
    expect(await chat(model, talker, messages, { maxNewTokens: 20, variables: { mood: 'sad' } })).not.toBe(whole)
    expect(() => generateText(model, talker, 'Hello', { maxNewTokens: 5, tools: [] })).toThrow('generateText: tools: for the chat template, which a plain text does not use. Give messages')
    await expect(chat(model, talker, [{ role: 'user', content: null }, {} as never, { role: 'user', content: Promise.resolve('Hi') }, { role: 'assistant', content: 'Hi' }], { maxNewTokens: 5 }))
      .rejects.toThrow(new InputError('chat: the conversation cannot be answered:', [
        'message 0: expected { role, content } with a text as content, got the content null', 'message 1: expected { role, content } with a text as content, got {}',
        'message 2: expected { role, content } with a text as content, got the content a promise: write `await` before what gives it',
        "message 3: expected one to answer at the end, got the assistant's; to have a text continued: generateText(model, tokenizer, tokenizer.applyChatTemplate(messages), …)"]))
    const inParts = [{ role: 'user', content: [{ type: 'text', text: 'Hello' }] }]
    await expect(chat(model, talker, inParts, { maxNewTokens: 5 })).rejects.toThrow('the chat template takes texts alone')
    expect(() => generateText(model, talker, inParts, { maxNewTokens: 5 })).toThrow('the chat template takes texts alone')
    expect(await chat(model, talker, inParts, { maxNewTokens: 5, template: 'parts' })).not.toBe('')
  })
})
