import { InputError } from '../../errors.ts'
import { tokenizerLimits } from './limits.ts'

/** A place in a row: a special token, or all tokens of the first or second text. */
export type Slot = { readonly id: number; readonly typeId: number } | { readonly text: 0 | 1; readonly typeId: number }

/** Where special tokens stand around one text and around a pair. */
export interface Template {
  readonly single: readonly Slot[]
  readonly pair: readonly Slot[]
}

type TemplateItem =
  | { readonly SpecialToken: { readonly id: string; readonly type_id: number } }
  | { readonly Sequence: { readonly id: 'A' | 'B'; readonly type_id: number } }

/** The post-processor of tokenizer.json. */
export type PostProcessorJson =
  | { readonly type: 'TemplateProcessing'; readonly single: readonly TemplateItem[]; readonly pair: readonly TemplateItem[]; readonly special_tokens: Record<string, { readonly ids: readonly number[] }> }
  | { readonly type: 'BertProcessing'; readonly cls: readonly [string, number]; readonly sep: readonly [string, number] }
  | { readonly type: 'RobertaProcessing'; readonly cls: readonly [string, number]; readonly sep: readonly [string, number]; readonly trim_offsets?: boolean; readonly add_prefix_space?: boolean }
  | { readonly type: 'ByteLevel'; readonly trim_offsets?: boolean; readonly add_prefix_space?: boolean }
  | { readonly type: 'Sequence'; readonly processors: readonly PostProcessorJson[] }

/** No special tokens. */
export const plainTemplate: Template = { single: [{ text: 0, typeId: 0 }], pair: [{ text: 0, typeId: 0 }, { text: 1, typeId: 1 }] }

/** Reads the template of a post-processor that has passed the check. */
export function templateOf(json: PostProcessorJson | null): Template {
  if (json === null || json.type === 'ByteLevel') return plainTemplate // ByteLevel concerns offsets alone
  if (json.type === 'Sequence') {
    const templates = json.processors.map(templateOf).filter((template) => template !== plainTemplate)
    if (templates.length > 1) throw new InputError('the tokenizer adds special tokens in more than one post-processor, which is not supported')
    return templates[0] ?? plainTemplate
  }
  if (json.type === 'TemplateProcessing') {
    const idsOf = (name: string): readonly number[] => {
      const ids = json.special_tokens[name]?.ids
      if (ids === undefined || !ids.every(tokenizerLimits.isId)) throw new InputError(`post_processor (TemplateProcessing).special_tokens: expected the ids of ${JSON.stringify(name)}, each ${tokenizerLimits.expected}`)
      return ids
    }
    const slots = (items: readonly TemplateItem[]): Slot[] => items.flatMap((item): Slot[] => 'Sequence' in item
      ? [{ text: item.Sequence.id === 'A' ? 0 : 1, typeId: item.Sequence.type_id }]
      : idsOf(item.SpecialToken.id).map((id) => ({ id, typeId: item.SpecialToken.type_id })))
    return { single: slots(json.single), pair: slots(json.pair) }
  }
  const [cls, sep] = [json.cls[1], json.sep[1]]
  const roberta = json.type === 'RobertaProcessing' // two separators, and one type for all
  const second = roberta ? 0 : 1
  const single: Slot[] = [{ id: cls, typeId: 0 }, { text: 0, typeId: 0 }, { id: sep, typeId: 0 }]
  return { single, pair: [...single, ...(roberta ? [{ id: sep, typeId: 0 }] : []), { text: 1, typeId: second }, { id: sep, typeId: second }] }
}

/** Which text of a pair gives way: always the longer one, or the first alone. */
export type Truncation = 'longest_first' | 'only_first'

/**
 * How many tokens of each text stay when there is room for `room`, as the reference implementation decides it.
 * Undefined when the first text alone cannot make the room.
 */
export function truncatedLengths(first: number, second: number, room: number, truncation: Truncation): readonly [number, number] | undefined {
  if (first + second <= room) return [first, second]
  if (room === 0) return [0, 0]
  if (truncation === 'only_first') return second < room ? [room - second, second] : undefined
  const shorter = Math.min(first, second)
  if (shorter <= room - shorter) return first <= second ? [first, room - first] : [room - second, second]
  const half = Math.floor(room / 2) // neither fits in a half: the longer one gets the odd token, the second of two alike
  return first <= second ? [half, room - half] : [room - half, half]
}
