import type { Selection } from './targets.ts'

/**
 * Which modules a file's settings name: `target_modules`, `exclude_modules` and `layers_to_transform`.
 *
 * @param problems gets a line for each that cannot be read
 */
export function readSelection(json: Readonly<Record<string, unknown>>, problems: string[]): Selection {
  const layers = json['layers_to_transform']
  return {
    targets: readNames(json, 'target_modules', problems),
    ...(json['exclude_modules'] == null ? {} : { exclude: readNames(json, 'exclude_modules', problems) }),
    ...(layers == null ? {} : { layers: readLayers(layers, problems) }),
  }
}

/** A list of module names, or one text; an empty list where the field is absent. */
export function readNames(json: Readonly<Record<string, unknown>>, key: string, problems: string[]): readonly string[] | string {
  const value = json[key] ?? []
  if (typeof value === 'string' || (Array.isArray(value) && value.every((name) => typeof name === 'string'))) return value
  problems.push(`${key}: expected a list of module names or a text, got ${JSON.stringify(value)}`)
  return []
}

function readLayers(value: unknown, problems: string[]): readonly number[] {
  const layers: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (layers.every((layer) => typeof layer === 'number')) return layers
  problems.push(`layers_to_transform: expected layer numbers, got ${JSON.stringify(value)}`)
  return []
}
