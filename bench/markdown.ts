// Tables of the pages in docs/.

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
}

/** The mean, and from the lowest to the highest; of one value that alone, and nothing of nothing. */
export function spread(values: readonly number[], digits = 1): string {
  if (values.length < 2) return values.map((value) => value.toFixed(digits)).join('')
  return `${mean(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)} to ${Math.max(...values).toFixed(digits)})`
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
