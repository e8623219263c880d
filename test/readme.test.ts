import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { allBlocks, inFolder, isProgram, node, root, runExample } from './pages.ts'

const blocks = await allBlocks()
const sources = (await readdir(join(root, 'src'), { recursive: true })).filter((name) => name.endsWith('.ts'))
const source = (await Promise.all(sources.map((name) => readFile(join(root, 'src', name), 'utf8')))).join('\n')
const programs = blocks.filter(isProgram)
const excerpts = blocks.filter((block) => !isProgram(block)) // pieces of the library

describe('the code in the pages', () => {
  it('compiles', { timeout: 120_000 }, async () => {
    await inFolder(async (folder) => {
      for (const [i, { title, code }] of programs.entries()) await writeFile(join(folder, `${i}.ts`), `${code}\nexport {} // ${title}\n`)
      await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ extends: '../../tsconfig.json', include: ['*.ts'] }))
      expect(await node(folder, join(root, 'node_modules/typescript/bin/tsc'), '-p', '.')).toBe('')
    })
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
