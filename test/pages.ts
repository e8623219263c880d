// The TypeScript blocks of the pages, and how they are run.

import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

export const root = fileURLToPath(new URL('..', import.meta.url))

export interface Block {
  /** The page, and the block's number in it. */
  readonly title: string
  readonly page: string
  readonly code: string
}

/** Every TypeScript block of a page. */
function blocksOf(page: string, text: string): Block[] {
  return [...text.matchAll(/```ts\n(.*?)```/gs)].map(([, code = ''], i) => ({ title: `${page}, block ${i + 1}`, page, code }))
}

/** Every TypeScript block of every page. */
export async function allBlocks(): Promise<Block[]> {
  const docs = (await readdir(join(root, 'docs'))).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)
  const pages = ['README.md', 'CONTRIBUTING.md', ...docs]
  return (await Promise.all(pages.map(async (page) => blocksOf(page, await readFile(join(root, page), 'utf8'))))).flat()
}

/** One that imports nothing shows a piece of the library. */
export function isProgram({ code }: Block): boolean {
  return code.includes('import ')
}

/** Gives a folder inside the package, so that its own name resolves there, and removes it. */
export async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  await mkdir(join(root, 'out'), { recursive: true })
  const folder = await mkdtemp(join(root, 'out', 'example-'))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** What a program prints. @throws with what it printed, when it ends with an error */
export async function node(folder: string, ...args: readonly string[]): Promise<string> {
  const options = { cwd: folder, env: { ...process.env, HF_HUB_OFFLINE: '1' } }
  const { stdout, stderr } = await promisify(execFile)('node', [...args], options).catch((error: unknown) => {
    const { stdout: printed = '', stderr: errors = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`${printed}\n${errors}`)
  })
  return stdout + stderr
}

/** Runs a page's first TypeScript block below a heading as a program, in a folder that is removed when `look` has seen it. */
export async function runExample(page: string, look: (run: () => Promise<string>, folder: string) => Promise<void>, heading = ''): Promise<void> {
  const text = await readFile(join(root, page), 'utf8')
  const [block] = blocksOf(page, text.slice(text.indexOf(heading)))
  await inFolder(async (folder) => {
    await writeFile(join(folder, 'example.ts'), block?.code ?? '')
    await look(() => node(folder, '--import', 'tsx', 'example.ts'), folder)
  })
}
