// Drawings of emoji by two vendors, from npm: real pictures with names and categories, 64 × 64, of which one vendor's are another domain.

import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { datasetOf, splitByHash, type Dataset } from 'tfjs-peft/advanced'
import { cacheFolder } from '../src/setup/cache.ts'

const VERSION = '16.0.0'

export type Vendor = 'google' | 'twitter'

export interface DrawingFile {
  /** Path of a PNG file. */
  readonly image: string
  readonly name: string
  readonly category: string
  /** It differs from another in the tone of the skin alone. */
  readonly variation: boolean
}

interface Emoji {
  readonly image: string
  readonly name: string
  readonly category: string
  readonly has_img_google: boolean
  readonly has_img_twitter: boolean
  readonly skin_variations?: Readonly<Record<string, Omit<Emoji, 'name' | 'category' | 'skin_variations'>>>
}

/** The drawings of a vendor, in the order of the data set; 40 to 75 MB are fetched the first time. */
export async function drawingsOf(vendor: Vendor): Promise<readonly DrawingFile[]> {
  const folder = await fetched(`emoji-datasource-${vendor}`, vendor)
  const all = JSON.parse(await readFile(join(folder, 'emoji.json'), 'utf8')) as readonly Emoji[]
  return all.flatMap(({ name, category, skin_variations: variations = {}, ...plain }) =>
    [plain, ...Object.values(variations)].filter((each) => each[`has_img_${vendor}`])
      .map((each) => ({ image: join(folder, 'img', vendor, '64', each.image), name: name.toLowerCase(), category, variation: each !== plain })))
}

/** Those that differ by more than the tone of the skin; a fifth of the emoji are held out, the same of both vendors. */
export async function splitDrawings(vendor: Vendor, seed: number): Promise<{ readonly train: Dataset<DrawingFile>; readonly evaluate: Dataset<DrawingFile> }> {
  const drawings = (await drawingsOf(vendor)).filter(({ variation, category }) => !variation && category !== 'Component')
  return splitByHash(datasetOf(drawings), ({ name }) => `${seed} ${name}`, 0.2)
}

async function fetched(name: string, vendor: Vendor): Promise<string> {
  const cache = join(cacheFolder(), 'drawings')
  const folder = join(cache, `${name}-${VERSION}`)
  if (await access(folder).then(() => true, () => false)) return folder
  await mkdir(cache, { recursive: true })
  const under = await mkdtemp(join(cache, 'under-way-'))
  try {
    const run = promisify(execFile)
    const { stdout } = await run('npm', ['pack', '--silent', `${name}@${VERSION}`, '--pack-destination', under])
    await run('tar', ['-xzf', join(under, stdout.trim()), '-C', under, 'package/emoji.json', `package/img/${vendor}/64`])
    await rename(join(under, 'package'), folder)
  } finally {
    await rm(under, { recursive: true })
  }
  return folder
}
