import { expect, it } from 'vitest'
import { temporaryFolder } from '../temporary-folder.ts'
import { killSaves } from './kills.ts'

const temporary = temporaryFolder()

it('a process killed while it saves an adapter with its guards leaves the files of one save', { timeout: 120_000 }, async () => {
  expect(await killSaves('guards', 2, temporary)).toMatchObject({ mixed: 0, loaded: 2 })
})
