import { InputError } from '../../errors.ts'
import { positionsTaken } from '../../base/adapter/positions.ts'
import type { Model } from '../../base/model.ts'
import { OTHER_WAY } from './form.ts'
import type { Interface } from './interface.ts'
import { readsPictures, readsText } from './one-input.ts'
import { readsBoth } from './pictures-and-texts.ts'
import { writesAnswers } from './two-texts.ts'
import { writesText } from './writes-text.ts'

/** Longer than all windows of attention, so that a recording has them in it. */
const LONGEST = 40_009
/** A text needs this many tokens for three lengths that are told apart. */
const SHORTEST = 5

/** The graphs of a model's folder. @throws InputError for what has no graph here */
export function graphsOf(model: Model): readonly Interface[] {
  const { architecture: { text, decoderStart, pictures, className }, head, task } = model.parts
  const refuse = (why: string): InputError => new InputError(`exportOnnx: a model for '${task}' of the family ${className} cannot be exported: ${why}. ${OTHER_WAY}`)
  if (text === undefined) return [readsPictures(model)]
  const writes = task === 'causal-lm' || task === 'seq2seq-lm'
  const longest = text.maxLength - positionsTaken(model)
  const shortest = writes ? 2 * SHORTEST : SHORTEST
  if (longest < shortest) throw refuse(`it takes ${longest} tokens at most; expected ${shortest} or more`)
  const { renewedAt } = text
  if (renewedAt !== undefined && (renewedAt < shortest || task !== 'causal-lm')) throw refuse(`texts of more than ${renewedAt} tokens have other positions in it than shorter ones, which one graph cannot`)
  const [top, before] = [Math.min(longest, renewedAt ?? LONGEST, LONGEST), positionsTaken(model)]
  if (pictures !== undefined) {
    if (head.fit === undefined) throw refuse('it reads pictures and texts, and does not hold them against each other')
    return readsBoth(model, head.fit, text, top)
  }
  if (task === 'seq2seq-lm') return writesAnswers(model, top, before)
  if (task === 'causal-lm') return [writesText(model, top, renewedAt)]
  if (decoderStart !== undefined && model.parts.architecture.check({ ids: new Int32Array(1), batch: 1, length: 1 }).length > 0) throw refuse('it reads two texts')
  return [readsText(model, top, text.types ?? 0, before)]
}
