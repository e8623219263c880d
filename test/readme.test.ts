import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

interface Block {
  /** The page, and the block's number in it. */
  readonly title: string
  readonly page: string
  readonly code: string
}

/** Every TypeScript block of a page. */
function blocksOf(page: string, text: string): Block[] {
  return [...text.matchAll(/```ts\n(.*?)```/gs)].map(([, code = ''], i) => ({ title: `${page}, block ${i + 1}`, page, code }))
}

const pages = ['README.md', 'CONTRIBUTING.md', ...(await readdir(join(root, 'docs'))).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)]
const blocks = (await Promise.all(pages.map(async (page) => blocksOf(page, await readFile(join(root, page), 'utf8'))))).flat()
const sources = (await readdir(join(root, 'src'), { recursive: true })).filter((name) => name.endsWith('.ts'))
const source = (await Promise.all(sources.map((name) => readFile(join(root, 'src', name), 'utf8')))).join('\n')
/** A block that imports nothing shows a piece of the library. */
const programs = blocks.filter(({ code }) => code.includes('import '))
const excerpts = blocks.filter((block) => !programs.includes(block))
/** Pages whose blocks have tests of their own below. */
const TESTED_BELOW = ['README.md', 'docs/training.md']

async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  await mkdir(join(root, 'out'), { recursive: true })
  const folder = await mkdtemp(join(root, 'out', 'example-')) // inside the package, so that its own name resolves
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** What a program prints. @throws with what it printed, when it ends with an error */
async function node(folder: string, ...args: readonly string[]): Promise<string> {
  const options = { cwd: folder, env: { ...process.env, HF_HUB_OFFLINE: '1' } }
  const { stdout, stderr } = await promisify(execFile)('node', [...args], options).catch((error: unknown) => {
    const { stdout: printed = '', stderr: errors = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`${printed}\n${errors}`)
  })
  return stdout + stderr
}

describe('the code in the pages', () => {
  it('compiles', { timeout: 120_000 }, async () => {
    await inFolder(async (folder) => {
      for (const [i, { title, code }] of programs.entries()) await writeFile(join(folder, `${i}.ts`), `${code}\nexport {} // ${title}\n`)
      await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ extends: '../../tsconfig.json', include: ['*.ts'] }))
      expect(await node(folder, join(root, 'node_modules/typescript/bin/tsc'), '-p', '.')).toBe('')
    })
  })

  it.each(programs.filter(({ page }) => !TESTED_BELOW.includes(page)))('runs: $title', async ({ code }) => {
    await inFolder(async (folder) => {
      await writeFile(join(folder, 'program.ts'), code)
      expect(await node(folder, '--import', 'tsx', 'program.ts')).not.toBe('')
    })
  })

  it.each(excerpts)('stands in the library as shown: $title', ({ code }) => {
    expect(source).toContain(code.trimEnd())
  })
})

/** Runs a page's first TypeScript block below a heading as a program, in a folder that is removed when `look` has seen it. */
async function runExample(page: string, look: (run: () => Promise<string>, folder: string) => Promise<void>, heading = ''): Promise<void> {
  const text = await readFile(join(root, page), 'utf8')
  const [block] = blocksOf(page, text.slice(text.indexOf(heading)))
  await inFolder(async (folder) => {
    await writeFile(join(folder, 'example.ts'), block?.code ?? '')
    await look(() => node(folder, '--import', 'tsx', 'example.ts'), folder)
  })
}

it('the example of the README runs as it stands there', async () => {
  await runExample('README.md', async (run, folder) => {
    const printed = await run()
    expect(printed.match(/^[123] [\d.]+$/gm)).toHaveLength(3) // an epoch of one step each
    expect(await readdir(join(folder, 'out/my-lora'))).toEqual(expect.arrayContaining(['adapter_config.json', 'adapter_model.safetensors']))
    expect(await readdir(join(folder, 'out/my-model'))).toEqual(expect.arrayContaining(['config.json', 'model.safetensors', 'tokenizer.json']))
  })
})

it('the example of docs/training.md runs, and run again it goes on where it was', async () => {
  await runExample('docs/training.md', async (run, folder) => {
    expect(await run()).toMatch(/training 10\/10 .*\ncheckpoint after step 10/)
    expect(await run()).toContain('resume after step 10')
    expect(await readdir(join(folder, 'out/run'))).toEqual(['board', 'events.jsonl', 'step-00000005.safetensors', 'step-00000010.safetensors'])
    expect(await readdir(join(folder, 'out/spam-lora'))).toContain('adapter_model.safetensors')
  })
})

it('the example of stages in docs/training.md keeps the adapter and the model of each', async () => {
  await runExample('docs/training.md', async (run, folder) => {
    expect(await run()).toContain('out/outcomes')
    expect((await readdir(join(folder, 'out'))).sort()).toEqual(['domain', 'domain-lora', 'outcomes', 'outcomes-lora', 'topics', 'topics-lora'])
    expect(await readdir(join(folder, 'out/domain-lora'))).toContain('adapter_model.safetensors')
  }, '## Several trainings')
})

it('the example of freezing in docs/training.md runs', async () => {
  await runExample('docs/training.md', async (run) => {
    expect((await run()).match(/^(freezing|discriminative|unfreezing) \d+$/gm)).toHaveLength(3)
  }, '## Layers that stay')
})
