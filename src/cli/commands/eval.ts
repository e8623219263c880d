import { measurements } from '../../training/watch.ts'
import { closeModel, open } from '../opened.ts'
import { rowCall } from '../row-command.ts'
import { asTask, readRows } from '../job/examples.ts'
import type { JobData } from '../job/job.ts'
import { openRows, rowsOf } from '../job/rows.ts'
import { given, UsageError } from '../usage.ts'

/** Measures a model on rows. */
export async function evaluateCommand(args: string[]): Promise<number> {
  const { source, values, data: asked } = rowCall('eval', args, { json: { type: 'boolean' } })
  const { evaluate } = await import('../../training/measure.ts')
  const { model, readers, job } = await open(source, values)
  try {
    const data: JobData = { train: '', ...job.data, ...asked }
    const rows = asked.train !== undefined ? await openRows(asked.train, asked) : job.data?.evaluate === undefined ? undefined : (await rowsOf(job.data)).evaluate
    if (rows === undefined) throw new UsageError(`eval: expected rows to measure on: --data rows.csv`)
    const { examples, warnings } = await readRows(rows, data, readers, model.labels)
    for (const warning of warnings) console.error(`warning: ${warning}`)
    const measured = await evaluate(model, asTask(model, examples, readers, given({ seed: job.seed })))
    if (values['json'] === true) console.log(JSON.stringify(measured))
    else {
      console.log(`rows        ${(examples.ids ?? examples.pixels ?? []).length}`)
      for (const [name, value] of measurements({ type: 'evaluate', step: 0, epoch: 0, ...measured })) console.log(`${name.replaceAll('_', ' ').padEnd(11)} ${value.toFixed(4)}`)
    }
    return 0
  } finally {
    closeModel(model)
  }
}
