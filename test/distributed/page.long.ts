import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { node, root, runExample } from '../pages.ts'
import { hasCollectives } from './launched.ts'

it.runIf(await hasCollectives())('the example of docs/distributed.md runs by itself, and by launch in two processes', async () => {
  await runExample('docs/distributed.md', async (run) => {
    expect(await run()).toContain('1 workers, accuracy')
  })
  await runExample('docs/distributed.md', async (_, folder) => {
    const printed = await node(folder, '--import', 'tsx', join(root, 'src/cli/main.ts'), 'launch', '--processes', '2', 'example.ts')
    expect(printed).toMatch(/^\[0\] 2 workers, accuracy 1$/m)
    expect(await readdir(join(folder, 'out'))).toEqual(['run', 'spam-lora'])
  })
})
