// docs/mission.md: what it names is there.

import { access, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from './pages.ts'
import { exported } from './public-symbols.ts'

const page = join(root, 'docs', 'mission.md')
const text = await readFile(page, 'utf8')
const rows = [...text.matchAll(/^\| (?!line \||---)(.*) \|$/gm)].map(([, cells = '']) => cells.split(' | ').map((cell) => cell.trim()))
  .map(([line = '', here = '', read = '', measured = '']) => ({ line, here, read, measured }))
const sources = (await Promise.all(['trainer-options', 'trainer'].map((name) => readFile(join(root, 'src', 'training', `${name}.ts`), 'utf8')))).join('\n')
const exportedNames = new Set(exported.map(({ name }) => name))

describe('the map of the mission', () => {
  it.each(rows)('of $line says what is here, where to read of it and what was measured, or why not', ({ here, read, measured }) => {
    if (here.startsWith('not here: ')) return
    expect(here).not.toBe('')
    expect(measured).not.toBe('')
    if (!measured.startsWith('not yet')) expect(read).not.toBe('')
  })

  it('names functions that are exported, options that there are, and commands of package.json', async () => {
    const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { readonly scripts: Readonly<Record<string, string>> }
    const names = [...text.matchAll(/`(\w+)`/g)].map(([, name = '']) => name)
    expect(names.filter((name) => !exportedNames.has(name) && !OTHERS.includes(name) && !new RegExp(`\\b${name}\\??:`).test(sources))).toEqual([])
    const commands = [...text.matchAll(/`npm run ([\w:]+)`/g)].map(([, name = '']) => name)
    expect(commands.filter((name) => scripts[name] === undefined)).toEqual([])
  })

  it('links to pages that are there, and to headings in them', async () => {
    const links = [...text.matchAll(/\]\(([^)#]+)(?:#([^)]+))?\)/g)]
    for (const [, file = '', place] of links) {
      const target = join(dirname(page), file)
      await access(target)
      if (place !== undefined) expect(headings(await readFile(target, 'utf8')), `${file}#${place}`).toContain(place)
    }
  })
})

/** Options of methods, and fields of rows. */
const OTHERS = ['rankPattern', 'targetParameters', 'tower', 'dtype', 'dropout', 'ids', 'targets']

/** As GitHub and the site make addresses of headings. */
function headings(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-'))
}
