// What HF PEFT takes as parameters, not as modules: its target_parameters.

import type { FormatContext } from '../base/adapter/file-format.ts'
import type { Site } from '../base/sites.ts'

const FEED_FORWARD: readonly unknown[] = ['gate', 'up', 'down']

/** PEFT wraps a module once for each of its adapted parameters, the first of them the innermost. */
export function expertsPath(site: Site, { sites }: FormatContext): string {
  if (site.kind !== 'experts') return site.name
  const module = site.name.slice(0, site.name.lastIndexOf('.'))
  const outer = sites.slice(sites.indexOf(site) + 1).filter(({ kind, name }) => kind === 'experts' && name.startsWith(`${module}.`))
  return module + '.base_layer'.repeat(outer.length)
}

/**
 * Stacks of experts and what chooses them are no modules of PEFT's kinds: it takes them by their parameters. Beside experts it takes the
 * gates, ups and downs of other layers for those of the experts, where they are named as modules.
 */
export function isParameter(site: Site, { all }: FormatContext): boolean {
  if (site.kind !== 'linear') return site.kind === 'experts'
  return site.role === 'router' || (FEED_FORWARD.includes(site.role) && all.some(({ kind }) => kind === 'experts'))
}
