// Tokenizers of each kind, and random ones, on real lines in many scripts, against Python's tokenizers: the ids, the text, and the time for a text of 1 MB.
//
// TFJS_PEFT_SEED=7 npm run peers -- tokenizers    the run with that seed again; TFJS_PEFT_COUNT=1000 makes it longer

import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, inject, it } from 'vitest'
import { loadTokenizer } from '../../src/base/tokenizer/tokenizer.ts'
import type { Tokenizer } from '../../src/base/tokenizer/tokenizer.ts'
import { CheckpointError } from '../../src/errors.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath } from '../golden.ts'
import { peerScript } from './python.ts'

interface Case {
  /** Of those that are not random. */
  readonly kind?: string
  /** What Python's takes for a text of 1 MB, of the processor's time. */
  readonly seconds?: number
  readonly json: object
  readonly rows: readonly { readonly text: string; readonly ids: readonly number[] | null; readonly decoded?: string }[]
}

const temporary = temporaryFolder()
const seed = process.env['TFJS_PEFT_SEED'] ?? String(Math.floor(Math.random() * 1e6))
const count = process.env['TFJS_PEFT_COUNT'] ?? '60'
const cache = join(process.env['TFJS_PEFT_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tfjs-peft'), 'lines')

it(`a tokenizer of each kind, ${count} random ones and those of the tests split and join 10,000 real lines as Python does (seed ${seed})`, async () => {
  const out = temporary('cases.json')
  const fixed = ['bytes', 'unigram', 'words'].map((name) => goldenPath(`tokenizer/${name}/tokenizer.json`))
  const options = ['--cache', cache, '--seed', seed, '--count', count, '--out', out]
  await promisify(execFile)(inject('python'), [peerScript('tokenizers_random.py'), ...options, ...fixed], { maxBuffer: 2 ** 28 })
  const { lines, megabyte, cases } = JSON.parse(await readFile(out, 'utf8')) as { lines: number; megabyte: string; cases: readonly Case[] }
  expect(lines).toBe(10_000)

  const refusals = new Map<string, number>()
  let rows = 0
  for (const [i, each] of cases.entries()) {
    const folder = temporary(String(i))
    await mkdir(folder)
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(each.json))
    const tokenizer = await loadTokenizer(folder).catch((error: unknown) => {
      if (!(error instanceof CheckpointError)) throw error
      const reason = error.message.split(/[:\n] +/).slice(1).join(' ').replace(/\[\d\]/g, '').slice(0, 80)
      refusals.set(reason, (refusals.get(reason) ?? 0) + 1)
      return undefined
    })
    if (tokenizer === undefined) continue
    rows += compare(tokenizer, each, `seed ${seed}, case ${i}`)
    if (each.kind === undefined) continue
    const ratio = secondsFor(tokenizer, megabyte) / (each.seconds ?? NaN)
    process.stdout.write(`1 MB by ${each.kind}: ${ratio.toFixed(1)} x the time of Python's\n`)
  }
  process.stdout.write(`seed ${seed}: ${rows} rows alike; ${[...refusals.values()].reduce((sum, number) => sum + number, 0)} of ${cases.length} tokenizers refused\n`)
  for (const [reason, number] of refusals) process.stdout.write(`  ${number} x ${reason}\n`)
  expect(rows).toBeGreaterThan(8 * lines)
}, 900_000)

/** Of the processor, the best of three; each by a tokenizer that has seen the lines, as Python's has. */
function secondsFor(tokenizer: Tokenizer, text: string): number {
  return Math.min(...[1, 2, 3].map(() => {
    const before = process.cpuUsage()
    tokenizer.encode([text])
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1e6
  }))
}

/** How many rows were compared; those that Python itself fails on are left out. */
function compare(tokenizer: Tokenizer, { rows }: Case, where: string): number {
  const good = rows.filter((row) => row.ids !== null)
  for (const { text, ids, decoded } of good) {
    const own = [...(tokenizer.encode([text]).ids[0] ?? [])]
    const joined = tokenizer.decode(own)
    if (own.join() === ids?.join() && joined === decoded) continue // an expectation for each of 100,000 rows takes minutes
    expect({ where, text, ids: own, decoded: joined }).toEqual({ where, text, ids, decoded })
  }
  return good.length
}
