import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { buildFolder } from '../../src/setup/build-folder.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const module = new URL('../../src/setup/build-folder.ts', import.meta.url).href

describe('a folder that is built', () => {
  const folder = temporaryFolder()
  const fill = (text: string) => (partial: string) => writeFile(join(partial, 'file'), text)

  it('appears complete under its name, and nothing else does', async () => {
    await mkdir(folder('fresh'))
    await buildFolder(folder('fresh', 'engine'), async (partial) => {
      await fill('content')(partial)
      expect(await readdir(folder('fresh'))).toEqual([`engine.partial-${process.pid}`])
    })
    expect(await readdir(folder('fresh'))).toEqual(['engine'])
  })

  it('takes the place of an older one', async () => {
    const target = folder('again', 'engine')
    await buildFolder(target, fill('old'))
    await buildFolder(target, fill('new'))
    expect(await readFile(join(target, 'file'), 'utf8')).toBe('new')
    expect(await readdir(folder('again'))).toEqual(['engine'])
  })

  it('that fails leaves the older one as it was', async () => {
    const target = folder('failed', 'engine')
    await buildFolder(target, fill('old'))
    const failing = buildFolder(target, async (partial) => {
      await fill('half')(partial)
      throw new Error('no compiler')
    })
    await expect(failing).rejects.toThrow('no compiler')
    expect(await readFile(join(target, 'file'), 'utf8')).toBe('old')
    expect(await readdir(folder('failed'))).toEqual(['engine'])
  })

  it('by a process that is killed is not there, and the next build clears what was left', async () => {
    const target = folder('killed', 'engine')
    const program = `
      import { writeFileSync } from 'node:fs'
      import { buildFolder } from ${JSON.stringify(module)}
      await buildFolder(${JSON.stringify(target)}, async (partial) => {
        writeFileSync(partial + '/file', 'half')
        console.log('halfway')
        await new Promise((resolve) => setTimeout(resolve, 60_000))
      })`
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', program])
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'close')
    expect(await readdir(folder('killed'))).toEqual([`engine.partial-${child.pid ?? 0}`])
    await buildFolder(target, fill('whole'))
    expect(await readdir(folder('killed'))).toEqual(['engine'])
    expect(await readFile(join(target, 'file'), 'utf8')).toBe('whole')
  })
})
