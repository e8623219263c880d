import { hubFile, hubFiles, type HubOptions } from '../base/hub/download.ts'
import { InputError } from '../errors.ts'
import { csv } from './csv.ts'
import { concatenate, type Dataset } from './dataset.ts'
import { jsonLines } from './json-lines.ts'
import { parquet } from './parquet.ts'

/** Which part of a data set is read, and where its files come from. */
export interface HubDatasetOptions extends Omit<HubOptions, 'repoType'> {
  /** @default 'train' */
  readonly split?: string
  /** Subset of a data set that has several: the folder that its files are in. @default none */
  readonly config?: string
}

/** What the Hub's own loader takes for a split's name in a file's. */
const SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  train: ['train', 'training'],
  validation: ['validation', 'valid', 'val', 'dev'],
  test: ['test', 'testing', 'eval', 'evaluation'],
}

const readers: Readonly<Record<string, (path: string) => Dataset>> = {
  parquet: (path) => parquet(path),
  jsonl: (path) => jsonLines(path),
  csv: (path) => csv(path),
  tsv: (path) => csv(path, { separator: '\t' }),
}

/**
 * A split of a data set on the Hub, from its Parquet, JSON Lines, CSV or TSV files (the first of these kinds that it has,
 * `.gz` too). They are downloaded into the cache and read from there; their names tell the split, as
 * `data/train-00000-of-00002.parquet` or `test.csv` do. For a data set in other formats ask for
 * `revision: 'refs/convert/parquet'`: the Hub keeps a copy of most in Parquet there.
 *
 * @throws InputError when no file belongs to the split, with what there is; HubError as `hubFile`
 * @example
 * const rows = async () => (await hubDataset('stanfordnlp/imdb', { split: 'test' })).rows()
 */
export async function hubDataset(id: string, { split = 'train', config, ...options }: HubDatasetOptions = {}): Promise<Dataset> {
  const hub: HubOptions = { ...options, repoType: 'dataset' }
  const files = await hubFiles(id, hub)
  const inConfig = files.filter((file) => config === undefined || file.split('/').slice(0, -1).includes(config))
  const words = (SYNONYMS[split] ?? [split]).map((word) => word.replace(/[.+?^${}()|[\]\\*]/g, '\\$&'))
  const ofSplit = new RegExp(`(^|[/_. 0-9-])(${words.join('|')})([/_. 0-9-]|$)`)
  const found = inConfig.filter((file) => ofSplit.test(file))
  for (const [kind, read] of Object.entries(readers)) {
    const names = found.filter((file) => file.endsWith(`.${kind}`) || file.endsWith(`.${kind}.gz`)).sort()
    if (names.length === 0) continue
    const paths: string[] = []
    for (const name of names) paths.push(await hubFile(id, name, hub)) // one after the other: each shows its progress
    return concatenate(paths.map(read))
  }
  const wanted = `split "${split}"${config === undefined ? '' : ` of "${config}"`}`
  throw new InputError(
    `${id}: expected ${Object.keys(readers).join(', ')} files of ${wanted}, found none. It has ${files.slice(0, 30).join(', ')}. ` +
      "Try revision: 'refs/convert/parquet'.",
  )
}
