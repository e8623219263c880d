import { createWriteStream } from 'node:fs'
import { once } from 'node:events'
import { closeModel, open } from '../opened.ts'
import { rowCall } from '../row-command.ts'
import { openRows } from '../job/rows.ts'
import { say, type Speaker } from '../job/said.ts'
import type { Row } from '../../data/dataset.ts'
import { given, UsageError, wholeNumber } from '../usage.ts'

/** Rows that are answered together. */
const TOGETHER = 64

/** Answers rows: each goes out as a line of JSON, as it came in and with a prediction. */
export async function predictCommand(args: string[]): Promise<number> {
  const { source, values, data: asked } = rowCall('predict', args, { out: { type: 'string' }, 'max-tokens': { type: 'string' } })
  if (asked.train === undefined) throw new UsageError('predict: expected rows: --data rows.csv')
  const maxNewTokens = wholeNumber('max-tokens', text(values['max-tokens']))
  const rows = await openRows(asked.train, asked)
  const { model, readers, job } = await open(source, values)
  const out = text(values['out'])
  const stream = out === undefined ? process.stdout : createWriteStream(out)
  try {
    const speaker: Speaker = { model, ...readers, columns: { ...job.data, ...asked }, generate: given({ maxNewTokens }) }
    let [part, count]: [Row[], number] = [[], 0]
    const answerPart = async (): Promise<void> => {
      const said = await say(speaker, part)
      for (const [i, row] of part.entries()) if (!stream.write(`${JSON.stringify({ ...row, prediction: said[i]?.fields })}\n`)) await once(stream, 'drain')
      count += part.length
      part = []
    }
    for await (const row of rows.rows()) if (part.push(row) === TOGETHER) await answerPart()
    if (part.length > 0) await answerPart()
    if (out !== undefined) {
      stream.end()
      await once(stream, 'close')
      console.log(`${count} rows with their predictions: ${out}`)
    }
    return 0
  } finally {
    closeModel(model)
  }
}

const text = (value: string | boolean | undefined): string | undefined => (typeof value === 'string' ? value : undefined)
