import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline/promises'
import { checkJob, readArguments } from '../job/read.ts'
import { openRows } from '../job/rows.ts'
import { UsageError } from '../usage.ts'

type Json = Readonly<Record<string, unknown>>

/** One that has to be known, and how it is asked for. */
interface Question {
  readonly flag: string
  readonly path: readonly [string] | readonly [string, string]
  readonly ask: string
  readonly usual: (job: Json) => string
}

const within = (job: Json, name: string): Json => (typeof job[name] === 'object' && job[name] !== null ? job[name] as Json : {})
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

const NEEDED: readonly Question[] = [
  { flag: '--model', path: ['model'], ask: 'Model, a folder or an id of the Hub', usual: () => 'sentence-transformers/all-MiniLM-L6-v2' },
  { flag: '--data', path: ['data', 'train'], ask: 'Rows to train on: a .csv, .jsonl, .parquet or .txt file, a folder of pictures, or hub:owner/name', usual: () => '' },
  { flag: '--output', path: ['output'], ask: 'Folder for the adapter and its report', usual: (job) => `out/${textOf(within(job, 'data')['train']).replace(/^.*[/:]/, '').replace(/\..*$/, '') || 'adapter'}` },
]

/** Columns that say what is learned, the flags of which one is enough. */
const COLUMNS = ['text', 'words', 'messages', 'image'] as const
const TARGETS = ['label', 'labelSet', 'number', 'tags', 'answer', 'positive', 'target'] as const

/** Writes a job's file from flags, and asks for the rest. */
export async function initCommand(args: string[]): Promise<number> {
  const { file = 'job.json', json } = readArguments(args, { command: 'init', isNew: true })
  if (existsSync(file)) throw new UsageError(`init: ${file} is there already; give another name, as in init other.json`)
  const job = process.stdin.isTTY && process.stdout.isTTY ? await completed(json) : json
  const missing = [
    ...NEEDED.filter(({ path }) => valueAt(job, path) === undefined).map(({ flag }) => flag),
    ...(COLUMNS.some((name) => within(job, 'data')[name] !== undefined) ? [] : [`one of ${COLUMNS.map((name) => `--${name}`).join(', ')}`]),
  ]
  if (missing.length > 0) throw new UsageError(`init: nobody is there to be asked, and these are missing: ${missing.join('; ')}`)
  const checked = checkJob(job, 'The job')
  await writeFile(file, `${JSON.stringify({ $schema: './node_modules/tfjs-peft/dist/job.schema.json', ...checked }, undefined, 2)}\n`, { flag: 'wx' })
  console.log(`${file} is written. To train it: tfjs-peft train ${file}`)
  return 0
}

function valueAt(job: Json, [first, second]: Question['path']): unknown {
  return second === undefined ? job[first] : within(job, first)[second]
}

/** Asks for what is not there. */
async function completed(json: Json): Promise<Json> {
  const lines = createInterface({ input: process.stdin, output: process.stdout })
  const ask = async (question: string, usual: string): Promise<string> => ((await lines.question(`${question}${usual === '' ? '' : ` [${usual}]`}: `)).trim() || usual)
  try {
    let job = json
    for (const { path: [first, second], ask: question, usual } of NEEDED) {
      if (valueAt(job, second === undefined ? [first] : [first, second]) !== undefined) continue
      const value = await ask(question, usual(job))
      job = second === undefined ? { ...job, [first]: value } : { ...job, [first]: { ...within(job, first), [second]: value } }
    }
    const data = within(job, 'data')
    if (COLUMNS.some((name) => data[name] !== undefined)) return job
    const first = await firstRow(textOf(data['train']))
    const columns = Object.keys(first)
    console.log(`The rows have ${columns.join(', ')}.`)
    const kinds = COLUMNS.filter((name) => columns.includes(name))
    const input = await ask(`What a row is: ${COLUMNS.join(', ')}`, kinds[0] ?? 'text')
    const column = await ask(`Column with the ${input}`, columns.includes(input) ? input : columns[0] ?? '')
    const target = input === 'messages' ? 'none' : await ask(`What is learned: ${TARGETS.join(', ')}, or none`, TARGETS.find((name) => columns.includes(name)) ?? 'label')
    const learned = target === 'none' ? {} : { [target]: await ask(`Column with the ${target}`, columns.includes(target) ? target : columns.at(-1) ?? '') }
    const share = await ask('Rows to measure on: a file, or a share of these', '0.1')
    const task = target === 'none' && input === 'text' && job['task'] === undefined ? { task: await ask('Task: causal-lm, masked-lm, seq2seq-lm', 'causal-lm') } : {}
    return { ...job, ...task, data: { ...data, [input]: column, ...learned, evaluate: Number.isFinite(Number(share)) ? Number(share) : share } }
  } finally {
    lines.close()
  }
}

async function firstRow(name: string): Promise<object> {
  for await (const row of (await openRows(name)).rows()) return row
  return {}
}
