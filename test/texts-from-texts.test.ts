import { expect, it } from 'vitest'
import { runExample } from './pages.ts'

it('the page on texts from texts is a program: a T5 learns to write, and writes', async () => {
  await runExample('docs/texts-from-texts.md', async (run) => {
    expect(await run()).toContain('written: 11 10 9 8 1')
  })
})

it('the same page shows what is read and what is written where spans are taken out', async () => {
  await runExample('docs/texts-from-texts.md', async (run) => {
    const printed = await run()
    expect(printed).toMatch(/^reads: {2}\[CLS\] the .*<extra_id_0>.*\[SEP\]$/m)
    expect(printed).toMatch(/^writes: <extra_id_0> .*\[SEP\]$/m)
    expect(Number(/loss: ([\d.]+)/.exec(printed)?.[1])).toBeLessThan(9) // of 30,525 tokens, by chance 10.3
  }, '## Learning from texts alone')
})
