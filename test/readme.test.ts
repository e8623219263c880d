import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { allBlocks, inFolder, node, root, runExample } from './pages.ts'

const blocks = await allBlocks()
const sources = (await readdir(join(root, 'src'), { recursive: true })).filter((name) => name.endsWith('.ts'))
const source = (await Promise.all(sources.map((name) => readFile(join(root, 'src', name), 'utf8')))).join('\n')
/** A block that imports nothing shows a piece of the library. */
const programs = blocks.filter(({ code }) => code.includes('import '))
const excerpts = blocks.filter((block) => !programs.includes(block))
/** All but those with tests of their own, below and in readme.long.ts. */
const together = programs.filter(({ page }) => !['README.md', 'docs/training.md', 'docs/long-training.md', 'docs/forgetting.md'].includes(page))

/** Runs the programs of a folder one after the other in one process: each would take longer to start than to run. */
const RUN_ALL = `
for (const [i, title] of ${JSON.stringify(together.map(({ title }) => title))}.entries()) {
  process.chdir(import.meta.dirname + '/' + i)
  console.log('== ' + title)
  await import('./' + i + '/program.ts')
}`

describe('the code in the pages', () => {
  const printed = new Map<string, string>()

  it('compiles', { timeout: 120_000 }, async () => {
    await inFolder(async (folder) => {
      for (const [i, { title, code }] of programs.entries()) await writeFile(join(folder, `${i}.ts`), `${code}\nexport {} // ${title}\n`)
      await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ extends: '../../tsconfig.json', include: ['*.ts'] }))
      expect(await node(folder, join(root, 'node_modules/typescript/bin/tsc'), '-p', '.')).toBe('')
    })
  })

  beforeAll(async () => {
    await inFolder(async (folder) => {
      for (const [i, { code }] of together.entries()) {
        await mkdir(join(folder, String(i)))
        await writeFile(join(folder, String(i), 'program.ts'), code)
      }
      await writeFile(join(folder, 'all.ts'), RUN_ALL)
      for (const part of (await node(folder, '--import', 'tsx', 'all.ts')).split(/^== /m)) {
        const [title = '', ...lines] = part.split('\n')
        printed.set(title, lines.join('\n').trim())
      }
    })
  }, 120_000)

  it.each(together)('runs: $title', ({ title }) => {
    expect(printed.get(title) ?? '').not.toBe('')
  })

  it.each(excerpts)('stands in the library as shown: $title', ({ code }) => {
    expect(source).toContain(code.trimEnd())
  })
})

it('the example of the README runs as it stands there', async () => {
  await runExample('README.md', async (run, folder) => {
    const printed = await run()
    expect(printed.match(/^[123] [\d.]+$/gm)).toHaveLength(3) // an epoch of one step each
    expect(await readdir(join(folder, 'out/my-lora'))).toEqual(expect.arrayContaining(['adapter_config.json', 'adapter_model.safetensors']))
    expect(await readdir(join(folder, 'out/my-model'))).toEqual(expect.arrayContaining(['config.json', 'model.safetensors', 'tokenizer.json']))
  })
})
