// Writes the notebooks, with the outputs they are committed with, as Markdown pages for the site.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
export const NOTEBOOKS = join(root, 'docs', 'notebooks')
const PAGES = join(root, 'out', 'notebooks')

/** One page for each notebook in out/notebooks, its plots beside it. */
export function writeNotebookPages() {
  rmSync(PAGES, { recursive: true, force: true })
  mkdirSync(PAGES, { recursive: true })
  for (const file of readdirSync(NOTEBOOKS).filter((name) => name.endsWith('.ipynb'))) {
    const { cells } = JSON.parse(readFileSync(join(NOTEBOOKS, file), 'utf8'))
    const name = file.replace('.ipynb', '')
    const page = cells.map((cell, i) => (cell.cell_type === 'markdown' ? withLinks(textOf(cell.source)) : codePage(cell, `${name}-${i}`)))
    writeFileSync(join(PAGES, `${name}.md`), `${page.join('\n\n')}\n`)
  }
}

function codePage({ source, outputs }, name) {
  return [fenced('ts', textOf(source)), ...outputs.map((output, i) => outputPage(output, `${name}-${i}.svg`))].join('\n\n')
}

function outputPage({ text, data = {} }, plot) {
  const written = data['text/markdown'] ?? data['text/html']
  if (written !== undefined) return textOf(written)
  if (data['image/svg+xml'] === undefined) return fenced('', textOf(text ?? data['text/plain'] ?? ''))
  writeFileSync(join(PAGES, plot), textOf(data['image/svg+xml']))
  return `![The plot of the cell above](${plot})`
}

/** Relative links start from the notebook's folder, and are to start from the page's. */
function withLinks(text) {
  const back = relative(PAGES, NOTEBOOKS).replaceAll('\\', '/')
  return text.replace(/\]\((?!\w+:)([^)#]+)/g, (_, link) => `](${back}/${link}`)
}

function fenced(language, text) {
  return `\`\`\`${language}\n${text.trimEnd()}\n\`\`\``
}

/** Jupyter keeps a text as one string or as its lines. */
function textOf(text) {
  return Array.isArray(text) ? text.join('') : text
}
