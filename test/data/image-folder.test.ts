import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Row } from '../../src/data/dataset.ts'
import { imageFolder } from '../../src/data/image-folder.ts'
import { whereOf } from '../../src/data/where.ts'
import { InputError } from '../../src/errors.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()

async function folderWith(name: string, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = temporary(name)
  await mkdir(folder, { recursive: true })
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, file)), { recursive: true })
    await writeFile(join(folder, file), text)
  }
  return folder
}

async function rowsOf(folder: string, from = 0): Promise<Row[]> {
  const rows: Row[] = []
  for await (const row of imageFolder(folder).rows(from)) rows.push(row)
  return rows
}

describe('a folder of pictures', () => {
  it('has a row for each, with the folder that it lies in as its label, in the order of their paths', async () => {
    const folder = await folderWith('classes', { 'dogs/b.PNG': '', 'cats/z.jpg': '', 'cats/more/a.webp': '', 'one.jpeg': '', 'notes.txt': '', 'cats/.hidden.jpg': '' })
    const rows = await rowsOf(folder)
    expect(rows).toEqual([
      { image: join(folder, 'cats/more/a.webp'), label: 'more' }, { image: join(folder, 'cats/z.jpg'), label: 'cats' }, { image: join(folder, 'dogs/b.PNG'), label: 'dogs' }, { image: join(folder, 'one.jpeg') },
    ])
    expect(rows.map(whereOf)).toEqual(rows.map(({ image }) => image))
    expect(await rowsOf(folder, 2)).toEqual(rows.slice(2))
  })

  it('has the rows of its metadata where there is some, with paths as seen from it', async () => {
    const folder = await folderWith('described', { 'train/metadata.csv': 'file_name,text\na.png,a cat\nmore/b.png,a dog\n', 'test/metadata.jsonl': '{"file_name": "c.png", "objects": [1, 2]}\n', 'train/a.png': '' })
    expect(await rowsOf(folder)).toEqual([
      { image: join(folder, 'test/c.png'), objects: [1, 2] }, { image: join(folder, 'train/a.png'), text: 'a cat' }, { image: join(folder, 'train/more/b.png'), text: 'a dog' },
    ])
    expect(await rowsOf(folder, 2)).toHaveLength(1)
  })

  it('that has none, or some that are not read, says so', async () => {
    const empty = await folderWith('empty', { 'notes.txt': '' })
    await expect(rowsOf(empty)).rejects.toThrow(new InputError(`${empty}: expected pictures, whose names end in .jpg, .jpeg, .png, .webp; found none.`))
    const mixed = await folderWith('mixed', { 'a.png': '', 'b.gif': '', 'c/d.TIFF': '' })
    await expect(rowsOf(mixed)).rejects.toThrow(new InputError(`${mixed}: expected JPEG, PNG or WebP pictures, as their names end; save these so, or take them away:`, ['b.gif', 'c/d.TIFF']))
    await expect(rowsOf(temporary('nowhere'))).rejects.toThrow('ENOENT')
  })

  it('takes no file name from metadata that leads out of it, or is none', async () => {
    const out = await folderWith('out', { 'metadata.csv': 'file_name,text\n../../secret.png,a\n' })
    await expect(rowsOf(out)).rejects.toThrow(`${join(out, 'metadata.csv')}: file_name: expected a picture in the folder or below, got "../../secret.png".`)
    const none = await folderWith('none', { 'metadata.jsonl': '{"file": "a.png"}\n' })
    await expect(rowsOf(none)).rejects.toThrow('expected the path of a picture, seen from there, in a column file_name, got undefined. It has file.')
  })
})
