/**
 * Chinese poems of the Tang (618 to 907) and Song (960 to 1279): shi, lines of one length with parallel couplets, and ci, lyrics to tunes, whose lines
 * are of many lengths. As npm `chinese-poetry` carries them; its shi are in traditional characters and its ci in simplified ones, so that all are
 * made simplified.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import OpenCC from 'opencc-js/t2cn'
import { cacheFolder } from '../../src/setup/cache.ts'

/** What is used of it: its own types cannot be resolved from a module. */
interface Chinese {
  readonly Converter: (scripts: { readonly from: 't'; readonly to: 'cn' }) => (text: string) => string
}

export interface Poem {
  /** Its lines with their marks, and nothing between them. */
  readonly text: string
  readonly form: 'shi' | 'ci'
  readonly dynasty: 'tang' | 'song'
  readonly author: string
  /** What a ci is sung to, which gives its lines their lengths; '' of shi. */
  readonly tune: string
}

const [PACKAGE, VERSION] = ['chinese-poetry', '2.0.1']

/** Characters of a poem: shorter ones are fragments, and longer ones are left out. */
const LENGTHS = { least: 20, most: 96 } as const

/** What a poem may have: Han characters and the marks between lines. Notes of editors and gaps in the source have others. */
const CLEAN = /^[\p{Script=Han}，。？！；、：]+$/u

/** Of the shi of the Song, so many times more than of the Tang, one in four is read. */
const FILES = [
  { folder: 'quantangshi', name: /^poet\.tang\.\d+\.json$/, form: 'shi', dynasty: 'tang', oneIn: 1 },
  { folder: 'quantangshi', name: /^poet\.song\.\d+\.json$/, form: 'shi', dynasty: 'song', oneIn: 4 },
  { folder: 'songci', name: /^ci\.song\.\d+\.json$/, form: 'ci', dynasty: 'song', oneIn: 1 },
] as const

/** All poems, each text once, in an order without a pattern. The first call fetches the package, 85 MB, into the library's cache. */
export async function loadPoems(): Promise<Poem[]> {
  const dist = join(await fetched(), 'dist')
  const simplified = (OpenCC as unknown as Chinese).Converter({ from: 't', to: 'cn' })
  const poems = new Map<string, Poem>()
  for (const { folder, name, form, dynasty, oneIn } of FILES) {
    for (const file of (await readdir(join(dist, folder))).filter((each) => name.test(each))) {
      const entries = JSON.parse(await readFile(join(dist, folder, file), 'utf8')) as { readonly author: string; readonly paragraphs: readonly string[]; readonly rhythmic?: string }[]
      for (const { author, paragraphs, rhythmic = '' } of entries) {
        const source = paragraphs.join('')
        const length = Array.from(source).length
        if (length < LENGTHS.least || length > LENGTHS.most || !CLEAN.test(source) || hash(source) % oneIn !== 0) continue
        const text = form === 'shi' ? simplified(source) : source
        poems.set(text, { text, form, dynasty, author: simplified(author), tune: rhythmic })
      }
    }
  }
  return [...poems.values()].map((poem) => [hash(poem.text), poem] as const).sort(([a], [b]) => a - b).map(([, poem]) => poem)
}

/** One author in ten is held out with all poems, so that nobody's habits are known from the others. */
export function splitPoems(poems: readonly Poem[]): { readonly train: Poem[]; readonly evaluate: Poem[] } {
  const isHeld = ({ author }: Poem): boolean => hash(author) % 10 === 0
  return { train: poems.filter((poem) => !isHeld(poem)), evaluate: poems.filter(isHeld) }
}

function hash(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE()
}

/** The package's folder; npm fetches and checks it. It is too large to be installed with the project. */
async function fetched(): Promise<string> {
  const folder = join(cacheFolder(), 'packages', `${PACKAGE}-${VERSION}`)
  const inside = join(folder, 'node_modules', PACKAGE)
  if ((await stat(inside).catch(() => undefined)) !== undefined) return inside
  console.error(`Fetching ${PACKAGE} ${VERSION}, 85 MB, into ${folder}`)
  await mkdir(join(folder, '..'), { recursive: true })
  const partial = await mkdtemp(`${folder}-`)
  try {
    const arguments_ = ['install', '--prefix', partial, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', `${PACKAGE}@${VERSION}`]
    await promisify(execFile)('npm', arguments_, { shell: process.platform === 'win32' })
    await rename(partial, folder)
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  return inside
}
