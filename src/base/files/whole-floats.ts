// JavaScript has one kind of number: 30.0 is read as 30 and would be written as 30, which transformers refuses for a setting that its
// classes declare as a float.

/** Names of the members that a JSON text gives as a float without a fraction: 30.0, 1e3. */
export function wholeFloats(json: string): ReadonlySet<string> {
  return new Set([...json.matchAll(/"([^"\\]+)"\s*:\s*-?\d+(?:\.0+(?:[eE][+-]?\d+)?|[eE]\+?\d+)(?=[\s,}])/g)].map(([, name = '']) => name))
}

/** JSON in lines, in which these members are floats. */
export function jsonWithFloats(value: unknown, floats: ReadonlySet<string> = new Set()): string {
  return JSON.stringify(value, null, 2).replace(/^(\s*"([^"\\]+)": -?\d+)(?=,?$)/gm, (line, number: string, name: string) => (floats.has(name) ? `${number}.0` : line))
}
