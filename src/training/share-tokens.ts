// Rows of texts that workers tokenize together: each its share, and all have all of them.

import { InputError } from '../errors.ts'
import type { Question, TokenRows } from './row-tokens.ts'
import { asError, gather, gatherNumbers, type Workers } from './workers.ts'

type Ask = (question: Question) => TokenRows | Promise<TokenRows>

/** What a worker says beside the numbers of its rows. */
interface Told {
  readonly rows: number
  readonly fields: readonly Field[]
  readonly problems?: readonly (readonly [row: number, problem: string])[]
  readonly error?: string
}

/**
 * The tokens of a question's rows: this worker asks for each `count`th of them, and the workers give each other theirs.
 *
 * @param turn when this worker may talk to the others, who have to do it in the same order; what it asks for it asks for at once
 * @throws InputError, on all, with what the tokenizer of one of them says
 */
export async function sharedTokens(workers: Workers, question: Question, ask: Ask, turn: Promise<void> = Promise.resolve()): Promise<TokenRows> {
  const { rank, count } = workers
  const asked = await outcomeOf(ask, partOf(question, workers))
  await turn
  const rows = asked instanceof Error ? [] : packed(asked)
  const told = await gather<Told>(workers, asked instanceof Error ? { rows: 0, fields: [], error: asked.message } : {
    rows: asked.ids.length, fields: fieldsOf(asked), ...('problems' in asked ? { problems: asked.problems.map(([row, problem]) => [row * count + rank, problem] as const) } : {}),
  })
  const numbers = await gatherNumbers(workers, Int32Array.from(rows))
  if (asked instanceof Error) throw asked
  const failed = told.flatMap(({ error }, worker) => (error === undefined ? [] : [`worker ${worker}: ${error}`]))
  if (failed.length > 0) throw new InputError('The texts cannot be tokenized:', failed)
  const all = textsOf(question).length
  if (told.some((one, worker) => one.rows !== ownOf(all, worker, count))) {
    throw new InputError('The workers do not read the same rows. Start all with one program, on the same files:', told.map((one, worker) => `worker ${worker}: ${one.rows} of ${all}`))
  }
  return unpacked(all, told, numbers)
}

async function outcomeOf(ask: Ask, question: Question): Promise<TokenRows | Error> {
  try {
    return await ask(question)
  } catch (error) {
    return asError(error)
  }
}

function textsOf(question: Question): readonly unknown[] {
  return 'texts' in question ? question.texts : 'words' in question ? question.words : question.conversations
}

function partOf(question: Question, { rank, count }: Workers): Question {
  const own = <T>(rows: readonly T[]): T[] => rows.filter((_, row) => row % count === rank)
  if ('texts' in question) return { ...question, texts: own(question.texts) }
  return 'words' in question ? { ...question, words: own(question.words) } : { ...question, conversations: own(question.conversations) }
}

function ownOf(rows: number, rank: number, count: number): number {
  return Math.ceil((rows - rank) / count)
}

/** How a row of each field is numbers. */
const FIELDS = {
  ids: 'numbers', attentionMask: 'numbers', typeIds: 'numbers', specialTokensMask: 'numbers', wordIds: 'numbers', tokenLabels: 'numbers', offsets: 'pairs', truncated: 'flag',
} as const

type Field = keyof typeof FIELDS
type Row = ArrayLike<number> | readonly (readonly [number, number])[] | boolean

function fieldsOf(rows: TokenRows): readonly Field[] {
  return (Object.keys(FIELDS) as Field[]).filter((field) => (rows as Partial<Record<Field, unknown>>)[field] !== undefined)
}

/** Of each row each field: how many numbers, and these. */
function packed(rows: TokenRows): readonly number[] {
  const lists = rows as unknown as Readonly<Record<Field, readonly Row[]>>
  const numbers: number[] = []
  for (const row of rows.ids.keys()) {
    for (const field of fieldsOf(rows)) {
      const value = lists[field][row] ?? []
      const own = typeof value === 'boolean' ? [Number(value)] : FIELDS[field] === 'pairs' ? (value as readonly (readonly [number, number])[]).flat() : Array.from(value as ArrayLike<number>)
      numbers.push(own.length)
      for (const number of own) numbers.push(number)
    }
  }
  return numbers
}

function unpacked(rows: number, told: readonly Told[], numbers: readonly Int32Array[]): TokenRows {
  const places = told.map(() => 0)
  const fields = told[0]?.fields ?? []
  const lists = Object.fromEntries(fields.map((field) => [field, [] as Row[]]))
  for (let row = 0; row < rows; row++) {
    const worker = row % told.length
    const own = numbers[worker] ?? new Int32Array()
    for (const field of fields) {
      const begin = (places[worker] ?? 0) + 1
      const end = begin + (own[begin - 1] ?? 0)
      places[worker] = end
      lists[field]?.push(rowOf(field, own.slice(begin, end)))
    }
  }
  const problems = told.flatMap((one) => one.problems ?? []).sort(([a], [b]) => a - b)
  return { ...lists, ...(told[0]?.problems === undefined ? {} : { problems }) } as unknown as TokenRows // of the fields that it was made of
}

function rowOf(field: Field, numbers: Int32Array): Row {
  const kind = FIELDS[field]
  if (kind === 'flag') return numbers[0] === 1
  return kind === 'numbers' ? numbers : Array.from({ length: numbers.length / 2 }, (_, i): readonly [number, number] => [numbers[2 * i] ?? 0, numbers[2 * i + 1] ?? 0])
}
