import { createInterface } from 'node:readline'
import type { ChatMessage } from '../../base/tokenizer/chat.ts'
import { PeftError } from '../../errors.ts'
import { closeModel, open, OPEN_FLAGS } from '../opened.ts'
import { parsePlaces, UsageError } from '../usage.ts'
import { WRITING_FLAGS, writingOptions } from '../writing.ts'

const COMMANDS = '/reset begins anew, /exit or Ctrl-D ends, Ctrl-C stops an answer'

/** A conversation, a line at a time. */
export async function chatCommand(args: string[]): Promise<number> {
  const { values, places: [source = ''] } = parsePlaces('chat', args, { ...OPEN_FLAGS, ...WRITING_FLAGS, system: { type: 'string' } }, ['folder or Hub id'])
  const options = writingOptions(values)
  const { generateText } = await import('../../base/generate/text.ts')
  const { model, readers: { tokenizer } } = await open(source, values, { fallback: 'causal-lm' })
  try {
    if (tokenizer === undefined) throw new UsageError(`chat: ${source} is no model of texts`)
    const begin = (): ChatMessage[] => (values.system === undefined ? [] : [{ role: 'system', content: values.system }])
    let messages = begin()
    const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: '> ', terminal: process.stdin.isTTY })
    if (process.stdin.isTTY) console.log(`${source}: ${COMMANDS}.`)
    let answering = new AbortController()
    lines.on('SIGINT', () => { answering.abort() })
    lines.prompt()
    for await (const line of lines) {
      const content = line.trim()
      if (content === '/exit') break
      if (content === '/reset') messages = begin()
      else if (content !== '') {
        answering = new AbortController()
        let answer = ''
        try {
          for await (const piece of generateText(model, tokenizer, [...messages, { role: 'user', content }], options)) {
            process.stdout.write(piece)
            answer += piece
            if (answering.signal.aborted) break
          }
          messages = [...messages, { role: 'user', content }, { role: 'assistant', content: answer }]
        } catch (error) {
          if (!(error instanceof PeftError) || messages.length === begin().length) throw error
          process.stdout.write(`${error.message}\n/reset begins anew.`) // it has become longer than the model reads
        }
        process.stdout.write('\n')
      }
      lines.prompt()
    }
    lines.close()
    return 0
  } finally {
    closeModel(model)
  }
}
