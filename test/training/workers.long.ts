// The same as in workers.test.ts, over fifty steps.

import { expect, it } from 'vitest'
import { expectSame, METHODS, SETTINGS, VARIANTS, type Setup } from './shared-run.ts'

const all: Readonly<Record<string, Setup>> = { ...Object.fromEntries(Object.entries({ ...METHODS, ...VARIANTS }).map(([name, method]) => [name, { method }])), ...SETTINGS }

it.each(Object.entries(all))('workers that share a training give with %s, after fifty steps, the losses and weights of one that has all their rows', async (_, setup) => {
  await expectSame(setup, { steps: 50 })
  expect.hasAssertions()
})
