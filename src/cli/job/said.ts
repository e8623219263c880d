// What a model says of rows, in words: a function for each task.

import type { Task } from '../../base/architecture.ts'
import { generateText, type GenerateTextOptions } from '../../base/generate/text.ts'
import type { Picture } from '../../base/image/picture.ts'
import type { Model } from '../../base/model.ts'
import type { ChatMessage } from '../../base/tokenizer/chat.ts'
import type { Tokenizer } from '../../base/tokenizer/tokenizer.ts'
import { answer, type Question } from '../../answers/answer.ts'
import { chat } from '../../answers/chat.ts'
import { classifyImages } from '../../answers/classify-images.ts'
import { classify, regress } from '../../answers/classify.ts'
import { extractEntities } from '../../answers/extract-entities.ts'
import type { Text } from '../../answers/rows.ts'
import type { Row } from '../../data/dataset.ts'
import { whereOf } from '../../data/where.ts'
import { InputError, shown } from '../../errors.ts'
import { embed } from '../../training/embed.ts'
import type { ReportedExample } from '../../report/record.ts'
import { MAX_LENGTH, type Readers } from './examples.ts'
import type { JobData } from './job.ts'

/** The columns that say what a row is. */
export type Columns = Omit<JobData, 'train' | 'evaluate'>

/** An answer: its fields, and the one of them that is held against what is expected. */
export interface Said {
  readonly fields: Readonly<Record<string, unknown>>
  readonly said: string
}

/** What says it. */
export interface Speaker extends Readers {
  readonly model: Model
  readonly columns: Columns
  /** Of tasks that write. */
  readonly generate?: Partial<GenerateTextOptions>
}

/** Tokens of an answer that is written, where nothing else is asked for. */
export const NEW_TOKENS = 200

const SPEAKERS: Readonly<Partial<Record<Task, (speaker: Speaker, rows: readonly Row[]) => Promise<readonly Said[]>>>> = {
  'sequence-classification': async (speaker, rows) => {
    const { model } = speaker
    const texts = textsOf(speaker, rows)
    if (model.problem === 'regression') return (await regress(model, tokenizerOf(speaker), texts, asTrained(speaker))).map((fields) => ({ fields, said: JSON.stringify(fields) }))
    return (await classify(model, tokenizerOf(speaker), texts, asTrained(speaker))).map(classSaid)
  },
  'image-classification': async ({ model, processor, columns }, rows) => {
    if (processor === undefined) throw new InputError('The model has no image processor.')
    return (await classifyImages(model, processor, rows.map((row) => row[String(columns.image)] as Picture))).map(classSaid)
  },
  'token-classification': async (speaker, rows) => (await extractEntities(speaker.model, tokenizerOf(speaker), textsOf(speaker, rows).map(String), asTrained(speaker)))
    .map((entities) => ({ fields: { entities }, said: entities.map(({ type, text }) => `${type}: ${text}`).join(', ') })),
  'question-answering': async (speaker, rows) => {
    const questions = textsOf(speaker, rows).map(([question = '', context = '']): Question => ({ question, context }))
    return (await answer(speaker.model, tokenizerOf(speaker), questions, asTrained(speaker))).map(({ text, ...rest }) => ({ fields: { answer: text, ...rest }, said: text }))
  },
  'sentence-embedding': async (speaker, rows) => {
    const vectors = await embed(speaker.model, { ids: tokenizerOf(speaker).encode(textsOf(speaker, rows).map(String), asTrained(speaker)).ids })
    const width = vectors.length / rows.length
    return rows.map((_, i) => ({ fields: { embedding: [...vectors.subarray(i * width, (i + 1) * width)] }, said: '' }))
  },
  'causal-lm': written,
  'seq2seq-lm': written,
}

/** What is cut off in training is cut off here. */
const asTrained = ({ model, columns }: Speaker): { readonly maxLength: number } => ({ maxLength: Math.min(columns.maxLength ?? MAX_LENGTH, model.limits?.maxLength ?? Infinity) })

function classSaid({ label, labels, probability, probabilities }: Awaited<ReturnType<typeof classify>>[number]): Said {
  const isOne = labels.length === 1 && labels[0] === label
  return { fields: { ...(isOne ? { label } : { labels }), probability, probabilities }, said: isOne ? label : labels.join(', ') }
}

async function written({ model, columns, generate = {}, ...readers }: Speaker, rows: readonly Row[]): Promise<readonly Said[]> {
  const tokenizer = tokenizerOf(readers)
  const options = { maxNewTokens: NEW_TOKENS, ...generate }
  const all: Said[] = []
  for (const row of rows) {
    const messages = columns.messages === undefined ? undefined : asked(row[String(columns.messages)])
    let text = ''
    if (messages !== undefined) text = await chat(model, tokenizer, messages, options)
    else for await (const piece of generateText(model, tokenizer, textOf(row, String(columns.text)), options)) text += piece
    all.push({ fields: { text }, said: text })
  }
  return all
}

/** A conversation without the answer that ends it. */
function asked(value: unknown): readonly ChatMessage[] {
  const messages = (typeof value === 'string' ? JSON.parse(value) : value) as readonly ChatMessage[]
  return messages.at(-1)?.role === 'assistant' ? messages.slice(0, -1) : messages
}

function tokenizerOf({ tokenizer }: Readers): Tokenizer {
  if (tokenizer === undefined) throw new InputError('The model has no tokenizer.')
  return tokenizer
}

function textsOf({ columns }: Pick<Speaker, 'columns'>, rows: readonly Row[]): readonly Text[] {
  const names = [columns.text ?? columns.words ?? 'text'].flat()
  return rows.map((row) => {
    const [first = '', ...more] = names.map((name) => textOf(row, name))
    return more.length === 0 ? first : [first, more[0] ?? '']
  })
}

function textOf(row: Row, name: string): string {
  const value = row[name]
  if (typeof value === 'string' || typeof value === 'number') return String(value)
  if (Array.isArray(value)) return value.join(' ') // words
  throw new InputError(`${whereOf(row) ?? 'A row'}: expected a text in the column '${name}', got ${shown(value)}. It has ${Object.keys(row).join(', ')}; --text names another.`)
}

/** Whether rows of the task are answered in words. */
export function canSay(task: Task): boolean {
  return SPEAKERS[task] !== undefined
}

/**
 * What a model says of each row.
 *
 * @throws InputError where its task has no answers, or a row lacks what is asked for
 */
export async function say(speaker: Speaker, rows: readonly Row[]): Promise<readonly Said[]> {
  const { task } = speaker.model.parts
  const speak = SPEAKERS[task]
  if (speak === undefined) throw new InputError(`A model for '${task}' says nothing of single rows; ${Object.keys(SPEAKERS).join(', ')} do.`)
  return await speak(speaker, rows)
}

/** Rows that a report looks at, and most of those that it shows of each kind. */
const [LOOKED_AT, SHOWN] = [200, 8]

/** Some rows with what is expected and what was said, of tasks whose answers are right or wrong. */
export async function reportedExamples(speaker: Speaker, rows: AsyncIterable<Row>): Promise<ReportedExample[]> {
  const { columns } = speaker
  const column = [columns.label ?? columns.labelSet ?? columns.answer].flat()[0]
  if (column === undefined || !canSay(speaker.model.parts.task)) return []
  const some: Row[] = []
  for await (const row of rows) if (some.push(row) === LOOKED_AT) break
  const said = await say(speaker, some)
  const input = [columns.text ?? columns.image ?? []].flat()
  const all = some.map((row, i): ReportedExample => {
    const expected = expectedOf(row[column], speaker.model.labels)
    const answered = said[i]?.said ?? ''
    return { input: input.map((name) => cut(String(row[name]))).join(' · '), expected: expected.join(', '), said: answered, isRight: column === columns.labelSet ? expected.join(', ') === answered : expected.includes(answered) }
  })
  return [true, false].flatMap((isRight) => all.filter((each) => each.isRight === isRight).slice(0, SHOWN))
}

/** In words: a class's name for its number, the texts of an answer. */
function expectedOf(value: unknown, labels: readonly string[]): string[] {
  if (Array.isArray(value)) return value.map(String)
  if (typeof value === 'object' && value !== null) return [(value as { readonly text?: unknown }).text ?? ''].flat().map(String)
  return [typeof value === 'number' ? labels[value] ?? String(value) : String(value)]
}

function cut(text: string): string {
  return text.length <= 300 ? text : `${text.slice(0, 300)}…`
}
