// Trainable tokens in HF PEFT's files.

import { moduleKeys, type MethodFields, type FileFormat } from '../base/adapter/file-format.ts'
import { moduleNames } from '../base/adapter/module-names.ts'
import { idleInFile } from '../base/adapter/peft-selection.ts'
import { readSelection, type FileContext } from '../base/adapter/read-selection.ts'
import type { Selection } from '../base/adapter/selection.ts'
import { weightSites } from '../base/adapter/targets.ts'
import { biasWarnings, everySite, ROWS_KEY, rowsFromFile, rowsToFile, withFollowedRows } from '../base/adapter/token-rows-file.ts'
import type { SectionReader } from '../base/settings.ts'

/** PEFT's TrainableTokensConfig, field by field. */
export const TRAINABLE_TOKENS_FIELDS: MethodFields = { done: ['token_indices', 'target_modules'], off: {}, idle: ['init_weights'] }

export function trainableTokensFormat(indices: readonly number[], selection: Pick<Selection, 'targets' | 'inFile'>): FileFormat {
  const keys = moduleKeys({ at: { rows: ROWS_KEY } })
  return {
    type: 'TRAINABLE_TOKENS',
    withoutCopies: true,
    fields: TRAINABLE_TOKENS_FIELDS,
    warnings: (context) => (selection.inFile === undefined ? [] : [...idleInFile(selection, weightSites(context.all)), ...biasWarnings(context)]),
    config: ({ sites, modules }) => ({ token_indices: [...indices], target_modules: moduleNames(sites, modules), init_weights: true }),
    toFile: (tensors, context) => keys.toFile(withFollowedRows(rowsToFile(tensors, context, 'base_layer'), context), { ...context, sites: everySite(context) }),
    fromFile: (tensors, context) => rowsFromFile(keys.fromFile(tensors, { ...context, sites: everySite(context) }), context),
  }
}

/** The ids of trainable tokens that HF PEFT or this library saved. */
export function readTrainableTokensOptions(read: SectionReader, file: FileContext): Pick<Selection, 'targets' | 'inFile'> & { readonly indices: readonly number[] } {
  const indices = read.list('token_indices', 'integer', [], { min: 0 })
  read.check(indices.length > 0, 'token_indices: expected one or more ids, got none')
  const { targets, inFile } = read.has('target_modules') ? readSelection(read, file) : {}
  return { indices, ...(targets === undefined ? {} : { targets }), ...(inFile === undefined ? {} : { inFile }) }
}
