import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it, vi } from 'vitest'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import { tensorflow, type TensorFlow } from '../../../src/base/engine/tensorflow.ts'
import { toFloat32 } from '../../../src/base/checkpoint/dtype.ts'
import { alignedMemory, nativeInstructionSets, nativeState, useNative } from '../../../src/base/engine/native.ts'
import { nativeSources } from '../../../src/base/engine/load-native.ts'
import { enginePackages, linkedBinding } from '../../../src/setup/link.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

await loadEngine()
const engine = tensorflow() as TensorFlow
const there = nativeInstructionSets().length > 0

/** The modules as they are before anything was loaded. */
async function fresh(): Promise<Pick<typeof import('../../../src/base/engine/native.ts'), 'nativeState'> & Pick<typeof import('../../../src/base/engine/load-native.ts'), 'loadNative'>> {
  vi.resetModules()
  return { ...(await import('../../../src/base/engine/native.ts')), ...(await import('../../../src/base/engine/load-native.ts')) }
}

describe('the fused kernels', () => {
  const folder = temporaryFolder()

  it.runIf(there)('that were compiled from other sources are refused by name', async () => {
    const { addon, hash } = nativeSources()
    const other = 'f'.repeat(hash.length)
    const [packageFolder = ''] = await enginePackages(process.cwd())
    const bytes = await readFile(join((await linkedBinding(packageFolder)) ?? '', addon), 'latin1')
    await writeFile(folder(addon), bytes.replaceAll(hash, other), 'latin1')
    const { loadNative, nativeState: state } = await fresh()
    loadNative(engine, folder(addon))
    expect(state()).toEqual({
      loaded: false,
      reason: `${folder(addon)}: the fused kernels were compiled from the sources ${other}, this version of the library has ${hash}; run \`npx tfjs-peft setup --force\``,
    })
  })

  it('are out of use before an engine is loaded, beside an engine without them, and on a GPU', async () => {
    const { loadNative, nativeState: state } = await fresh()
    expect(state()).toEqual({ loaded: false, reason: 'no TensorFlow engine has been loaded' })
    loadNative(engine, folder('nothing.node'))
    expect(state()).toEqual({ loaded: false, reason: 'not compiled' })
    loadNative({ ...engine, isUsingGpuDevice: true })
    expect(state()).toEqual({ loaded: false, reason: 'the fused kernels are for the CPU, and TensorFlow uses a GPU' })
  })

  it('that cannot be loaded are out of use, with the reason', async () => {
    await writeFile(folder('broken.node'), 'not a library')
    const { loadNative, nativeState: state } = await fresh()
    loadNative(engine, folder('broken.node'))
    expect(JSON.stringify(state())).toMatch(/"loaded":false,"reason":".*broken\.node: /)
  })

  it.runIf(process.env['TFJS_PEFT_NATIVE'] !== undefined)('that the environment names are in use', () => {
    expect(nativeState().loaded).toBe(true)
  })

  it.runIf(there)('say which instruction set they use, and can be switched off and on', () => {
    const [best] = nativeInstructionSets()
    expect(nativeState()).toMatchObject({ loaded: true, instructionSet: best })
    useNative(undefined)
    expect(nativeState()).toEqual({ loaded: false, reason: 'switched off' })
    useNative(best)
    expect(nativeState()).toMatchObject({ loaded: true, instructionSet: best })
  })

  it.runIf(there)('for an instruction set that is unknown are an error', () => {
    expect(() => useNative('mmx')).toThrow("register: this processor has no instruction set 'mmx'")
    useNative(nativeInstructionSets()[0])
  })
})

describe.runIf(there)('memory for weights', () => {
  /** Whether TensorFlow computes with this very memory. */
  function isShared(values: Float32Array): boolean {
    return tf.tidy(() => {
      const tensor = tf.tensor1d(values)
      tf.neg(tensor).dataSync() // from here on the tensor is TensorFlow's
      values[0] = 7
      return tf.neg(tensor).dataSync()[0] === -7
    })
  }

  it('is shared with TensorFlow, not copied', () => {
    for (const length of [1, 1000, 300_000]) {
      const { buffer, offset } = alignedMemory(4 * length)
      expect(isShared(new Float32Array(buffer, offset, length))).toBe(true)
    }
  })

  it('is what numbers of half the width are widened into', () => {
    const ones = new Uint16Array(1000).fill(0x3f80)
    const values = toFloat32({ dtype: 'BF16', shape: [1000], data: ones })
    expect(values).toEqual(new Float32Array(1000).fill(1))
    expect(isShared(values)).toBe(true)
  })
})
