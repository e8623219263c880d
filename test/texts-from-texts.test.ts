import { expect, it } from 'vitest'
import { runExample } from './pages.ts'

it('the page on texts from texts is a program: a T5 learns to write, and writes', async () => {
  await runExample('docs/texts-from-texts.md', async (run) => {
    expect(await run()).toContain('written: 11 10 9 8 1')
  })
})
