// Trainable tokens in HF PEFT's files.

import { moduleKeys, type FormatContext, type MethodFields, type FileFormat } from '../base/adapter/file-format.ts'
import { moduleNames } from '../base/adapter/module-names.ts'
import { idleInFile } from '../base/adapter/peft-selection.ts'
import { readSelection, type FileContext } from '../base/adapter/read-selection.ts'
import type { Selection } from '../base/adapter/selection.ts'
import { weightSites } from '../base/adapter/targets.ts'
import { biasWarnings, everySite, ROWS_KEY, rowsFromFile, rowsToFile, sharedModule, withFollowedRows } from '../base/adapter/token-rows-file.ts'
import type { SectionReader } from '../base/settings.ts'

/** What transformers calls the table of an encoder-decoder, which both its stacks look words up in. */
const SHARED = /(^|\.)shared$/

/** PEFT's TrainableTokensConfig, field by field. */
export const TRAINABLE_TOKENS_FIELDS: MethodFields = { done: ['token_indices', 'target_modules'], off: {}, idle: ['init_weights'] }

export function trainableTokensFormat(indices: readonly number[], selection: Pick<Selection, 'targets' | 'inFile'>): FileFormat {
  const keys = moduleKeys({ at: { rows: ROWS_KEY } })
  return {
    type: 'TRAINABLE_TOKENS',
    withoutCopies: true,
    fields: TRAINABLE_TOKENS_FIELDS,
    warnings: (context) => (selection.inFile === undefined ? [] : [...idleInFile(selection, weightSites(context.all)), ...biasWarnings(context)]),
    config: (context) => {
      const shared = context.sites.flatMap((site) => sharedModule(site, context) ?? [])
      return { token_indices: [...indices], target_modules: shared.length > 0 ? shared : moduleNames(context.sites, context.modules), init_weights: true }
    },
    toFile: (tensors, given) => {
      const context = withShared(given)
      return keys.toFile(withFollowedRows(rowsToFile(tensors, given, 'base_layer'), context), { ...context, sites: everySite(context) })
    },
    fromFile: (tensors, given) => {
      const context = withShared(given)
      return rowsFromFile(keys.fromFile(tensors, { ...context, sites: everySite(context) }), context)
    },
  }
}

/** With the module that tables share, which has their rows in the file too. */
function withShared(context: FormatContext): FormatContext {
  const shared = context.sites.flatMap((owner) => {
    const name = sharedModule(owner, context)
    return name === undefined || owner.kind !== 'embedding' ? [] : [{ site: { ...owner, name }, owner }]
  })
  return { ...context, followers: [...context.followers, ...shared] }
}

/** The ids of trainable tokens that HF PEFT or this library saved. */
export function readTrainableTokensOptions(read: SectionReader, file: FileContext): Pick<Selection, 'targets' | 'inFile'> & { readonly indices: readonly number[] } {
  const indices = read.list('token_indices', 'integer', [], { min: 0 })
  read.check(indices.length > 0, 'token_indices: expected one or more ids, got none')
  const isShared = [read.raw('target_modules')].flat().every((name) => SHARED.test(String(name))) // the tables of an encoder-decoder, as without a name
  const { targets, inFile } = read.has('target_modules') && !isShared ? readSelection(read, file) : {}
  return { indices, ...(targets === undefined ? {} : { targets }), ...(inFile === undefined ? {} : { inFile }) }
}
