import { text } from 'node:stream/consumers'
import { closeModel, open, OPEN_FLAGS } from '../opened.ts'
import { parsePlaces, UsageError } from '../usage.ts'
import { WRITING_FLAGS, writingOptions } from '../writing.ts'

/** Continues a text, or answers it by the model's chat template. */
export async function generateCommand(args: string[]): Promise<number> {
  const { values, places: [source = ''] } = parsePlaces('generate', args, {
    ...OPEN_FLAGS, ...WRITING_FLAGS, prompt: { type: 'string' }, system: { type: 'string' }, chat: { type: 'boolean' },
  }, ['folder or Hub id'])
  if (values.prompt === undefined) throw new UsageError("generate: expected --prompt 'Once upon a time', or --prompt - for what comes in")
  if (values.system !== undefined && values.chat !== true) throw new UsageError('generate: --system: expected --chat beside it')
  const options = writingOptions(values)
  const prompt = values.prompt === '-' ? await text(process.stdin) : values.prompt
  const { generateText } = await import('../../base/generate/text.ts')
  const { model, readers: { tokenizer } } = await open(source, values, { fallback: 'causal-lm' })
  try {
    if (tokenizer === undefined) throw new UsageError(`generate: ${source} is no model of texts`)
    const messages = [...(values.system === undefined ? [] : [{ role: 'system', content: values.system }]), { role: 'user', content: prompt }]
    for await (const piece of generateText(model, tokenizer, values.chat === true ? messages : prompt, options)) process.stdout.write(piece)
    process.stdout.write('\n')
    return 0
  } finally {
    closeModel(model)
  }
}
