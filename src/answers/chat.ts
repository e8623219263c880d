import { generateText, type GenerateTextOptions } from '../base/generate/text.ts'
import type { Model } from '../base/model.ts'
import type { ChatMessage } from '../base/tokenizer/chat.ts'
import { firstOf, InputError, shown } from '../errors.ts'
import type { Tokenizer } from '../base/tokenizer/tokenizer.ts'

/** How a conversation is answered. */
export type ConversationOptions = GenerateTextOptions & {
  /** Given the answer's text piece by piece, as it comes. @default nothing */
  readonly onText?: (piece: string) => void
}

/**
 * The whole answer to a conversation, which the tokenizer's chat template writes; `generateText` gives it to a loop, piece by piece.
 *
 * @returns the text, without special tokens
 * @throws InputError with everything that is wrong with the messages or the options
 * @example
 * const messages = [{ role: 'user', content: 'What is the capital of Italy?' }]
 * const content = await chat(model, tokenizer, messages, { maxNewTokens: 40, onText: (piece) => process.stdout.write(piece) })
 * messages.push({ role: 'assistant', content }, { role: 'user', content: 'And of France?' })
 */
export async function chat(model: Model, tokenizer: Tokenizer, messages: readonly ChatMessage[], options: ConversationOptions): Promise<string> {
  if (!Array.isArray(messages)) throw new InputError(`chat: expected messages, a list of { role, content }, got ${shown(messages)}. A text by itself is continued by generateText.`)
  checkMessages(messages)
  const { onText, ...rest } = (options as ConversationOptions | undefined) ?? {} as ConversationOptions
  let answer = ''
  for await (const piece of generateText(model, tokenizer, messages, rest)) {
    answer += piece
    onText?.(piece)
  }
  return answer
}

/** A template writes what is no text as Python prints it. @throws InputError with every message that cannot be answered */
function checkMessages(messages: readonly ChatMessage[]): void {
  const problems = messages.flatMap((message: Partial<ChatMessage> | undefined, i) => {
    const { content, tool_calls: calls } = message ?? {}
    if (typeof content === 'string' || Array.isArray(content) || ((content ?? undefined) === undefined && (calls ?? undefined) !== undefined)) return []
    return [`message ${i}: expected { role, content } with a text as content, got ${message === undefined || content === undefined ? shown(message) : `the content ${shown(content)}`}`]
  })
  if (messages.at(-1)?.role === 'assistant') problems.push(`message ${messages.length - 1}: expected one to answer at the end, got the assistant's; to have a text continued: generateText(model, tokenizer, tokenizer.applyChatTemplate(messages), …)`)
  if (problems.length > 0) throw new InputError('chat: the conversation cannot be answered:', firstOf(problems, 'messages'))
}
