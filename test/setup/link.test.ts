import { mkdir, readFile, readlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { BINDING_FOLDER, enginePackages, linkEngine, linkedBinding } from '../../src/setup/link.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const root = join(import.meta.dirname, '..', '..')

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
}

describe('an engine', () => {
  const folder = temporaryFolder()

  it('is linked into a package that had none', async () => {
    await write(folder('one', BINDING_FOLDER, 'tfjs_binding.node'), 'one')
    await mkdir(folder('package'))
    expect(await linkedBinding(folder('package'))).toBeUndefined()
    await linkEngine(folder('one'), folder('package'))
    expect(await linkedBinding(folder('package'))).toBe(folder('one', BINDING_FOLDER))
  })

  it('takes the place of another link, and of a folder that is no link', async () => {
    const place = folder('used', BINDING_FOLDER)
    await write(folder('two', BINDING_FOLDER, 'tfjs_binding.node'), 'two')
    await write(join(place, 'tfjs_binding.node'), 'by npm')
    for (const engine of ['two', 'one']) {
      await linkEngine(folder(engine), folder('used'))
      expect(await readlink(place)).toBe(folder(engine, BINDING_FOLDER))
      expect(await readFile(join(place, 'tfjs_binding.node'), 'utf8')).toBe(engine)
    }
  })

  it('whose folder is gone counts as none', async () => {
    await mkdir(folder('dangling'))
    await linkEngine(folder('gone'), folder('dangling'))
    expect(await linkedBinding(folder('dangling'))).toBeUndefined()
  })
})

describe('the packages that need an engine', () => {
  const folder = temporaryFolder()

  it('are the one of the project and the one of this library, once where they are the same', async () => {
    const own = join(root, 'node_modules', '@tensorflow', 'tfjs-node-gpu')
    expect(await enginePackages(root)).toEqual([own])
    const theirs = folder('project', 'node_modules', '@tensorflow', 'tfjs-node-gpu')
    await write(join(theirs, 'package.json'), '{"version":"4.22.0"}')
    expect(await enginePackages(folder('project'))).toEqual([theirs, own])
  })

  it('must have the version that is known to work', async () => {
    const theirs = folder('old', 'node_modules', '@tensorflow', 'tfjs-node-gpu')
    await write(join(theirs, 'package.json'), '{"version":"4.10.0"}')
    await expect(enginePackages(folder('old'))).rejects.toThrow(
      `${theirs}: expected version 4.22.0, got 4.10.0. Run \`npm install @tensorflow/tfjs-node-gpu@4.22.0\`.`,
    )
  })
})
