// Where the time of a decoded token goes without a program: in the runtime's operations, by name, and in JavaScript around them; and what it
// takes as a program.
//
//   npx tsx bench/decode-profile.ts                                     GPT-2's shape, one row, float32
//   npx tsx bench/decode-profile.ts --rows 8 --dtype int8 --shape gpt2-bfloat16
//
// Some 20 seconds. A clock around each operation takes time by itself.

import { parseArgs } from 'node:util'
import { loadModel, type LoadOptions } from '../src/base/checkpoint/load.ts'
import { tensorflow } from '../src/base/engine/tensorflow.ts'
import { KvCache } from '../src/base/generate/cache.ts'
import { useStepPrograms } from '../src/base/generate/steps.ts'
import { table } from './markdown.ts'
import { median } from './process.ts'
import { randomModelFolder } from './random-model.ts'

const PROMPT = 32
const STEPS = 40

const { values } = parseArgs({ options: { shape: { type: 'string', default: 'gpt2' }, dtype: { type: 'string', default: 'float32' }, rows: { type: 'string', default: '1' } } })

const model = await loadModel(await randomModelFolder(values.shape), { task: 'causal-lm', dtype: values.dtype as NonNullable<LoadOptions['dtype']> })
const batch = Number(values.rows)
const cache = new KvCache()
const step = (length: number): void => {
  const logits = model.forward({ ids: new Int32Array(batch * length).fill(7), batch, length }, { cache })
  logits.dataSync()
  logits.dispose()
}
const timed = (work: () => void): number => {
  const begin = performance.now()
  work()
  return performance.now() - begin
}
step(PROMPT)
for (let i = 0; i < 6; i++) step(1)
const asProgram = median(Array.from({ length: STEPS }, () => timed(() => { step(1) })))
useStepPrograms(false)
const plain = median(Array.from({ length: STEPS }, () => timed(() => { step(1) })))
const spent = new Map<string, number[]>() // milliseconds of each call
const engine = tensorflow() as unknown as { binding: Record<string, (...args: unknown[]) => unknown> }
const clock = (name: string): object => ({
  value: (...args: unknown[]) => {
    const begin = performance.now()
    const result = plainBinding[name]?.(...args)
    const key = name === 'executeOp' ? String(args[0]).replace(/^TfjsPeft_.*_/, 'fused ') : name
    if (!spent.has(key)) spent.set(key, [])
    spent.get(key)?.push(performance.now() - begin)
    return result
  },
})
const plainBinding = engine.binding
engine.binding = Object.create(plainBinding, Object.fromEntries(['executeOp', 'createTensor', 'deleteTensor', 'tensorDataSync'].map((name) => [name, clock(name)]))) as typeof plainBinding
const clocked = timed(() => { for (let i = 0; i < STEPS; i++) step(1) }) / STEPS
const rows = [...spent].map(([name, times]) => [name, times.length / STEPS, times.reduce((sum, time) => sum + time, 0) / STEPS] as const).sort((a, b) => b[2] - a[2])
const inside = rows.reduce((sum, [, , time]) => sum + time, 0)
console.log(table(['', 'calls a token', 'ms a token'], [
  ...rows.map(([name, calls, time]) => [name, calls.toFixed(1), time.toFixed(2)]),
  ['JavaScript', '', (clocked - inside).toFixed(2)], ['all', '', clocked.toFixed(2)], ['all, without the clock', '', plain.toFixed(2)], ['as a program', '', asProgram.toFixed(2)],
]).join('\n'))
cache.dispose()
model.dispose()
