// What a command writes into a page of docs/, between two markers that stay.

import { readFile } from 'node:fs/promises'
import { writeAtomic } from '../src/base/files/atomic.ts'
import { path } from './process.ts'

const END = '<!-- end of table -->'

/** Puts text between `<!-- table: npm run <script> -->` and the next end. @param page as in docs/<page>.md */
export async function writeSection(page: string, script: string, text: string): Promise<void> {
  const file = path(`../docs/${page}.md`)
  const begin = `<!-- table: npm run ${script} -->`
  const doc = await readFile(file, 'utf8')
  const start = doc.indexOf(begin)
  const end = doc.indexOf(END, start)
  if (start < 0 || end < 0) throw new Error(`docs/${page}.md: expected the lines ${begin} and ${END}`)
  await writeAtomic(file, `${doc.slice(0, start + begin.length)}\n\n${text}\n\n${doc.slice(end)}`)
}
