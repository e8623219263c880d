// The texts of answers, by the spans that say where they lie: a row stays what a model is given, and its measures know the texts.

import type { SpanTexts } from '../base/tasks/span-measure.ts'
import type { Examples } from './examples.ts'

type Span = NonNullable<Examples['spans']>[number]

const texts = new WeakMap<Span, SpanTexts>()

/** The span, whose texts are known from now on. */
export function spanWith(span: Span, its: SpanTexts): Span {
  texts.set(span, its)
  return span
}

/** The texts of a row's answer, where they are known. */
export function textsIn({ spans = [] }: Examples): (row: number) => SpanTexts | undefined {
  return (row) => {
    const span = spans[row]
    return span === undefined ? undefined : texts.get(span)
  }
}
