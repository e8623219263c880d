import { readdir, readFile, writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { writeAtomic } from '../../../src/base/files/atomic.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const inFolder = temporaryFolder()

describe('writeAtomic', () => {
  it('replaces a file with text, bytes or what a function writes', async () => {
    await writeAtomic(inFolder('a'), 'text é')
    expect(await readFile(inFolder('a'), 'utf8')).toBe('text é')
    await writeAtomic(inFolder('a'), Uint8Array.of(104, 105))
    expect(await readFile(inFolder('a'), 'utf8')).toBe('hi')
    await writeAtomic(inFolder('a'), async (handle) => {
      await handle.write('part')
      expect(await readFile(inFolder('a'), 'utf8')).toBe('hi')
    })
    expect(await readFile(inFolder('a'), 'utf8')).toBe('part')
  })

  it('keeps the old file and removes the temporary one when it fails', async () => {
    await writeFile(inFolder('b'), 'old')
    await expect(writeAtomic(inFolder('b'), () => Promise.reject(new Error('disk full')))).rejects.toThrow('disk full')
    expect(await readFile(inFolder('b'), 'utf8')).toBe('old')
    await expect(writeAtomic(inFolder('none', 'c'), '')).rejects.toThrow('ENOENT')
    expect((await readdir(inFolder())).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })
})
