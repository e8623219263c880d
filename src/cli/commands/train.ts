import { join } from 'node:path'
import type { Adapter } from '../../base/adapter/adapter.ts'
import { untilInterrupted } from '../../training/interrupt.ts'
import { shownCost } from '../../training/shown-cost.ts'
import { flagHelp } from '../job/flags.ts'
import { jobSchema } from '../job/job.ts'
import { checkJob, readArguments } from '../job/read.ts'
import { INTERRUPTED, UsageError } from '../usage.ts'

/** Trains what a file and flags say. */
export async function train(args: string[]): Promise<number> {
  const { own, file, json } = readArguments(args)
  if (own.has('help')) console.log(`Usage: tfjs-peft train [job.json] [flags]\n\n${flagHelp()}`)
  else if (own.has('schema')) console.log(JSON.stringify(jobSchema(), undefined, 2))
  else return await trainJob(args, file, json, own.has('dry-run'))
  return 0
}

async function trainJob(args: readonly string[], file: string | undefined, json: Readonly<Record<string, unknown>>, isDry: boolean): Promise<number> {
  if (Object.keys(json).length === 0) throw new UsageError('train: expected a job\'s file, or flags, as in train job.json --epochs 3; train --help lists them')
  const job = checkJob(json, file ?? 'The flags')
  const { close, prepare, run } = await import('../job/run.ts')
  const prepared = await prepare(job, (line) => { console.log(line) })
  try {
    console.log(`steps       ${prepared.trainer.steps}`)
    if (isDry) return 0
    const { end, step, steps, reason, cost, best } = await run(prepared, untilInterrupted())
    console.log(`cost        ${shownCost(cost)}`)
    if (end === 'stopped') {
      console.log(`stopped     after ${step} of ${steps} steps (${reason ?? ''}). To go on: tfjs-peft train ${args.map(quoted).join(' ')}`)
      return reason?.startsWith('SIG') === true ? INTERRUPTED : 0
    }
    if (prepared.budget !== undefined) console.log(`ranks       ${keptRanks(prepared.adapter)}`)
    console.log(`report      ${join(job.output, 'report.html')}`)
    console.log(`saved       ${job.output}, in HF PEFT's format${best === undefined ? '' : `; the weights of step ${best.step}`}`)
    return 0
  } finally {
    close(prepared)
  }
}

/** What an AdaLoRA has left, in the weights that are saved. */
function keptRanks({ sites, trainable }: Adapter): string {
  const left = sites.map(({ name }) => Array.from(trainable[`${name}.E`]?.dataSync() ?? []).filter((singular) => singular !== 0).length)
  return `${left.reduce((sum, rank) => sum + rank, 0)} left in ${left.length} modules, ${Math.min(...left)} to ${Math.max(...left)} in each`
}

/** As a shell takes it. */
const quoted = (arg: string): string => (/^[\w./:=,@-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`)
