// From a file to rows for a model. What a file lacks or misspells never becomes a class, a number or a text.

import { writeFile } from 'node:fs/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { loadTokenizer, type Tokenizer } from '../../src/base/tokenizer/tokenizer.ts'
import { csv } from '../../src/data/csv.ts'
import { datasetOf, filterRows, shuffleRows, type Row } from '../../src/data/dataset.ts'
import { json } from '../../src/data/json.ts'
import { InputError } from '../../src/errors.ts'
import { lora } from '../../src/lora/lora.ts'
import { evaluate } from '../../src/training/measure.ts'
import { predict } from '../../src/training/predict.ts'
import { readExamples, type ReadExamples, type ReadOptions } from '../../src/training/read-examples.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { goldenPath } from '../golden.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const MODEL = 'sentence-transformers/all-MiniLM-L6-v2'
const temporary = temporaryFolder()
let tokenizer: Tokenizer
beforeAll(async () => {
  tokenizer = await loadTokenizer(MODEL, { offline: true })
})

const idsOf = (...texts: readonly string[]): readonly Int32Array[] => tokenizer.encode(texts).ids
const read = async (rows: readonly Row[], options: Omit<ReadOptions<Row>, 'tokenizer'>): Promise<ReadExamples> =>
  await readExamples(datasetOf(rows), { tokenizer, ...options })
const refused = (bad: string, ...problems: readonly string[]): InputError => new InputError(`readExamples: ${bad} rows cannot be used:`, problems)
const lacking = (bad: string, ...problems: readonly string[]): InputError =>
  new InputError(`readExamples: ${bad} rows cannot be used. Mend them, or leave out those that lack something with missing: 'drop':`, problems)

describe('a spam filter from a CSV file', () => {
  const source = MODEL
  const path = (): string => temporary('mails.csv')
  beforeAll(async () => {
    await writeFile(path(), 'label,text\nspam,you have won a prize\nham,minutes of the meeting\n,lunch at noon?\nspam,"cheap pills,\nno prescription"\nham,  \n')
  })

  it('is not trained on a cell that is empty: the error says where, and how to go on', async () => {
    await expect(readExamples(csv(path()), { tokenizer, text: 'text', label: 'label' })).rejects.toThrow(lacking('2 of 5',
      `label: none in ${path()}: line 4`, `text: none in ${path()}: line 7`))
  })

  it('is trained, measured and asked in a few lines', async () => {
    const { examples, labels, counts, dropped, warnings } = await readExamples(csv(path()), {
      tokenizer: source, text: 'text', label: 'label', missing: 'drop', maxLength: 64,
    })
    expect({ labels, counts, dropped, warnings }).toEqual({
      labels: ['ham', 'spam'], counts: { ham: 1, spam: 2, '(none)': 1 }, dropped: 2,
      warnings: [`2 of 5 rows were left out: label: none in ${path()}: line 4; text: none in ${path()}: line 7`],
    })
    const model = await loadModel(source, { task: 'sequence-classification', labels, offline: true })
    attach(model, lora({ rank: 2 }))
    await new Trainer({ model, train: examples, learningRate: 1e-2, epochs: 6 }).fit()
    expect((await evaluate(model, examples))['accuracy']).toBe(1)
    const { classes } = await predict(model, { ids: idsOf('you have won cheap pills') })
    expect(labels[classes[0] ?? -1]).toBe('spam')
    model.dispose()
  })
})

describe('the classes of rows', () => {
  it('are those of the data in their order, numbers by size, whatever type they have', async () => {
    const rows = ['10', 9, ' 9 ', 100n, '9'].map((label) => ({ text: 'a', label }))
    const { examples, labels, counts } = await read(rows, { text: 'text', label: 'label' })
    expect({ labels, given: examples.labels, counts }).toEqual({ labels: ['9', '10', '100'], given: ['10', '9', '9', '100', '9'], counts: { 9: 3, 10: 1, 100: 1 } })
    expect((await read([{ text: 'a', label: 'b' }, { text: 'a', label: 'B' }, { text: 'a', label: '2' }], { text: 'text', label: 'label' })).labels).toEqual(['2', 'B', 'b'])
  })

  it('may be given by number where labels are, and by −100 for none', async () => {
    const rows = [1, 0, -100, '-100', 'spam'].map((label) => ({ text: 'a', label }))
    const { examples, counts } = await read(rows, { text: 'text', label: 'label', labels: ['ham', 'spam', 'other'] })
    expect([examples.labels, counts]).toEqual([['spam', 'ham', -100, -100, 'spam'], { ham: 1, spam: 2, other: 0, '(none)': 2 }])
    expect((await read([{ text: 'a', label: 1 }], { text: 'text', label: 'label', labels: ['1', '0'] })).examples.labels).toEqual(['1'])
  })

  it('that are none are all told, each with its place', async () => {
    const values = ['spma', '1', 2, true, {}, [], NaN, 0.5, null, undefined, ' ', 'ham']
    await expect(read(values.map((label) => ({ text: 'a', label })), { text: 'text', label: 'label', labels: ['ham', 'spam'] })).rejects.toThrow(lacking('11 of 12',
      'label: none in row 8, row 9, row 10',
      'label: expected one of "ham", "spam", got "spma" (did you mean "spam"?) in row 0',
      'label: expected one of "ham", "spam"; a text is no number of a class, so say what it stands for, as in label: (row) => ({ 0: "ham", 1: "spam" })[row.label]; got "1" in row 1',
      'label: expected the number of one of 2 classes, from 0, got 2 in row 2, 0.5 in row 7',
      'label: expected a text or a number, got true in row 3, {} in row 4, NaN in row 6',
      'label: expected a text or a number; lists of labels are for labelSet; got [] in row 5'))
  })

  it('are found by a function too, which may use the type of a filtered row', async () => {
    interface Mail { readonly body: string; readonly folder: string | null }
    const mails = datasetOf<Mail>([{ body: 'a', folder: 'in/junk' }, { body: 'b', folder: null }])
    const sorted = filterRows(mails, (mail): mail is Mail & { folder: string } => mail.folder !== null)
    const { examples, labels } = await readExamples(sorted, { tokenizer, text: 'body', label: ({ folder }) => folder.split('/')[1] })
    expect([examples.labels, labels]).toEqual([['junk'], ['junk']])
  })
})

describe('texts', () => {
  it('that are missing or none are told; a number is its own text', async () => {
    await expect(read(['', null, '\t ', undefined, true, { a: 1 }].map((text) => ({ text })), { text: 'text' })).rejects.toThrow(lacking('6 of 6',
      'text: none in row 0, row 1, row 2, row 3', 'text: expected a text, got true in row 4, {"a":1} in row 5'))
    expect((await read([{ text: 1984 }], { text: 'text' })).examples).toEqual({ ids: idsOf('1984') })
  })

  it('may be pairs, from two columns or a function', async () => {
    const rows = [{ a: 'first', b: 'second', label: 'x' }]
    const { ids, typeIds } = tokenizer.encode([['first', 'second']])
    for (const text of [['a', 'b'] as const, ({ a, b }: Row) => [a, b], ['a', ({ b }: Row) => b] as const]) {
      expect((await read(rows, { text, label: 'label' })).examples).toEqual({ ids, typeIds, labels: ['x'] })
    }
    await expect(read([{ a: 'first', b: '' }], { text: ['a', 'b'] })).rejects.toThrow(lacking('1 of 1', 'text: none in row 0'))
    await expect(read([{ a: ['x', 'y', 'z'] }], { text: 'a' })).rejects.toThrow(refused('1 of 1', 'text: expected a text, or a pair, got ["x","y","z"] in row 0'))
  })

  it('of a column that no row has are told with the nearest that there is, also where rows are to be left out', async () => {
    for (const missing of ['error', 'drop'] as const) {
      await expect(read([{ text: 'a', label: 'x' }], { text: 'txt', label: 'label', missing })).rejects.toThrow(
        refused('1 of 1', 'no row has a column "txt" (did you mean "text"?); they have "text", "label"'))
    }
  })
})

it('numbers of a regression are read from texts too, one or several a row', async () => {
  const rows = [{ text: 'a', x: '1.5', y: -2 }, { text: 'b', x: ' 2e3 ', y: '.5' }]
  const one = await read(rows, { text: 'text', number: 'x' })
  expect([one.examples.labels, one.labels, one.counts]).toEqual([[1.5, 2000], ['x'], {}])
  const two = await read(rows, { text: 'text', number: ['x', (row) => row['y']] })
  expect([two.examples.labels, two.labels]).toEqual([[[1.5, -2], [2000, 0.5]], ['x', 'number 1']])
  const named = await read(rows, { text: 'text', number: ['x', 'y'] })
  expect([named.examples.labels, named.labels]).toEqual([[{ x: 1.5, y: -2 }, { x: 2000, y: 0.5 }], ['x', 'y']])
  const wrong = [{ n: '1,5' }, { n: '' }, { n: 'NaN' }, { n: true }, { n: [1, 2] }, { n: Infinity }]
  await expect(read(wrong.map((row) => ({ text: 'a', ...row })), { text: 'text', number: 'n' })).rejects.toThrow(lacking('5 of 6',
    'number: none in row 1', 'number: expected a number, got "1,5" in row 0, "NaN" in row 2, true in row 3, Infinity in row 5'))
  await expect(read([{ text: 'a', n: [1, 2] }, { text: 'b', n: 3 }], { text: 'text', number: 'n' })).rejects.toThrow(
    refused('1 of 2', 'number: expected one for each number of the first row, got 1 for 2 in row 1'))
})

it('how many texts were cut is told, and that tags are cut with them', async () => {
  const texts = ['the minutes of the meeting', 'lunch', 'you have won a prize'].map((text) => ({ text, positive: 'a prize', words: text.split(' '), tags: text.split(' ').map(() => 'O') }))
  const warnings = async (options: Omit<ReadOptions<Row>, 'tokenizer'>): Promise<readonly string[]> => (await read(texts, options)).warnings
  expect(await warnings({ text: 'text', maxLength: 5 })).toEqual(['2 of 3 texts are longer than maxLength 5: their rest is cut off'])
  expect(await warnings({ text: 'text', positive: 'positive', maxLength: 5 })).toEqual(['2 of 6 texts are longer than maxLength 5: their rest is cut off'])
  expect(await warnings({ words: 'words', tags: 'tags', maxLength: 6 })).toEqual(['2 of 3 texts are longer than maxLength 6: their rest is cut off, with its tags'])
  expect(await warnings({ text: 'text', maxLength: 7 })).toEqual([])
})

it('texts that look alike and are not, and scores, stand beside the text that belongs to a row', async () => {
  const rows = [{ a: 'one', b: 'two', c: ['three', 'four'], d: 'five', s: '2.5' }, { a: 'six', b: 'seven', c: null, d: '', s: 0 }]
  const { examples } = await read(rows, { text: 'a', positive: 'b', negative: 'c' })
  expect(examples).toEqual({ ids: idsOf('one', 'six'), positives: idsOf('two', 'seven'), negatives: [idsOf('three', 'four'), []] })
  expect((await read([rows[0] as Row], { text: 'a', positive: 'b', negative: ['d', 'a'] })).examples.negatives).toEqual([idsOf('five', 'one')])
  const scored = await read(rows, { text: 'a', positive: 'b', score: 's' })
  expect(scored.examples).toEqual({ ids: idsOf('one', 'six'), positives: idsOf('two', 'seven'), scores: [2.5, 0] })
  const wrong = [{ a: 'one', b: 'two', s: '2,5' }, { a: 'one', b: 'two', s: null }, { a: 'one', b: true, s: 1 }]
  await expect(read(wrong, { text: 'a', positive: 'b', score: 's' })).rejects.toThrow(lacking('3 of 3', 'positive or score: none in row 1',
    'score: expected a number, got "2,5" in row 0', 'positive: expected a text, got true in row 2'))
  await expect(read(rows, { text: 'a', label: 'b', negative: 'c', score: 's' })).rejects.toThrow(new InputError('readExamples: the options cannot be used:', [
    "negative, score: expected positive beside it, the text that belongs to the row's", 'negative: expected none beside score; a pair that does not belong together is one with a low score',
  ]))
})

it('texts to write stand beside those that are read', async () => {
  const rows = [{ a: 'one', b: 'two three' }, { a: 'six', b: 7 }]
  expect((await read(rows, { text: 'a', target: 'b' })).examples).toEqual({ ids: idsOf('one', 'six'), targets: idsOf('two three', '7') })
  const { ids, typeIds, targets } = (await read(rows, { text: ['a', 'b'], target: 'b' })).examples
  expect([ids?.length, typeIds?.length, targets]).toEqual([2, 2, idsOf('two three', '7')])
  await expect(read([{ a: 'one', b: '' }, { a: 'two', b: true }], { text: 'a', target: 'b' })).rejects.toThrow(lacking('2 of 2', 'target: none in row 0', 'target: expected a text, got true in row 1'))
  await expect(read(rows, { words: 'a', target: 'b' })).rejects.toThrow(new InputError('readExamples: the options cannot be used:', ['target: expected text beside it, which is read']))
})

it('a list of labels where one is expected names the option for it', async () => {
  await expect(read([{ text: 'a', topics: ['law', 'art'] }], { text: 'text', label: 'topics' })).rejects.toThrow(refused('1 of 1',
    'label: expected a text or a number; lists of labels are for labelSet; got ["law","art"] in row 0'))
})

it('classes that differ by case alone are told, but not where they were given', async () => {
  const rows = ['Billing ', 'billing', 'other', 'OTHER', 'Other', 'news'].map((label, i) => ({ text: `text ${i}`, label }))
  const { labels, warnings } = await read(rows, { text: 'text', label: 'label' })
  expect(warnings).toEqual([
    '"Billing", "billing" are classes of their own, which differ by upper and lower case alone', '"OTHER", "Other", "other" are classes of their own, which differ by upper and lower case alone',
  ])
  expect((await read(rows, { text: 'text', label: 'label', labels })).warnings).toEqual([])
})

it('a column in which the rows have classes of their own is no label, unless that is said', async () => {
  const rows = Array.from({ length: 40 }, (_, i) => ({ text: 'a', id: `mail-${i}`, price: i / 4, topics: [`t${i}`, 'all'], label: i % 2 }))
  const refused = (kind: string, counts: string, examples: string, instead = ''): InputError => new InputError(
    `readExamples: ${kind}: ${counts}: ${examples}, … Is it a column of ids or of texts?${instead} Where these are the classes, give them: { labels: […] }.`)
  await expect(read(rows, { text: 'text', label: 'id' })).rejects.toThrow(refused('label', '40 of 40 classes have one row alone, of 40 rows in all', '"mail-0", "mail-1", "mail-2"'))
  await expect(read(rows, { text: 'text', label: 'price' })).rejects.toThrow(refused('label', '40 of 40 classes have one row alone, of 40 rows in all', '"0", "0.25", "0.5"', ' Numbers that are to be learned are for `number`.'))
  await expect(read(rows, { text: 'text', labelSet: ({ id }) => [id, id === 'mail-0' ? 'x' : id] })).resolves.toHaveProperty('dropped', 0)
  await expect(read(rows, { text: 'text', labelSet: ({ id }) => [id] })).rejects.toThrow(refused('labelSet', '40 of 40 classes have one row alone, of 40 labels in all', '"mail-0", "mail-1", "mail-2"'))
  expect((await read(rows, { text: 'text', label: 'id', labels: rows.map(({ id }) => id) })).labels).toHaveLength(40)
  expect((await read(rows, { text: 'text', label: 'label' })).counts).toEqual({ 0: 20, 1: 20 })
  expect((await read(rows.slice(0, 9), { text: 'text', label: 'id' })).labels).toHaveLength(9) // so few may be an example
})

it('classes that look alike, or that stand for what is missing, and texts with two labels are told', async () => {
  const labels = ['caf\u00e9', 'cafe\u0301', 'ham', 'ham\u200b', '1', '1.0', 'nan', 'N/A', 'Tea', 'tea']
  const { warnings } = await read([...labels, ...labels].map((label, i) => ({ text: `text ${i}`, label })), { text: 'text', label: 'label' })
  expect([...warnings].sort()).toEqual([
    '"1", "1.0" are classes of their own, which differ by how a number is written alone', '"N/A", "nan": classes by this name; where it stands for a missing label, leave such rows out: filterRows(data, (row) => …)',
    '"Tea", "tea" are classes of their own, which differ by upper and lower case alone', '"cafe\u0301", "caf\u00e9" are classes of their own, which differ by characters that look the same or cannot be seen alone',
    '"ham", "ham\u200b" are classes of their own, which differ by characters that look the same or cannot be seen alone',
  ])
  const twice = [['a', 'x'], ['a', 'y'], ['b', 'x'], ['b', 'x'], ['a', 'x']].map(([text, label]) => ({ text, label }))
  expect((await read(twice, { text: 'text', label: 'label' })).warnings).toEqual(['1 rows have the text of another row, and another label'])
})

it('texts of a script that the tokenizer does not know are told', async () => {
  const { warnings } = await read([{ text: '今天天气很好我们去公园' }, { text: 'a' }], { text: 'text' })
  expect(warnings).toEqual(['7 of 12 tokens are unknown to the tokenizer, and all the same to the model: are the texts of a language that it was made for?'])
})

it('sets of labels are lists of names; an empty one is a set too', async () => {
  const rows = [{ text: 'a', topics: ['law', 'art'] }, { text: 'b', topics: [] }, { text: 'c', topics: ['art'] }]
  const { examples, labels, counts } = await read(rows, { text: 'text', labelSet: 'topics' })
  expect([examples.labels, labels, counts]).toEqual([[['law', 'art'], [], ['art']], ['art', 'law'], { art: 2, law: 1 }])
  await expect(read([{ text: 'a', topics: 'law art' }, { text: 'a', topics: ['law', ''] }], { text: 'text', labelSet: 'topics' })).rejects.toThrow(lacking('2 of 2',
    'labelSet: none in row 1', 'labelSet: expected a list, as String(row.column).split(\' \') makes one, got "law art" in row 0'))
})

it('classes of words go to the first token of each word', async () => {
  const rows = [{ words: ['Ada', 'lives', 'in', 'Llanfairpwll', '\u00A0'], tags: ['PER', 'O', -100, 'LOC', 'O'] }, { words: ['no', 'names'], tags: ['O', 'O'] }]
  const { examples, labels, counts } = await read(rows, { words: 'words', tags: 'tags' })
  const { ids, wordIds } = tokenizer.encodeWords(rows.map(({ words }) => words))
  expect(examples.ids).toEqual(ids)
  expect(examples.tokenLabels).toEqual(rows.map(({ tags }, i) =>
    Array.from(wordIds[i] ?? [], (word, t) => (word < 0 || word === wordIds[i]?.[t - 1] ? -100 : tags[word]))))
  expect([labels, counts]).toEqual([['LOC', 'O', 'PER'], { LOC: 1, O: 4, PER: 1, '(none)': 1 }])
  expect(ids[0]?.length).toBeGreaterThan(7)
  await expect(read([{ words: ['a', 'b'], tags: ['O'] }, { words: [], tags: [] }], { words: 'words', tags: 'tags' })).rejects.toThrow(lacking('2 of 2',
    'words: none in row 1', 'tags: expected one for each word, got 1 for 2 in row 0'))
})

it('answers are found by their place in the context, as SQuAD has them or as { text, start }', async () => {
  const context = '🎉 The visitors won, by one goal. One goal!'
  const answers = [
    { text: ['The visitors'], answer_start: [2] }, // in code points, as Python counts
    { text: 'one goal', start: context.indexOf('one goal') }, { text: 'visitors won' }, { text: [], answer_start: [] },
  ]
  const rows = answers.map((answer) => ({ question: 'Who won?', context, answer }))
  const { examples: { ids = [], spans = [] } } = await read(rows, { text: ['question', 'context'], answer: 'answer' })
  expect(spans[3]).toEqual([0, 0])
  expect(spans.slice(0, 3).map(([first, last], i) => tokenizer.decode(Array.from(ids[i] ?? []).slice(first, last + 1)))).toEqual(['the visitors', 'one goal', 'visitors won'])
  const cut = await read(rows, { text: ['question', 'context'], answer: 'answer', maxLength: 11 })
  expect([cut.examples.spans?.map(([first]) => first < 0), cut.warnings]).toEqual([[false, true, false, false], [
    '4 of 4 texts are longer than maxLength 11: their rest is cut off', '1 of 4 answers do not count: maxLength cuts them off',
  ]])
  const wrong = [{ text: 'nobody', start: 3 }, { text: 'goal' }, 'won', null]
  await expect(read(wrong.map((answer) => ({ q: 'Who?', c: context, answer })), { text: ['q', 'c'], answer: 'answer' })).rejects.toThrow(lacking('4 of 4',
    'answer: none in row 3',
    'answer: expected a text that stands in the context at its start, got {"text":"nobody","start":3} in row 0',
    'answer: expected a text that the context has once, or its start, got {"text":"goal"} in row 1',
    'answer: expected { text, start }, got "won" in row 2'))
})

it.each(['bytes', 'unigram', 'words'])('answers are found whatever parts the texts of a pair (tokenizer of %s)', async (name) => {
  const other = await loadTokenizer(goldenPath(`tokenizer/${name}`))
  const context = 'The visitors won, by one goal. One goal!'
  const answers = ['The visitors', 'one goal', 'won', 'goal!']
  const rows = answers.map((text) => ({ question: 'Who won?', context, answer: { text } }))
  const { examples: { spans = [] } } = await readExamples(datasetOf(rows), { tokenizer: other, text: ['question', 'context'], answer: 'answer' })
  const [places = []] = other.encode([['Who won?', context]], { offsets: true }).offsets ?? []
  expect(spans.map(([first, last]) => context.slice(places[first]?.[0], places[last]?.[1]))).toEqual(answers)
  expect(spans.every(([first]) => first >= 3)).toBe(true) // behind the question
})

it('texts that belong to the rows are positives', async () => {
  const { examples } = await read([{ a: 'one', b: 'two' }, { a: 'three', b: 'four' }], { text: 'a', positive: 'b' })
  expect(examples).toEqual({ ids: idsOf('one', 'three'), positives: idsOf('two', 'four') })
})

it('rows are named by where they stand in their file, however they come', async () => {
  const path = temporary('rows.json')
  await writeFile(path, '[{"text": "a", "label": "x"},\n{"text": "b",\n"label": null}]')
  await expect(readExamples(shuffleRows(json(path), { buffer: 9, seed: 1 }), { tokenizer, text: 'text', label: 'label' })).rejects.toThrow(
    lacking('1 of 2', `label: none in ${path}: line 2`))
})

it('a forgotten await is told, and a list that is no data set', async () => {
  const options = { tokenizer, text: 'text' } as never
  await expect(readExamples(Promise.resolve() as never, options)).rejects.toThrow(
    new InputError('readExamples: expected a data set, as csv(path) is one, got a promise; await it, as in await hubDataset(id).'))
  await expect(readExamples([{ text: 'a' }] as never, options)).rejects.toThrow(
    new InputError('readExamples: expected a data set, as csv(path) is one, got a list; datasetOf(rows) makes one of it.'))
  await expect(read([{ text: 'a' }], { text: 'text', tokenizer: loadTokenizer(MODEL, { offline: true }) } as never)).rejects.toThrow(
    new InputError('readExamples: the options cannot be used:', ['tokenizer: expected one, or the folder or Hub id of one, got a promise; await loadTokenizer(…)']))
})

it('options that do not fit are told all at once', async () => {
  const options = { text: ['a'], words: 'w', label: 5, tags: 'tags', answer: 'x', missing: 'skip', labels: ['a', 'a'] } as unknown as ReadOptions<Row>
  await expect(readExamples(datasetOf<Row>([]), { ...options, tokenizer })).rejects.toThrow(new InputError('readExamples: the options cannot be used:', [
    'label: expected the name of a column, or a function of the row, got 5',
    'text, words, messages, image: expected one of them',
    'label, tags, answer: expected one of them, for one task',
    'text: expected one column, or two for a pair, got 1',
    "missing: expected 'error' or 'drop', got \"skip\"",
    'labels: expected names of classes that differ, got ["a","a"]',
  ]))
  await expect(read([], { text: 'text' })).rejects.toThrow(new InputError('readExamples: expected at least one row, got an empty data set.'))
  await expect(read([{ text: '' }], { text: 'text', missing: 'drop' })).rejects.toThrow(new InputError('readExamples: each of 1 rows lacks something:', ['text: none in row 0']))
})

it('tags of which none is O, empty sets of labels alone, and positives that are the text itself are told', async () => {
  const tagged = (tags: readonly string[]): readonly Row[] => [{ words: ['a', 'b'], tags }]
  expect((await read(tagged(['B-PER', '0']), { words: 'words', tags: 'tags' })).warnings).toEqual(['no tag is "O", for a word that is nothing: "0", "B-PER" are all of entities'])
  for (const tags of [['B-PER', 'O'], ['noun', 'verb']]) expect((await read(tagged(tags), { words: 'words', tags: 'tags' })).warnings).toEqual([])
  expect((await read([{ text: 'a', topics: [] }, { text: 'b', topics: [] }], { text: 'text', labelSet: 'topics' })).warnings).toEqual(['no row has a label: each labelSet is an empty list'])
  const pairs = [{ text: 'a', positive: 'a', score: 1 }, { text: 'b', positive: 'c', score: 0 }]
  expect((await read(pairs, { text: 'text', positive: 'positive' })).warnings).toEqual(['1 of 2 positives are the text of the row itself'])
  expect((await read(pairs, { text: 'text', positive: 'positive', score: 'score' })).warnings).toEqual([])
})

it('texts that are all numbers, and tags of words that are no tokens, are told', async () => {
  expect((await read([{ id: '1', label: 'a' }, { id: ' 2.5', label: 'b' }], { text: 'id', label: 'label' })).warnings).toEqual(['every text is a number: is it the column that was meant?'])
  expect((await read([{ id: '1', label: 'a' }, { id: 'two', label: 'b' }], { text: 'id', label: 'label' })).warnings).toEqual([])
  const words = { words: 'words', tags: 'tags' } as const
  expect((await read([{ words: ['Ada', '', 'here', '\u200b'], tags: ['B-PER', 'B-LOC', 'O', 'O'] }], words)).warnings).toEqual(['2 of 4 words are none to the tokenizer, as empty ones are: their tags are not learned'])
  expect((await read([{ words: ['Ada', 'Lovelace'], tags: ['B-PER', -100] }, { words: ['here'], tags: ['O'] }], words)).warnings).toEqual([])
})
