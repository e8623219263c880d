/** Scores of entities with the numbers of seqeval. */
import { IGNORED_LABEL } from '../base/ops/cross-entropy.ts'
import { InputError } from '../errors.ts'
import { classNumbers, scores, type PrecisionRecallF1 } from '../base/tasks/metrics.ts'
import { goesOn, strangeTags, tagsOf, type Tag, type Tags } from '../base/tasks/tags.ts'
import { few } from './problems.ts'

/** What counts as an entity. */
export interface EntityOptions {
  /**
   * An entity begins with its B- or S- tag alone, and where tags say so ends with E- or S- (seqeval's strict mode for IOB2, IOBES and
   * BILOU). Otherwise an I- tag after another kind begins one too, as in conlleval. @default false
   */
  readonly strict?: boolean
}

/**
 * Precision, recall and F1 of whole entities in tags `O`, `B-…`, `I-…`, or `O`, `B-…`, `I-…`, `E-…`, `S-…` (BILOU and BMES are the same in
 * other letters): one counts as found when its kind, its first and its last token are right. All kinds are counted together (micro average).
 *
 * @param predictions class of each token of each row @param given true classes, by number or name; tokens labelled −100 are left out of both
 * @param names tags of the classes, in order
 * @throws InputError when rows do not match, or a name is no such tag
 * @example
 * const names = ['O', 'B-PER', 'I-PER']
 * console.log(entityF1([[0, 1, 2], [1, 0]], [[0, 1, 2], [0, 0]], names).f1)
 */
export function entityF1(
  predictions: readonly ArrayLike<number>[], given: readonly ArrayLike<number | string>[], names: readonly string[], { strict = false }: EntityOptions = {},
): PrecisionRecallF1 {
  const labels = given.map((row) => classNumbers(row, names))
  const problems: string[] = []
  const report = (what: string, offenders: readonly (string | number)[]): void => {
    if (offenders.length > 0) problems.push(`${what}: ${few(offenders)}`)
  }
  if (predictions.length !== labels.length) problems.push(`expected as many rows as labels, ${labels.length}, got ${predictions.length}`)
  report('rows that are not as long as their labels', [...labels.keys()].filter((row) => predictions[row] !== undefined && predictions[row].length !== labels[row]?.length))
  report('names that are not O, B-… or I-…, nor those of BIOES, BILOU or BMES', strangeTags(names))
  const known = (label: number): boolean => label === IGNORED_LABEL || names[label] !== undefined
  report('classes without a name', [...predictions, ...labels].flatMap((row) => Array.from(row).filter((label) => !known(label))))
  if (problems.length > 0) throw new InputError('entityF1: the entities cannot be counted:', problems)

  const tags = tagsOf(names)
  const counts = { right: 0, predicted: 0, actual: 0 }
  labels.forEach((row, i) => {
    const kept = Array.from(row).flatMap((label, t) => (label === IGNORED_LABEL ? [] : [t]))
    const found = (classes: ArrayLike<number> | undefined): Set<string> =>
      entities(kept.map((t) => names[classes?.[t] ?? -1] ?? 'O'), tags, strict)
    const [predicted, actual] = [found(predictions[i]), found(row)]
    counts.predicted += predicted.size
    counts.actual += actual.size
    counts.right += [...predicted].filter((entity) => actual.has(entity)).length
  })
  return scores(counts)
}

/** The entities of one row, each as its kind and its first and last place. */
function entities(row: readonly string[], { read, haveEnds }: Tags, strict: boolean): Set<string> {
  const found = new Set<string>()
  let open: { readonly first: number; readonly last: Tag } | undefined
  for (const [t, name] of [...row, 'O'].entries()) {
    const tag = read(name)
    if (open !== undefined && tag.place !== undefined && goesOn(open.last, tag)) {
      open = { ...open, last: tag }
      continue
    }
    const isWhole = !strict || !haveEnds || open?.last.place === 'E' || open?.last.place === 'S'
    if (open !== undefined && isWhole) found.add(JSON.stringify([open.last.type, open.first, t - 1]))
    const begins = tag.place !== undefined && (tag.place === 'B' || tag.place === 'S' || !strict)
    open = begins ? { first: t, last: tag } : undefined
  }
  return found
}
