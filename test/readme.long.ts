import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { allBlocks, inFolder, isProgram, node, runExample } from './pages.ts'

/** All but those with tests of their own, below and in readme.test.ts. */
const together = (await allBlocks()).filter((block) => isProgram(block) && !['README.md', 'docs/training.md', 'docs/long-training.md', 'docs/forgetting.md'].includes(block.page))

/** Runs the programs of a folder one after the other in one process: each would take longer to start than to run. */
const RUN_ALL = `
for (const [i, title] of ${JSON.stringify(together.map(({ title }) => title))}.entries()) {
  process.chdir(import.meta.dirname + '/' + i)
  console.log('== ' + title)
  await import('./' + i + '/program.ts')
}`

describe('the programs in the pages', () => {
  const printed = new Map<string, string>()

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
  })

  it.each(together)('runs: $title', ({ title }) => {
    expect(printed.get(title) ?? '').not.toBe('')
  })
})

it('the example of docs/long-training.md runs, and run again it goes on where it was', async () => {
  await runExample('docs/long-training.md', async (run, folder) => {
    expect(await run()).toMatch(/training 10\/10 .*\ncheckpoint after step 10/)
    expect(await run()).toContain('resume after step 10')
    expect(await readdir(join(folder, 'out/run'))).toEqual(['board', 'events.jsonl', 'report.html', 'step-00000005.safetensors', 'step-00000010.safetensors'])
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

it('the example of learning rates in docs/training.md rises, and falls along a cosine', async () => {
  await runExample('docs/training.md', async (run) => {
    expect(await run()).toContain('0.0e+0 5.0e-4 1.0e-3 9.3e-4 7.5e-4 5.0e-4 2.5e-4 6.7e-5')
  }, '## How the learning rate goes')
})

it('the example of freezing in docs/training.md runs', async () => {
  await runExample('docs/training.md', async (run) => {
    expect((await run()).match(/^(freezing|discriminative|unfreezing) \d+$/gm)).toHaveLength(3)
  }, '## Layers that stay')
})

it('the example of data in docs/training.md goes from a file to measures', async () => {
  await runExample('docs/training.md', async (run) => {
    const printed = await run()
    expect(printed).toContain('1 of 3 rows were left out: label: none in mails.csv: line 4')
    expect(printed).toMatch(/accuracy: [\d.]+, f1: [\d.]+, loss: [\d.]+/)
  }, '## Data')
})

it('the example of texts that belong together in docs/training.md learns to find them', async () => {
  await runExample('docs/training.md', async (run) => {
    const found = [...(await run()).matchAll(/^step \d+: ([\d.]+) are nearest to their own, mrr [\d.]+$/gm)].map(([, share]) => Number(share))
    expect(found).toHaveLength(3)
    expect(found.at(-1)).toBeGreaterThanOrEqual(0.75)
  }, '## Texts that belong together')
})

it('the example of measures in docs/training.md ends with the best entities, and reports each class', async () => {
  await runExample('docs/training.md', async (run) => {
    expect(await run()).toMatch(/step: \d+.*\n +precision +recall +F1 +rows\nham .*\nspam .*\n[^]*accuracy [\d.]+\n[\d.]+\n/)
  }, '## Measures')
})

it('the first example of docs/forgetting.md runs', async () => {
  await runExample('docs/forgetting.md', async (run) => {
    expect(await run()).toMatch(/^best with (0\.25|0\.5|0\.75|1) of the way$/m)
  })
})

it('each guard in docs/forgetting.md keeps the first task better than nothing, and learns the second', async () => {
  await runExample('docs/forgetting.md', async (run) => {
    const printed = await run()
    const shares = Object.fromEntries([...printed.matchAll(/^(.*): films ([\d.]+), (?:devices|praise) ([\d.]+)$/gm)].map(([, name = '', films, devices]) => [name, { films: Number(films), devices: Number(devices) }]))
    const { nothing, 'praise alone, nothing': onPraise, 'praise alone, LwF': onPraiseWithLwf, ...guarded } = shares
    expect(nothing).toEqual({ films: expect.closeTo(0, 0) as number, devices: 1 })
    expect(Object.keys(guarded)).toEqual(['EWC', 'L2-SP', 'synaptic intelligence', 'replay'])
    for (const [name, { films, devices }] of Object.entries(guarded)) {
      expect(films, name).toBeGreaterThan((nothing?.films ?? NaN) + 0.3)
      expect(devices, name).toBeGreaterThanOrEqual(0.9)
    }
    expect(onPraiseWithLwf?.films).toBeGreaterThan((onPraise?.films ?? NaN) + 0.2)
  }, '## Each guard at work')
})
