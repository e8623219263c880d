import { expect, it } from 'vitest'
import { runExample } from './pages.ts'

it('the page on pictures is a program: a ViT learns kinds of fruit from a stream of drawings, and tells them', async () => {
  await runExample('docs/pictures.md', async (run) => {
    const printed = await run()
    expect(Number(/not seen: (\S+)/.exec(printed)?.[1])).toBeGreaterThanOrEqual(0.9)
    expect(printed).toMatch(/\nplum (0\.[5-9]\d|1\.00)\n/)
  })
})
