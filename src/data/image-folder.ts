import { readdir } from 'node:fs/promises'
import { dirname, extname, join, relative, sep } from 'node:path'
import { InputError, shown } from '../errors.ts'
import { csv } from './csv.ts'
import type { Dataset, Row } from './dataset.ts'
import { jsonLines } from './json-lines.ts'
import { parquet } from './parquet.ts'
import { placed } from './where.ts'

const PICTURES: readonly string[] = ['.jpg', '.jpeg', '.png', '.webp']
/** What one may take for pictures too: left out without a word, a class would be smaller than it looks. */
const OTHER_PICTURES: readonly string[] = ['.gif', '.bmp', '.tif', '.tiff', '.avif', '.heic', '.heif', '.jfif', '.jp2', '.ppm', '.pgm', '.svg']

const METADATA: Readonly<Record<string, (path: string) => Dataset>> = { 'metadata.csv': csv, 'metadata.jsonl': jsonLines, 'metadata.parquet': parquet }

/**
 * Pictures of a folder and of all below it, as torchvision's ImageFolder and the Hub's imagefolder have them: each row has its path as
 * `image`, and as `label` the name of the folder that it lies in, where that is not the whole. Where there is a metadata.csv,
 * metadata.jsonl or metadata.parquet, its rows are the data set: their `file_name`, as seen from it, becomes `image`.
 *
 * @throws InputError when there are no pictures or some that are not read, or metadata does not say which file; what the file system says
 *   when the folder cannot be read
 * @example
 * const { examples } = await readExamples(imageFolder('pets'), { processor, image: 'image', label: 'label' })
 */
export function imageFolder(folder: string): Dataset {
  return {
    async *rows(from = 0) {
      const files = (await readdir(folder, { recursive: true, withFileTypes: true }))
        .filter((entry) => !entry.isDirectory() && !entry.name.startsWith('.'))
        .map((entry) => join(entry.parentPath, entry.name))
        .sort()
      const metadata = files.filter((file) => Object.hasOwn(METADATA, nameOf(file)))
      let index = 0
      for await (const row of metadata.length > 0 ? described(metadata) : named(folder, files)) if (index++ >= from) yield row
    },
  }
}

function nameOf(file: string): string {
  return relative(dirname(file), file)
}

function* named(folder: string, files: readonly string[]): Generator<Row, void> {
  const isOf = (kinds: readonly string[]) => (file: string): boolean => kinds.includes(extname(file).toLowerCase())
  const others = files.filter(isOf(OTHER_PICTURES))
  if (others.length > 0) throw new InputError(`${folder}: expected JPEG, PNG or WebP pictures, as their names end; save these so, or take them away:`, others.map((file) => relative(folder, file)))
  const pictures = files.filter(isOf(PICTURES))
  if (pictures.length === 0) throw new InputError(`${folder}: expected pictures, whose names end in ${PICTURES.join(', ')}; found none.`)
  for (const image of pictures) {
    const [label] = relative(folder, image).split(sep).slice(-2, -1)
    yield placed(label === undefined ? { image } : { image, label }, image)
  }
}

async function* described(metadata: readonly string[]): AsyncGenerator<Row, void> {
  for (const file of metadata) {
    for await (const row of METADATA[nameOf(file)]?.(file).rows() ?? []) {
      const { file_name: name, ...rest } = row
      if (typeof name !== 'string' || name === '') throw new InputError(`${file}: expected the path of a picture, seen from there, in a column file_name, got ${shown(name)}. It has ${Object.keys(row).join(', ')}.`)
      const place = join(dirname(file), name)
      if (relative(dirname(file), place).startsWith('..')) throw new InputError(`${file}: file_name: expected a picture in the folder or below, got ${shown(name)}.`)
      yield placed({ image: place, ...rest }, place)
    }
  }
}
