import { InputError } from '../errors.ts'

/** Some members and their score together. */
export interface Tried<Member> {
  readonly members: readonly Member[]
  readonly score: number
}

/** What a greedy choice came to. */
export interface GreedyChoice<Member> {
  /** Those that were taken, the best by itself first. */
  readonly chosen: readonly Member[]
  /** Of the chosen together; never below that of any member by itself. */
  readonly score: number
  /** Everything that was measured, in order: each member by itself, then each larger set. */
  readonly tried: readonly Tried<Member>[]
}

/**
 * The choice of a greedy soup: starts with the member that scores best by itself, then goes through the others from the
 * best to the worst and keeps each one with which the score rises. Wortsman et al. 2022, arXiv:2203.05482; as in its
 * published code a member that leaves the score as it is, is left out.
 *
 * @param members at least one of anything that can be averaged: models, records, adapters' names
 * @param evaluate the score of the average of some of them on rows held out from the training, the higher the better
 * @throws InputError when there are no members or a score is NaN
 * @example
 * const { chosen } = await greedyChoice([{ w: tf.tensor([0]) }, { w: tf.tensor([2]) }], (records) =>
 *   tf.tidy(() => -Math.abs((averageTensors(records).w?.dataSync()[0] ?? 0) - 1)))
 */
export async function greedyChoice<Member>(
  members: readonly Member[],
  evaluate: (members: readonly Member[]) => number | Promise<number>,
): Promise<GreedyChoice<Member>> {
  const tried: Tried<Member>[] = []
  const measure = async (set: readonly Member[]): Promise<Tried<Member>> => {
    const score = await evaluate(set)
    if (Number.isNaN(score)) throw new InputError(`greedyChoice: evaluate gave no number as the score of ${set.length} members together.`)
    const measured = { members: set, score }
    tried.push(measured)
    return measured
  }
  const alone = []
  for (const member of members) alone.push(await measure([member]))
  const [best, ...others] = alone.sort((a, b) => b.score - a.score)
  if (best === undefined) throw new InputError('greedyChoice: expected at least one member, got none.')
  let soup = best
  for (const other of others) {
    const larger = await measure([...soup.members, ...other.members])
    if (larger.score > soup.score) soup = larger
  }
  return { chosen: soup.members, score: soup.score, tried }
}
