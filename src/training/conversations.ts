// Conversations of a data set: what a row must have, and its tokens with the answers as what is learned.

import { checkParts, roleMeant, type ChatMessage } from '../base/tokenizer/chat.ts'
import type { Tokenizer } from '../base/tokenizer/tokenizer.ts'
import { IGNORED_LABEL } from '../base/ops/cross-entropy.ts'
import { InputError, PeftError, shown } from '../errors.ts'
import { isMissing, MISSING, Wrong, type Found } from './row-values.ts'

export type Conversation = readonly ChatMessage[]

const ANSWERS = 'assistant'

/** Messages as chat templates know them, of which one is an answer. A template would write what is missing as a text: "None". */
export function conversationOf(value: unknown): Found<Conversation> {
  if (isMissing(value) || (Array.isArray(value) && value.length === 0)) return MISSING
  if (!Array.isArray(value)) return new Wrong('expected a list of messages, { role, content }, got', shown(value))
  const strange: unknown = value.find((message: unknown) => !hasRole(message) || !isContent(message.content))
  if (strange !== undefined) return new Wrong(`expected messages of { role, content }, as a function of the row makes them${ofFrom(strange)}; got`, shown(strange))
  const messages = value as Conversation
  const misnamed = messages.find(({ role }) => roleMeant(role) !== undefined)
  const meant = misnamed && roleMeant(misnamed.role)
  if (meant === ANSWERS) return new Wrong(`expected answers to have the role '${ANSWERS}', as others are read and not learned; got`, `the role ${shown(misnamed?.role)}`)
  if (meant !== undefined) return new Wrong(`expected the role '${meant}', as chat templates know it; got`, `the role ${shown(misnamed?.role)}`)
  const lacks = messages.some(({ role, content, tool_calls: calls }) => isMissing(calls) && (content ?? undefined) === undefined || role === ANSWERS && isMissing(content) && isMissing(calls))
  return lacks || !messages.some(isAnswer) ? MISSING : messages
}

/** What begins a conversation answers nothing. */
function isAnswer({ role }: ChatMessage, place: number): boolean {
  return role === ANSWERS && place > 0
}

function hasRole(message: unknown): message is ChatMessage {
  return typeof message === 'object' && message !== null && typeof (message as Partial<ChatMessage>).role === 'string'
}

/** A text, or its parts. */
function isContent(content: unknown): boolean {
  return (content ?? undefined) === undefined || typeof content === 'string' || Array.isArray(content)
}

function ofFrom(message: unknown): string {
  const isOther = typeof message === 'object' && message !== null && 'from' in message && 'value' in message
  return isOther ? ": messages: (row) => row.conversations.map(({ from, value }) => ({ role: from === 'gpt' ? 'assistant' : 'user', content: value }))" : ''
}

/** Rows of tokens, and of each token the label. */
export interface TokensOfConversations {
  readonly ids: readonly Int32Array[]
  readonly tokenLabels: readonly Int32Array[]
  /** Whether `maxLength` has cut something off the row. */
  readonly truncated: readonly boolean[]
  /** What is wrong with a conversation, by its number. */
  readonly problems: readonly (readonly [conversation: number, problem: string])[]
}

/** Conversations as the tokenizer's chat template writes them; a token that is not of an answer has no label. */
export function tokensOfConversations(tokenizer: Tokenizer, conversations: readonly Conversation[], maxLength?: number): TokensOfConversations {
  const problems: [number, string][] = []
  const rows = conversations.map((messages, i) => {
    try {
      return tokensOf(tokenizer, messages, maxLength)
    } catch (error) {
      if (!(error instanceof PeftError)) throw error
      problems.push([i, error.message])
      return { ids: Int32Array.of(), labels: Int32Array.of(), truncated: false }
    }
  })
  return { ids: rows.map(({ ids }) => ids), tokenLabels: rows.map(({ labels }) => labels), truncated: rows.map(({ truncated }) => truncated), problems }
}

function tokensOf(tokenizer: Tokenizer, messages: Conversation, maxLength: number | undefined): { readonly ids: Int32Array; readonly labels: Int32Array; readonly truncated: boolean } {
  const text = tokenizer.applyChatTemplate(messages)
  checkParts(messages, text)
  const { ids: [ids = new Int32Array()], offsets: [places = []] = [], truncated: [truncated = false] } = tokenizer.encode([text], { specialTokens: false, offsets: true, maxLength }) // the template wrote the special tokens
  const answers = answersIn(tokenizer, messages, text)
  if (answers.length === 0) throw new InputError('the chat template writes a conversation otherwise than what is asked before its answer: where the answer begins cannot be told')
  return { ids, labels: ids.map((id, token) => (answers.some(([begin, end]) => isWithin(places[token], begin, end)) ? id : IGNORED_LABEL)), truncated }
}

/**
 * Where the answers stand in a conversation's text: from the end of what `generate` would be given to the end of the message. Templates that
 * write an answer otherwise once another follows, as those that take its reasoning out, have the last one learned.
 */
function answersIn(tokenizer: Tokenizer, messages: Conversation, text: string): (readonly [begin: number, end: number])[] {
  return messages.flatMap((message, i) => {
    if (!isAnswer(message, i)) return []
    const asked = tokenizer.applyChatTemplate(messages.slice(0, i), { addGenerationPrompt: true })
    const answered = tokenizer.applyChatTemplate(messages.slice(0, i + 1))
    return text.startsWith(asked) && text.startsWith(answered) ? [[asked.length, answered.length] as const] : []
  })
}

function isWithin(place: readonly [number, number] | undefined, begin: number, end: number): boolean {
  return place !== undefined && place[0] >= begin && place[0] < end
}
