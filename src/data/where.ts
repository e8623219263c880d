/** Where rows come from. Beside them, so that a row is no more than what its file has. */
const places = new WeakMap<object, string>()

/**
 * Where a row comes from: the file with the line that it begins in or, of Parquet, its number from 0; of a list in memory its number.
 * It stays so through `filterRows`, `splitByHash`, `shuffleRows`, `concatenate`, and `mapRows` to other objects.
 *
 * @returns undefined where that is not known, as of a row that is a mere text
 * @example
 * for await (const row of jsonLines('mails.jsonl').rows()) console.log(whereOf(row)) // mails.jsonl: line 1
 */
export function whereOf(row: unknown): string | undefined {
  return isObject(row) ? places.get(row) : undefined
}

/** The row, which is known to come from there. */
export function placed<T>(row: T, where: string): T {
  if (isObject(row)) places.set(row, where)
  return row
}

/** What a row was made into, which comes from where the row does unless it has a place of its own. */
export function placedLike<T>(made: T, row: unknown): T {
  const where = whereOf(row)
  return where === undefined || whereOf(made) !== undefined ? made : placed(made, where)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
