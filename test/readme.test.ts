import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

it('the example of the README runs as it stands there', async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  const code = /```ts\n(.*?)```/s.exec(readme)?.[1] ?? ''
  await mkdir(join(root, 'out'), { recursive: true })
  const folder = await mkdtemp(join(root, 'out', 'readme-')) // inside the package, so that its own name resolves
  try {
    await writeFile(join(folder, 'example.ts'), code)
    const { stdout } = await promisify(execFile)('node', ['--import', 'tsx', 'example.ts'], { cwd: folder })
    expect(stdout.trim().split('\n')).toHaveLength(3) // an epoch of one step each
    expect(await readdir(join(folder, 'out/my-lora'))).toEqual(expect.arrayContaining(['adapter_config.json', 'adapter_model.safetensors']))
    expect(await readdir(join(folder, 'out/my-model'))).toEqual(expect.arrayContaining(['config.json', 'model.safetensors', 'tokenizer.json']))
  } finally {
    await rm(folder, { recursive: true })
  }
})
