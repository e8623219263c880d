// The notebooks as they are committed; `npm run notebooks` runs them.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

interface Output {
  readonly output_type: string
  readonly name?: string
  readonly data?: Readonly<Record<string, readonly string[] | string>>
}

interface Cell {
  readonly cell_type: 'code' | 'markdown'
  readonly source: readonly string[]
  readonly execution_count?: number | null
  readonly outputs?: readonly Output[]
}

const folder = fileURLToPath(new URL('../docs/notebooks', import.meta.url))
const names = (await readdir(folder)).filter((name) => name.endsWith('.ipynb')).sort((a, b) => Number.parseInt(a) - Number.parseInt(b))
const LARGEST = 120_000 // bytes: text, and some plots

it('there is a page that lists all notebooks', async () => {
  const page = await readFile(join(folder, 'README.md'), 'utf8')
  expect([...page.matchAll(/\]\(([^)]+\.ipynb)\)/g)].map(([, name]) => name)).toEqual(names)
})

describe.each(names)('%s', (name) => {
  const read = async (): Promise<string> => await readFile(join(folder, name), 'utf8')
  const codeOf = (text: string): Cell[] => (JSON.parse(text) as { cells: Cell[] }).cells.filter((cell) => cell.cell_type === 'code')

  it('has every cell run once, in order, without an error or a message of the compiler', async () => {
    const code = codeOf(await read())
    expect(code.map((cell) => cell.execution_count)).toEqual(code.map((_, i) => i + 1))
    const outputs = code.flatMap((cell) => cell.outputs ?? [])
    expect(outputs.filter((output) => output.output_type === 'error' || output.name === 'stderr')).toEqual([])
  })

  it('shows a plot as SVG', async () => {
    const plots = codeOf(await read()).flatMap((cell) => cell.outputs ?? []).filter((output) => output.data?.['image/svg+xml'] !== undefined)
    expect(plots).not.toEqual([])
  })

  it('is small, and names no folder of the machine that ran it', async () => {
    const text = await read()
    expect(Buffer.byteLength(text)).toBeLessThan(LARGEST)
    expect(text).not.toMatch(/\/(root|home|Users|work|tmp)\//)
  })
})
