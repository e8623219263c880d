import { generate, GENERATE_OPTIONS } from './generate.ts'
import { checkKind } from '../awaited.ts'
import type { GenerateOptions } from './settings.ts'
import type { Model } from '../model.ts'
import { checkNames, type Names } from '../options.ts'
import { InputError } from '../../errors.ts'
import { checkParts, checkRoles, type ChatMessage, type ChatOptions } from '../tokenizer/chat.ts'
import { warnOfOtherWords } from '../tokenizer/own-words.ts'
import { textStream } from '../tokenizer/stream.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'

/** How a text is continued, or a conversation by its template. */
export type GenerateTextOptions = Omit<GenerateOptions, 'tokenizer'> & Omit<ChatOptions, 'addGenerationPrompt'>

export const GENERATE_TEXT_OPTIONS: Names<GenerateTextOptions> = { ...GENERATE_OPTIONS, tools: true, template: true, variables: true }

/**
 * Continues one text, writes an encoder-decoder's answer to it, or answers a conversation, piece by piece as `generate` does. A piece is one token's text or that of
 * several, where a character takes several; special tokens are left out. A stop string is part of the text.
 *
 * @param prompt a text, or messages for the tokenizer's chat template
 * @throws InputError with everything that is wrong with the options or the prompt
 * @example
 * for await (const piece of generateText(model, tokenizer, 'Once upon a time', { maxNewTokens: 40 })) {
 *   process.stdout.write(piece)
 * }
 */
export function generateText(
  model: Model,
  tokenizer: Tokenizer,
  prompt: string | readonly ChatMessage[],
  options: GenerateTextOptions,
): AsyncGenerator<string, void> {
  checkNames('generateText', options, GENERATE_TEXT_OPTIONS)
  checkKind('tokenizer', tokenizer)
  checkKind('model', model)
  warnOfOtherWords(model, tokenizer)
  const { ids, rest } = promptOf('generateText', tokenizer, prompt, options)
  const before = model.parts.architecture.decoderStart === undefined ? ids : []
  return piecesOf(generate(model, ids, { ...rest, tokenizer }), tokenizer, before)
}

/** The ids of a prompt, and the options that are not those of its template. @param caller the function, as errors name it */
export function promptOf(
  caller: string, tokenizer: Tokenizer, prompt: string | readonly ChatMessage[], options: GenerateTextOptions,
): { readonly ids: readonly number[]; readonly rest: Omit<GenerateOptions, 'tokenizer'> } {
  const chat = typeof prompt !== 'string' // a chat template writes special tokens itself
  const { tools, template, variables, ...rest } = options
  const ofTemplate = { ...(tools === undefined ? {} : { tools }), ...(template === undefined ? {} : { template }), ...(variables === undefined ? {} : { variables }) }
  if (!chat && Object.keys(ofTemplate).length > 0) throw new InputError(`${caller}: ${Object.keys(ofTemplate).join(', ')}: for the chat template, which a plain text does not use. Give messages`)
  const text = chat ? tokenizer.applyChatTemplate(prompt, { ...ofTemplate, addGenerationPrompt: true }) : prompt
  if (chat) checkRoles(prompt)
  if (chat) checkParts(prompt, text)
  return { ids: [...(tokenizer.encode([text], { specialTokens: !chat }).ids[0] ?? [])], rest }
}

async function* piecesOf(tokens: ReturnType<typeof generate>, tokenizer: Tokenizer, prompt: readonly number[]): AsyncGenerator<string, void> {
  const stream = textStream(tokenizer, prompt)
  for await (const [id] of tokens) {
    const piece = id === undefined ? '' : stream.push(id)
    if (piece !== '') yield piece
  }
  const rest = stream.end()
  if (rest !== '') yield rest
}
