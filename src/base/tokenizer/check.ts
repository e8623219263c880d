import { otherOptions, stepOptions } from './schema.ts'
import type { Option, Step } from './schema.ts'

type Kind = keyof typeof stepOptions

const inside: Partial<Record<Kind, string>> = { normalizer: 'normalizers', pre_tokenizer: 'pretokenizers', post_processor: 'processors', decoder: 'decoders' }

/**
 * Everything in a tokenizer.json that cannot be done: unknown steps, unknown options, values of another kind. What it
 * finds in order may be read without another look.
 */
export function tokenizerProblems(json: Readonly<Record<string, unknown>>): string[] {
  const problems: string[] = []
  checkOptions(json, otherOptions.file, '', problems)
  if (problems.length > 0) return problems
  for (const kind of ['normalizer', 'pre_tokenizer', 'post_processor', 'decoder'] as const) {
    if (json[kind] !== null && json[kind] !== undefined) checkStep(kind, json[kind], kind, problems)
  }
  checkStep('model', withType(json['model'] as Readonly<Record<string, unknown>>), 'model', problems)
  for (const name of ['padding', 'truncation'] as const) {
    const settings = json[name]
    if (settings !== null && settings !== undefined) checkOptions(settings as Readonly<Record<string, unknown>>, otherOptions[name], `${name}.`, problems)
  }
  const added = (json['added_tokens'] ?? []) as readonly Readonly<Record<string, unknown>>[]
  added.forEach((token, i) => checkOptions(token, otherOptions.added_tokens, `added_tokens[${i}].`, problems))
  return problems
}

/** Files of old versions name no type: it shows in what they hold. */
export function withType(model: Readonly<Record<string, unknown>>): Step {
  if (typeof model['type'] === 'string') return model as Step
  const type = 'merges' in model ? 'BPE' : Array.isArray(model['vocab']) ? 'Unigram' : 'continuing_subword_prefix' in model ? 'WordPiece' : 'WordLevel'
  return { ...model, type }
}

function checkStep(kind: Kind, value: unknown, where: string, problems: string[]): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    problems.push(`${where}: expected a step, got ${shown(value)}`)
    return
  }
  const { type, ...options } = value as Step
  const known = Object.hasOwn(stepOptions[kind], type) ? stepOptions[kind][type] : undefined
  if (known === undefined) {
    problems.push(`${where}.type: ${shown(type)} is not supported; known are ${Object.keys(stepOptions[kind]).sort().join(', ')}`)
    return
  }
  const before = problems.length
  checkOptions(options, known, `${where} (${type}).`, problems)
  const steps = type === 'Sequence' ? options[inside[kind] ?? ''] : undefined
  if (problems.length === before && Array.isArray(steps)) steps.forEach((step, i) => checkStep(kind, step, `${where}[${i}]`, problems))
}

function checkOptions(values: Readonly<Record<string, unknown>>, options: Readonly<Record<string, Option>>, where: string, problems: string[]): void {
  for (const [name, value] of Object.entries(values)) {
    if (!Object.hasOwn(options, name)) problems.push(`${where}${name}: this option is not known, its value is ${shown(value)}`)
  }
  for (const [name, { list, expected, fits }] of Object.entries(options)) {
    const value = values[name]
    if (fits(value)) continue
    problems.push(list === 'refused' ? `${where}${name}: ${shown(value)} is not supported, only ${expected}` : `${where}${name}: expected ${expected}, got ${shown(value)}`)
  }
}

function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : typeof value === 'object' && value !== null ? (Array.isArray(value) ? 'a list' : 'an object') : JSON.stringify(value)
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}
