// What does not fit is refused by its name, by every family: settings that would compute something else, and labels.

import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Family } from '../../../src/base/architecture.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { architectureOf, FAMILIES } from '../../../src/base/models/auto.ts'
import { COMMON_OFF } from '../../../src/base/models/settings.ts'
import { CheckpointError } from '../../../src/errors.ts'
import { goldenPath } from '../../golden.ts'

function problemsOf(config: Readonly<Record<string, unknown>>): readonly string[] {
  try {
    architectureOf(config)
    return []
  } catch (error) {
    if (error instanceof CheckpointError) return error.problems
    throw error
  }
}

it.each(Object.entries(FAMILIES))('%s refuses by name each setting that would compute something else', (type, { off }) => {
  const all: Family['off'] = { ...COMMON_OFF, ...off }
  const keys = Object.keys(all).filter((key) => all[key] !== undefined) // what a family does is not off
  const asked = Object.fromEntries(keys.map((key) => [key, 'something else']))
  const refused = problemsOf({ model_type: type, ...asked }).filter((problem) => problem.endsWith('got "something else", which is not supported'))
  expect(refused.map((problem) => problem.split(':')[0]).sort()).toEqual(keys.sort())
})

describe('labels that do not fit', () => {
  const folders = readdirSync(goldenPath('relatives')).filter((name) => name.endsWith('_sequence_classification'))

  it.each(folders)('%s: are told with the key of the head, and what to do', async (folder) => {
    await expect(loadModel(goldenPath(`relatives/${folder}`), { task: 'sequence-classification', labels: ['a', 'b', 'c', 'd'] })).rejects.toThrow(
      /(classifier(\.out_proj)?|score)\.weight: expected \[4, \d+\], the file has \[3, \d+\]; give `labels` as many names as the checkpoint has classes, leave it out, or ask for a newHead/)
  })
})
