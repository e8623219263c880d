// What HF PEFT takes as parameters, not as modules: its target_parameters.

import type { FormatContext } from '../base/adapter/file-format.ts'
import type { Site } from '../base/sites.ts'

/** PEFT wraps a module once for each of its adapted parameters, the first of them the innermost. */
export function expertsPath(site: Site, { sites }: FormatContext): string {
  if (site.kind !== 'experts') return site.name
  const module = site.name.slice(0, site.name.lastIndexOf('.'))
  const outer = sites.slice(sites.indexOf(site) + 1).filter(({ kind, name }) => kind === 'experts' && name.startsWith(`${module}.`))
  return module + '.base_layer'.repeat(outer.length)
}

/** Stacks of experts and what chooses them are no modules of PEFT's kinds: it takes them by their parameters. */
export function isParameter(site: Site): boolean {
  return site.kind === 'experts' || (site.kind === 'linear' && site.role === 'router')
}
