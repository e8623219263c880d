// Energy and CO2 of one training, as `Trainer` tells them and as CodeCarbon does, which watches the same process:
//
//   npm run bench:carbon -- --watts 40 --steps 60        some two minutes
//
// Where the machine has counters (RAPL) both read them. Elsewhere each assumes: CodeCarbon a share of the processor's thermal design power by its load,
// and 5 W for each bar of memory it supposes; ours the watts that are stated, over the seconds of the training. CodeCarbon counts the whole
// process: its start and the loading of the model too.

import { parseArgs } from 'node:util'
import type { Cost } from 'tfjs-peft/advanced'
import { writeSection } from './doc-section.ts'
import { compiled, path, peersPython, run } from './process.ts'

interface Both {
  readonly codecarbon: { readonly seconds: number; readonly cpuWatts: number; readonly ramWatts: number; readonly joules: number; readonly grams: number; readonly gramsPerKilowattHour: number; readonly cpu: string }
  readonly ours: Cost
}

const { values: { watts, steps, factor } } = parseArgs({ options: { watts: { type: 'string', default: '40' }, steps: { type: 'string', default: '60' }, factor: { type: 'string', default: '380' } } })
const program = await compiled('carbon-run')
const { codecarbon, ours } = await run(peersPython('codecarbon'), [path('peers/carbon.py'), process.execPath, program, steps, watts, factor]) as Both
const row = (name: string, seconds: number, watt: string, joules: number, grams: number): string => `| ${name} | ${seconds.toFixed(1)} s | ${watt} | ${joules.toFixed(0)} J | ${grams.toFixed(3)} g |`
const table = [
  '| by | time | power | energy | CO2 |', '|---|---|---|---|---|',
  row(`CodeCarbon, ${codecarbon.gramsPerKilowattHour.toFixed(0)} g/kWh`, codecarbon.seconds, `${codecarbon.cpuWatts.toFixed(1)} W processor, ${codecarbon.ramWatts.toFixed(1)} W memory`, codecarbon.joules, codecarbon.grams),
  row(`Trainer, ${factor} g/kWh`, ours.seconds, `${((ours.joules ?? NaN) / ours.seconds).toFixed(1)} W by ${ours.energySource ?? 'nothing'}`, ours.joules ?? NaN, ours.gramsOfCo2 ?? NaN),
  '', `${steps} steps of 16 rows of 64 tokens, LoRA on MiniLM: ${(ours.operations / 1e12).toFixed(2)} TFLOP in products. CodeCarbon of version 3.3.2 found ${codecarbon.cpu}; node ${process.version}.`,
].join('\n')
console.log(table)
await writeSection('training', 'bench:carbon', table)
