/** Ids are int32 here and rows of an embedding everywhere. */
export const tokenizerLimits = {
  expected: `an id between 0 and ${2 ** 31 - 1}`,
  isId: (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31,
}
