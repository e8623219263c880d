import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Runs a page's first TypeScript block below a heading as a program, in a folder that is removed when `look` has seen it. */
async function runExample(page: string, look: (run: () => Promise<string>, folder: string) => Promise<void>, heading = ''): Promise<void> {
  const text = await readFile(join(root, page), 'utf8')
  const code = /```ts\n(.*?)```/s.exec(text.slice(text.indexOf(heading)))?.[1] ?? ''
  await mkdir(join(root, 'out'), { recursive: true })
  const folder = await mkdtemp(join(root, 'out', 'example-')) // inside the package, so that its own name resolves
  try {
    await writeFile(join(folder, 'example.ts'), code)
    await look(async () => {
      const { stdout, stderr } = await promisify(execFile)('node', ['--import', 'tsx', 'example.ts'], { cwd: folder })
      return stdout + stderr
    }, folder)
  } finally {
    await rm(folder, { recursive: true })
  }
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
