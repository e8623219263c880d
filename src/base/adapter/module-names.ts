// Modules by their paths, and by the ends of those.

/** A module by its path. */
export interface Named {
  readonly name: string
}

/** A name matched whole or as the end of a path. */
export function pathEnd(end: string): (name: string) => boolean {
  return (name) => name === end || name.endsWith(`.${end}`)
}

/** Whether a tensor's key is a module's, or of what is in it. */
export function isUnder(module: string, key: string): boolean {
  return `.${key}`.includes(`.${module}.`)
}

/** Every module, outer ones too, that has one of the parameters. */
export function modulesOf(params: readonly string[]): string[] {
  return [...new Set(params.flatMap((name) => name.split('.').slice(0, -1).map((_, i, parts) => parts.slice(0, i + 1).join('.'))))]
}

/**
 * The shortest path ends that match exactly the chosen ones of all modules.
 *
 * @param fits what it means that an end matches
 */
export function moduleNames(
  chosen: readonly Named[], all: readonly Named[], fits: (end: string) => (name: string) => boolean = pathEnd,
): readonly string[] {
  const taken = new Set(chosen.map(({ name }) => name))
  const names = new Set<string>()
  for (const name of taken) {
    const parts = name.split('.')
    for (let length = 1; length <= parts.length; length++) {
      const end = parts.slice(-length).join('.')
      if (length < parts.length && all.some((module) => fits(end)(module.name) && !taken.has(module.name))) continue
      names.add(end)
      break
    }
  }
  return [...names]
}
