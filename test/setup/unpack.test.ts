import { readdir, readFile, writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { unpackWheel } from '../../src/setup/unpack.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { makeWheel } from './fake-wheel.ts'

const { signal } = new AbortController()

describe('unpacking a wheel', () => {
  const folder = temporaryFolder()
  const file = 'tiny-1.0-py3-none-any.whl'

  it('writes the wanted files to their places and no other', async () => {
    await makeWheel(folder(), file, { 'tiny/lib/a.so': 'library', 'tiny/b.py': 'code', 'tiny/c.py': 'code' })
    const place = (name: string): string | undefined => (name.endsWith('.so') ? name.replace('tiny/', 'engine/') : undefined)
    expect(await unpackWheel(folder(file), folder('out'), place, signal)).toBe(1)
    expect(await readFile(folder('out', 'engine', 'lib', 'a.so'), 'utf8')).toBe('library')
    expect((await readdir(folder('out'), { recursive: true })).sort()).toEqual(['engine', 'engine/lib', 'engine/lib/a.so'])
  })

  it('refuses a name that leads out of the folder', async () => {
    await makeWheel(folder(), file, { '../escaped': 'x' })
    await expect(unpackWheel(folder(file), folder('safe'), (name) => name, signal)).rejects.toThrow('../escaped')
  })

  it('of a file that is cut off fails', async () => {
    await makeWheel(folder(), file, { 'tiny/a.txt': 'x'.repeat(1000) })
    await writeFile(folder('cut.whl'), (await readFile(folder(file))).subarray(0, 500))
    await expect(unpackWheel(folder('cut.whl'), folder('cut'), (name) => name, signal)).rejects.toThrow('End of central directory')
  })
})
