import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { finishSave, replaceFiles } from '../../../src/base/files/folder-save.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const temporary = temporaryFolder()
let folder: string
let tests = 0
beforeEach(() => {
  folder = temporary(`folder-${tests++}`)
  put(folder, OLD)
})

const OLD = { 'config.json': 'old', weights: 'old', 'sub/pooling.json': 'old', gone: 'old', notes: 'mine' }
const NEW = { 'config.json': 'new', weights: 'new', 'sub/pooling.json': 'new', more: 'new' }
const AFTER = { ...NEW, notes: 'mine' }

function put(into: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(into, name)), { recursive: true })
    writeFileSync(join(into, name), text)
  }
}

const writeNew = (into: string): Promise<readonly string[]> => {
  put(into, NEW)
  return Promise.resolve(['gone', 'never there'])
}

/** What any program reads. */
function read(from = folder): Record<string, string> {
  const names = readdirSync(from, { recursive: true }).map(String).filter((name) => !name.startsWith('.') && !['sub', 'elsewhere'].includes(name))
  return Object.fromEntries(names.filter((name) => existsSync(join(from, name))).map((name) => [name, readFileSync(join(from, name), 'utf8')]))
}

const hidden = (): string[] => readdirSync(folder).filter((name) => name.startsWith('.'))

describe.each([['with', undefined], ['without', false]])('files of a folder on a file system %s links', (_, links) => {
  it('are replaced as one: those of no use any more go, those of others stay, and nothing is left beside them', async () => {
    await replaceFiles(folder, writeNew, links)
    expect(read()).toEqual(AFTER)
    expect(hidden()).toEqual([])
  })

  it('may be read while the new ones are written, and stay where that fails', async () => {
    await expect(replaceFiles(folder, (into) => {
      put(into, NEW)
      expect(read()).toEqual(OLD)
      throw new Error('no more')
    }, links)).rejects.toThrow('no more')
    expect(read()).toEqual(OLD)
    expect(hidden()).toEqual([])
  })

  it('are those of the last of several saves that were asked for at once', async () => {
    await Promise.all(['1', '2', '3'].map((text) => replaceFiles(folder, (into) => {
      put(into, { 'config.json': text, weights: text })
      return Promise.resolve(undefined)
    }, links)))
    const { 'config.json': config, weights } = read()
    expect(config).toBe(weights)
    expect(hidden()).toEqual([])
  })
})

describe('what a process that was killed has left', () => {
  const work = (...names: string[]): string => join(folder, '.tfjs-peft-save', ...names)

  /** Second names and links, as of a process that came so far. */
  function leave(inForce: 'old' | 'new', linked: readonly string[]): void {
    cpSync(folder, temporary('copy'), { recursive: true })
    cpSync(temporary('copy'), work('old'), { recursive: true })
    put(work('new'), NEW)
    symlinkSync(inForce, work('now'))
    for (const name of linked) {
      spawnSync('ln', ['-sfn', `${name.includes('/') ? '../' : ''}.tfjs-peft-save/now/${name}`, join(folder, name)])
    }
  }
  const names = ['config.json', 'weights', 'sub/pooling.json', 'gone', 'more']

  it.each([[[]], [['weights']], [['weights', 'more']], [names]])('before the moment of change (links: %j) reads as the old files, and the next save starts from there', async (linked) => {
    mkdirSync(work())
    leave('old', linked)
    expect(read()).toEqual(OLD)
    await replaceFiles(folder, () => Promise.resolve(undefined))
    expect(read()).toEqual(OLD)
    expect(hidden()).toEqual([])
  })

  it.each([[names], [names.slice(1)], [names.slice(0, 1)]])('after it (links: %j) reads as the new files', async (linked) => {
    mkdirSync(work())
    leave('new', names)
    for (const name of names.filter((each) => !linked.includes(each))) {
      spawnSync('mv', ['-T', work('new', name), join(folder, name)])
    }
    expect({ ...read(), gone: undefined }).toEqual({ ...AFTER, gone: undefined })
    await replaceFiles(folder, () => Promise.resolve(undefined))
    expect({ ...read(), gone: undefined }).toEqual({ ...AFTER, gone: undefined })
    expect(hidden()).toEqual([])
  })

  it('where there are no links is completed by the next reader of this library; until then no settings are there', async () => {
    mkdirSync(work('new'), { recursive: true })
    put(work('new'), { 'config.json': 'new', more: 'new' })
    writeFileSync(work('moving'), '["gone"]')
    await rm(join(folder, 'config.json'))
    await writeFile(join(folder, 'weights'), 'new')
    await finishSave(folder)
    expect(read()).toEqual({ ...AFTER, 'sub/pooling.json': 'old' })
    expect(hidden()).toEqual([])
  })

  it('of half-written files goes', async () => {
    put(work('new'), { 'config.json': 'ne' })
    await replaceFiles(folder, () => Promise.resolve(undefined))
    expect(read()).toEqual(OLD)
    expect(hidden()).toEqual([])
  })
})

it('a file that is a link to elsewhere, as in the cache of the Hub, is replaced; what it leads to stays', async () => {
  put(folder, { 'elsewhere/blob': 'theirs' })
  await rm(join(folder, 'weights'))
  symlinkSync('elsewhere/blob', join(folder, 'weights'))
  await replaceFiles(folder, writeNew)
  expect(read()).toEqual({ ...AFTER, 'elsewhere/blob': 'theirs' })
})

describe('a folder that cannot be written to', () => {
  const mounts: string[] = []
  afterAll(() => mounts.forEach((path) => spawnSync('umount', [path])))

  it('for a full disk says so with its path, and keeps its files', async ({ skip }) => {
    folder = temporary('small')
    mkdirSync(folder)
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder]).status !== 0) skip('mounting a small disk needs rights that this process has not')
    mounts.push(folder)
    put(folder, OLD)
    const full = replaceFiles(folder, async (into) => {
      await writeFile(join(into, 'weights'), new Uint8Array(1e6))
      return undefined
    })
    await expect(full).rejects.toThrow(`${folder} cannot be written: ENOSPC: no space left on device, write. What was there is as it was; make room or choose another folder.`)
    expect(read()).toEqual(OLD)
    expect(hidden()).toEqual([])
  })

  it('because a file is there says so', async () => {
    await expect(replaceFiles(join(folder, 'weights'), writeNew)).rejects.toThrow(`${join(folder, 'weights')} cannot be written: EEXIST`)
  })

  it('is not left empty where it was new', async () => {
    await expect(replaceFiles(join(folder, 'made'), () => Promise.reject(new Error('no more')))).rejects.toThrow('no more')
    expect(existsSync(join(folder, 'made'))).toBe(false)
    expect(await readFile(join(folder, 'weights'), 'utf8')).toBe('old')
  })
})
