import { CheckpointError, firstOf, InputError, shown } from '../../errors.ts'
import { TemplateError, templateFrom } from '../jinja/template.ts'

/** One message of a conversation. Templates may read more fields: tool calls, reasoning. */
export interface ChatMessage {
  /** As the template knows it: 'system', 'user', 'assistant', 'tool'. */
  readonly role: string
  readonly content?: unknown
  readonly [field: string]: unknown
}

/** What a chat template is given beside the messages. */
export interface ChatOptions {
  /** End with the words that begin an answer. @default false */
  readonly addGenerationPrompt?: boolean
  /** Functions the model may call, each as a JSON schema. @default none */
  readonly tools?: readonly object[]
  /** Name of a template, where the tokenizer has several. @default 'tool_use' for tools where there is one, else 'default' */
  readonly template?: string
  /** What the template reads besides, as `enable_thinking` of Qwen3; its names come before those of special tokens. @default nothing */
  readonly variables?: Readonly<Record<string, unknown>>
}

/** Writes a conversation as the text its model was trained on. */
export type ChatTemplate = (messages: readonly ChatMessage[], options?: ChatOptions) => string

/** What else people call the roles that chat templates know; a template writes nothing, or something else, for a role that it does not. */
const ALSO_CALLED: Readonly<Record<string, RegExp>> = { assistant: /^(assistant|bot|chatbot|gpt|ai|model)$/i, user: /^(user|human|prompter)$/i, system: /^system$/i, tool: /^tool$/i }

/** The role that was meant by another name of it. */
export function roleMeant(role: string): string | undefined {
  return Object.keys(ALSO_CALLED).find((known) => role !== known && ALSO_CALLED[known]?.test(role))
}

/** @throws InputError where messages have roles by other names than templates know */
export function checkRoles(messages: readonly ChatMessage[]): void {
  const problems = messages.flatMap(({ role }, i) => (roleMeant(role) === undefined ? [] : [`message ${i}: expected the role '${roleMeant(role)}', got ${shown(role)}`]))
  if (problems.length > 0) throw new InputError('Chat templates know other roles:', firstOf(problems, 'messages'))
}

/** @throws InputError where a template that knows texts alone has written the parts of a message as Python prints a list */
export function checkParts(messages: readonly ChatMessage[], text: string): void {
  const inParts = messages.find(({ content }) => Array.isArray(content))
  if (inParts === undefined || !/\[\{'/.test(text)) return
  throw new InputError(`the chat template takes texts alone and would write the list as it is printed: give content as a text, parts.map(({ text }) => text).join(''); got ${shown(inParts)}`)
}

/**
 * The chat templates of a tokenizer, as transformers' `apply_chat_template` uses them.
 *
 * @param config tokenizer_config.json: `chat_template` is a text, or a list of templates with names
 * @param files chat_template.jinja as 'default' and those of additional_chat_templates by their names, which come before that
 * @returns a function that throws InputError where messages or options do not fit or the template refuses them, and
 *   CheckpointError where the template cannot be read
 */
export function chatTemplate(config: Readonly<Record<string, unknown>>, files: ReadonlyMap<string, string> = new Map()): ChatTemplate {
  const texts = new Map([...textsOf(config['chat_template']), ...files])
  const compiled = new Map<string, ReturnType<typeof templateFrom>>()
  const special = specialTokens(config)
  return (messages, { addGenerationPrompt = false, tools, template, variables = {} } = {}) => {
    checkMessages(messages)
    const name = template ?? (tools !== undefined && texts.has('tool_use') ? 'tool_use' : 'default')
    const text = texts.get(name)
    if (text === undefined) throw new InputError(missing(name, [...texts.keys()]))
    const program = compiled.get(name) ?? compile(text)
    compiled.set(name, program)
    try {
      return program({ documents: null, ...special, ...variables, messages, tools: tools ?? null, add_generation_prompt: addGenerationPrompt })
    } catch (cause) {
      if (!(cause instanceof TemplateError)) throw cause
      throw new InputError(`The chat template cannot be applied to these messages: ${cause.message}`, [], { cause })
    }
  }
}

function textsOf(field: unknown): ReadonlyMap<string, string> {
  const texts = new Map<string, string>()
  if (typeof field === 'string') texts.set('default', field)
  else if (Array.isArray(field)) {
    for (const { name, template } of field as Partial<Record<string, unknown>>[]) {
      if (typeof name === 'string' && typeof template === 'string') texts.set(name, template)
    }
  }
  return texts
}

/** bos_token, eos_token and the others by these names. */
function specialTokens(config: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const [name, token] of Object.entries(config)) {
    const content = typeof token === 'object' && token !== null && 'content' in token ? token.content : token
    if (name.endsWith('_token') && typeof content === 'string') found[name] = content
  }
  return found
}

function compile(text: string): ReturnType<typeof templateFrom> {
  try {
    return templateFrom(text)
  } catch (cause) {
    throw new CheckpointError(`The chat template of the tokenizer cannot be read: ${(cause as Error).message}`, [], { cause })
  }
}

function checkMessages(messages: readonly ChatMessage[]): void {
  if (!Array.isArray(messages)) throw new InputError(`applyChatTemplate: expected a list of messages, { role, content }, got ${shown(messages)}.`)
  if (messages.length === 0) throw new InputError('applyChatTemplate: expected at least one message, got none.')
  const problems = messages.flatMap((message: unknown, i) => {
    const fits = typeof message === 'object' && message !== null && 'role' in message && typeof message.role === 'string'
    return fits ? [] : [`message ${i}: expected an object with a role, got ${JSON.stringify(message)}`]
  })
  if (problems.length > 0) throw new InputError('applyChatTemplate: the messages cannot be used:', problems)
}

function missing(name: string, known: readonly string[]): string {
  return known.length === 0
    ? 'The tokenizer has no chat template: no chat_template in tokenizer_config.json and no chat_template.jinja. Is it a chat model?'
    : `The tokenizer has no chat template '${name}'; it has ${known.join(', ')}.`
}
