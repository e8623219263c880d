import { expect, it } from 'vitest'
import { temporaryFolder } from '../temporary-folder.ts'
import { killSaves } from './kills.ts'

const temporary = temporaryFolder()

it('a process killed while it saves an adapter with its guards, or a model, leaves the files of one save', { timeout: 120_000 }, async () => {
  for (const kind of ['guards', 'merged'] as const) {
    expect(await killSaves(kind, 3, temporary)).toMatchObject({ mixed: 0, loaded: 3 })
  }
})
