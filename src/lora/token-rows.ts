// LoRA beside which the rows of some tokens are trained: HF PEFT's `trainable_token_indices`.

import { pathEnd } from '../base/adapter/module-names.ts'
import type { FormatContext } from '../base/adapter/file-format.ts'
import { selectModules, weightSites } from '../base/adapter/targets.ts'
import { tableOf } from '../base/adapter/vocabulary.ts'
import type { Method } from '../base/method.ts'
import type { Site } from '../base/sites.ts'
import { rowsMethod } from '../base/adapter/token-rows.ts'
import { TargetError } from '../errors.ts'
import type { LoraConfig, TokenRows, WeightSite } from './options.ts'

/** A method that does all that LoRA does. */
type LoraMethod = Method & Required<Pick<Method, 'linear' | 'embedding' | 'merge' | 'interpolate'>>

/** The method, and the rows of tokens beside it where the options name some. */
export function withTokenRows(method: LoraMethod, config: LoraConfig): Method {
  const { trainableTokens } = config
  if (trainableTokens === undefined) return method
  const rows = rowsMethod((module) => indicesAt(trainableTokens, module), !isList(trainableTokens))
  const rest = Object.fromEntries(Object.entries(method).filter(([step]) => step !== 'lowRank')) as LoraMethod // a row is no low-rank update of the table
  return {
    ...rest,
    select: (sites) => {
      const [tokens, adapted] = [tokenSites(trainableTokens, sites), method.select(sites)]
      const both = tokens.filter((site) => adapted.includes(site))
      if (both.length > 0) throw new TargetError('Modules of which tokens are trained and that LoRA takes too; take them out of one:', both.map(({ name }) => `'${name}'`))
      return sites.filter((site) => tokens.includes(site as WeightSite) || adapted.includes(site))
    },
    init: (site, context) => (tokenSites(trainableTokens, context.all).includes(site as WeightSite) ? rows : method).init(site, context),
    linear: (site, own, param) => ('rows' in own ? rows : method).linear(site, own, param),
    embedding: (site, own, param) => ('rows' in own ? rows : method).embedding(site, own, param),
    follows: (site, owner, context) => {
      const { all, ties } = context
      const tokens = tokenSites(trainableTokens, all)
      if (!tokens.includes(owner)) return site.kind === 'linear' && !tokens.includes(site) && method.tied !== undefined && ties.has(site.weight)
      if (!rows.follows(site, owner, context)) return false
      checkHead(site, method.select(all))
      return !tokens.includes(site) || indicesAt(trainableTokens, site.name).join() === indicesAt(trainableTokens, owner.name).join()
    },
    tied: (site, owner, own) => ('rows' in own ? rows.tied(site, owner, own) : (method.tied as NonNullable<Method['tied']>)(site, owner, own)), // else it follows nothing
    merge: (site, params, own) => ('rows' in own ? rows : method).merge(site, params, own),
    interpolate: (site, own, alpha, param) => ('rows' in own ? rows : method).interpolate(site, own, alpha, param),
  }
}

function checkHead({ name }: WeightSite, adapted: readonly Site[]): void {
  if (!adapted.some((site) => site.name === name)) return
  throw new TargetError(`lora: '${name}' is one tensor with the table whose tokens are trained, and changes with it; take it out of the targets.`)
}

/** The modules of which rows are trained. @throws TargetError when one that is named does not exist */
function tokenSites(tokens: TokenRows, sites: readonly Site[]): readonly WeightSite[] {
  const all = weightSites(sites)
  if (isList(tokens)) return all.filter((site) => site.kind === 'embedding' && site.weight === tableOf(sites))
  return selectModules(all, { targets: Object.keys(tokens) }, { unnamed: [], what: 'linear module or embedding' })
}

function indicesAt(tokens: TokenRows, module: string): readonly number[] {
  if (isList(tokens)) return tokens
  return Object.entries(tokens).find(([name]) => pathEnd(name)(module))?.[1] ?? []
}

function isList(tokens: TokenRows): tokens is readonly number[] {
  return Array.isArray(tokens)
}

/** What of an adapter are rows of tokens, and what is LoRA. */
export function partsOf({ trainableTokens }: LoraConfig, context: FormatContext): { readonly rows: FormatContext; readonly lora: FormatContext } {
  const tokens: readonly Site[] = trainableTokens === undefined ? [] : tokenSites(trainableTokens, context.all)
  const part = (isToken: boolean): FormatContext => ({
    ...context,
    sites: context.sites.filter((site) => tokens.includes(site) === isToken),
    followers: context.followers.filter(({ owner }) => tokens.includes(owner) === isToken),
  })
  return { rows: part(true), lora: part(false) }
}
