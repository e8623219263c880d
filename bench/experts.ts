// A LoRA step of a layer with experts, of the shape that Qwen3-MoE has: beside the products that its tokens need, and beside HF PEFT's step.
//
//   npm run bench:experts                            writes bench/results/<kind of processor>/experts.json; on a machine that does nothing else
//   npm run bench:experts -- --rounds 1 --steps 1    a short run, which is no result
//
// Sides take turns, and each begins as often as the other: A B B A. Each run is a process of its own.

import { parseArgs } from 'node:util'
import { compiled, machineNow, median, path, peersPython, run } from './process.ts'
import { saveTimes } from './processors.ts'
import { randomModelFolder } from './random-model.ts'
import type { Measured, Run } from './step-run.ts'

const WORKLOADS = [
  { dtype: 'float32', batch: 8, length: 128 },
  { dtype: 'bfloat16', batch: 8, length: 128 },
] as const
const FULL = { rounds: 6, steps: 5 }

const { values } = parseArgs({ options: { rounds: { type: 'string', default: String(FULL.rounds) }, steps: { type: 'string', default: String(FULL.steps) } } })
const [rounds, steps] = [Number(values.rounds), Number(values.steps)]
const python = peersPython()
const program = await compiled('step-run')
const model = await randomModelFolder('qwen3-moe-layer')
const rows: object[] = []
for (const workload of WORKLOADS) {
  const task: Run = {
    model, task: 'sequence-classification', method: 'LoRA, experts too', ...workload, measure: 'step', steps, warmup: 2, compile: false, recompute: false,
  }
  const sides = {
    ours: async () => (await run('node', [program, JSON.stringify(task)])) as Measured,
    peer: async () => (await run(python, [path('peers/step.py'), JSON.stringify(task)])) as Measured,
  }
  const runs: Record<keyof typeof sides, Measured[]> = { ours: [], peer: [] }
  for (let round = 0; round < rounds; round++) {
    for (const side of round % 2 === 0 ? (['ours', 'peer'] as const) : (['peer', 'ours'] as const)) runs[side].push(await sides[side]())
  }
  const step = (of: readonly Measured[]): number => median(of.flatMap(({ times_ms }) => times_ms))
  const [step_ms, peer_ms, floor_ms] = [step(runs.ours), step(runs.peer), median(runs.ours.map(({ floor_ms = NaN }) => floor_ms))]
  const row = { ...workload, step_ms, floor_ms, peer_ms, of_floor: step_ms / floor_ms, of_peer: step_ms / peer_ms }
  rows.push(row)
  console.log(row)
}
if (rounds === FULL.rounds && steps === FULL.steps) await saveTimes('experts', { machine: machineNow(), rows })
