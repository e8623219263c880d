import { mkdir } from 'node:fs/promises'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { compileBinding, findCompiler } from '../../src/setup/compiler.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const { signal } = new AbortController()

describe('the compiler', () => {
  const folder = temporaryFolder()
  afterEach(() => void vi.unstubAllEnvs())

  it('is the one in CXX when that runs, and another one when it does not', async () => {
    vi.stubEnv('CXX', 'node')
    expect(await findCompiler()).toBe('node')
    vi.stubEnv('CXX', 'no-such-compiler')
    expect(await findCompiler()).not.toBe('no-such-compiler')
  })

  it('that is missing is an error that says what to install', async () => {
    vi.stubEnv('CXX', undefined)
    vi.stubEnv('PATH', folder())
    await expect(compileBinding(folder(), folder(), signal)).rejects.toThrow(
      'A C++17 compiler is needed to build the engine, and none of CXX, g++ and clang++ runs. Install one: `apt install g++`',
    )
  })

  it('that fails is an error with its own words', async () => {
    await mkdir(folder('package'))
    await expect(compileBinding(folder('package'), folder(), signal)).rejects.toThrow(
      /^The engine's binding did not compile with \S+ \(exit code 1\):\n[^]*tfjs_backend\.cc/,
    )
  })
})
