// How what is wrong with data is told.

/** The first offenders, and how many more there are. */
export function few(offenders: readonly (string | number)[]): string {
  const shown = offenders.slice(0, 5).join(', ')
  return offenders.length > 5 ? `${shown} and ${offenders.length - 5} more` : shown
}

export function isNatural(value: number | undefined): boolean {
  return value !== undefined && Number.isSafeInteger(value) && value >= 0
}
