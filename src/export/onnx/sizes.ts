// Sizes of a graph that is to be right for any batch: numbers that differ between recordings of several sizes, as expressions in these.

/** The sizes that one recording was made at, by their names: { batch_size: 2, sequence_length: 7 }. */
export type Sizes = Readonly<Record<string, number>>

/** A number that is the same at all sizes, or an expression. */
export type Size = number | Term

/** times · (the product of the sizes named) + plus */
export interface Term {
  readonly times: number
  readonly of: readonly string[]
  readonly plus: number
}

/**
 * What a number is that was `values[i]` in a recording at `sizes[i]`: three of them, so that two decide and one confirms.
 *
 * @returns undefined where it is no whole multiple of one size or of two, with or without a number more
 * @example explain([14, 33, 85], [{ b: 2, t: 7 }, { b: 3, t: 11 }, { b: 5, t: 17 }]) // { times: 1, of: ['b', 't'], plus: 0 }
 */
export function explain(values: readonly number[], sizes: readonly Sizes[]): Size | undefined {
  const [first = NaN, second = NaN] = values
  if (values.every((value) => Object.is(value, first))) return first
  if (!values.every(Number.isInteger)) return undefined
  const found = products(Object.keys(sizes[0] ?? {})).flatMap((of) => {
    const [a = NaN, b = NaN] = sizes.map((each) => productOf(of, each))
    const times = (second - first) / (b - a)
    const term = { times, of, plus: first - times * a }
    return Number.isInteger(times) && values.every((value, i) => valueOf(term, sizes[i] ?? {}) === value) ? [term] : []
  })
  return found.find(({ plus }) => plus === 0) ?? found[0]
}

export function valueOf(size: Size, sizes: Sizes): number {
  return typeof size === 'number' ? size : size.times * productOf(size.of, sizes) + size.plus
}

export function sameSize(a: Size | undefined, b: Size | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && textOf(a) === textOf(b))
}

/** As a reader of the graph sees it: '2*batch_size*sequence_length - 1'. */
export function textOf(size: Size): string {
  if (typeof size === 'number') return String(size)
  const product = [...(size.times === 1 ? [] : [String(size.times)]), ...size.of].join('*')
  return size.plus === 0 ? product : `${product} ${size.plus < 0 ? '-' : '+'} ${Math.abs(size.plus)}`
}

/** One or two of the names. */
function products(names: readonly string[]): string[][] {
  return [...names.map((name) => [name]), ...names.flatMap((name, i) => names.slice(i).map((other) => [name, other]))]
}

function productOf(names: readonly string[], sizes: Sizes): number {
  return names.reduce((product, name) => product * (sizes[name] ?? NaN), 1)
}
