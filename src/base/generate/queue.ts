// Many texts, some of which are continued at a time: one that has ended leaves its row of the cache to the next.
// Continuous batching: Yu et al. 2022, Orca, OSDI 22.

import type { Model } from '../model.ts'
import type { Arrivals } from './arrivals.ts'
import { KvCache } from './cache.ts'
import { allOf, nextOf, nextScores } from './generate.ts'
import type { Row } from './row.ts'

/** Tokens that all texts begin with are read once where there are at least so many. */
const SHARED = 16

/** What texts begin with, and what the model keeps of it. */
interface Beginning {
  readonly tokens: readonly number[]
  readonly cache: KvCache
}

/**
 * Continues rows as they come by a decoder, and gives each when it has ended.
 *
 * @param most rows at a time @param shared tokens that rows may begin with
 */
export async function* continueQueue(model: Model, arrivals: Arrivals<Row>, most: number, shared: readonly number[] = []): AsyncGenerator<Row, void> {
  const { text } = model.parts.architecture
  const beginning: Beginning | undefined = shared.length < SHARED ? undefined : { tokens: shared, cache: new KvCache() }
  let cache = new KvCache()
  let rows: (Row | undefined)[] = [] // by their places in the cache
  try {
    for (;;) {
      const wanted = cache.isByRows || rows.length === 0 ? most - running(rows).length : 0
      const come = arrivals.take(wanted)
      if (come.length > 0) rows = await begin(model, cache, rows, come, beginning)
      else if (rows.length > 0) {
        const scores = await nextScores(model, nextOf(rows.map((row) => row?.tokens.at(-1))), cache)
        rows.forEach((row, place) => row?.choose(scores(place)))
      } else if (arrivals.isOver()) return
      else await arrivals.next()
      for (const [place, row] of rows.entries()) {
        if (row?.hasEnded !== true) continue
        rows[place] = undefined
        if (cache.isByRows) cache.rest(place)
        yield row
      }
      const left = running(rows)
      if (left.length === 0 || cache.positions === text?.renewedAt) { // what is left is read anew
        cache.dispose()
        cache = new KvCache()
        rows = left.length === 0 ? [] : await begin(model, cache, [], left)
      } else if (cache.isByRows && arrivals.isOver() && left.length <= rows.length / 2) {
        cache.keep([...rows.keys()].filter((place) => rows[place] !== undefined))
        rows = left
      }
      await arrivals.pause()
    }
  } finally {
    cache.dispose()
    beginning?.cache.dispose()
    await arrivals.end()
  }
}

function running(rows: readonly (Row | undefined)[]): Row[] {
  return rows.filter((row) => row !== undefined)
}

/** Reads what comes, and gives each its first token. @returns all rows by their places in the cache, which has more where they are too few */
async function begin(model: Model, cache: KvCache, rows: readonly (Row | undefined)[], come: readonly Row[], beginning?: Beginning): Promise<(Row | undefined)[]> {
  const own = rows.length === 0 ? cache : new KvCache()
  try {
    const scores = await firstScores(model, own, come, beginning)
    come.forEach((row, i) => row.choose(scores(i)))
    if (own === cache) return [...come]
    const missing = come.length - rows.filter((row) => row === undefined).length
    const wide = [...rows, ...Array.from({ length: Math.max(0, missing) }, () => undefined)]
    if (missing > 0) cache.keep([...wide.keys()].map((place) => Math.min(place, rows.length - 1)))
    const free = [...wide.keys()].filter((place) => wide[place] === undefined).slice(0, come.length)
    cache.join(own, free)
    free.forEach((place, i) => { wide[place] = come[i] })
    return wide
  } finally {
    if (own !== cache) own.dispose()
  }
}

async function firstScores(model: Model, cache: KvCache, rows: readonly Row[], beginning: Beginning | undefined): Promise<(row: number) => Float32Array> {
  const texts = rows.map(({ tokens }) => tokens)
  const begins = beginning !== undefined && texts.every((text) => text.length > beginning.tokens.length && beginning.tokens.every((token, i) => text[i] === token))
  if (!begins) return nextScores(model, allOf(texts), cache)
  const { tokens, cache: kept } = beginning
  if (kept.positions === 0) await nextScores(model, allOf([tokens]), kept)
  if (!kept.isByRows) return nextScores(model, allOf(texts), cache)
  cache.begin(kept, rows.length)
  return nextScores(model, allOf(texts.map((text) => text.slice(tokens.length))), cache)
}
