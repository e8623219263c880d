// The process that checkEngine starts: loads the engine, multiplies, runs the fused kernels, and prints what it found as one
// line.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { loadEngine } from '../base/engine/engine.ts'
import { tensorflow } from '../base/engine/tensorflow.ts'
import { loadNative, nativeSources } from '../base/engine/load-native.ts'
import { nativeState, type NativeState } from '../base/engine/native.ts'
import { activation } from '../base/ops/activation.ts'
import { tryKernels } from './try-kernels.ts'

try {
  const [, , binding, addon] = process.argv
  if (binding) useBinding(join(binding, 'tfjs_binding.node'))
  await loadEngine()
  const a = tf.tensor2d([1, 2, 3, 4], [2, 2])
  const product = Array.from(await tf.matMul(a, a).data()).join()
  if (product !== '7,10,15,22') throw new Error(`a matrix product is wrong: expected 7,10,15,22, got ${product}`)
  const engine = tensorflow()
  if (!engine) throw new Error(`expected the TensorFlow backend, got ${tf.getBackend()}`)
  if (addon) loadNative(engine, addon)
  const native = await tried(nativeState())
  console.log(`engine-works ${JSON.stringify({ version: engine.binding.TF_Version, gpu: engine.isUsingGpuDevice, native })}`)
} catch (error) {
  const { message, cause } = error as Error
  console.log(`engine-error ${(cause instanceof Error ? cause.message : message).split('\n', 1)[0] ?? ''}`)
}

/** The same state, unless the loaded kernels are not those that this version calls: another version's lack some, or have them otherwise. */
async function tried(state: NativeState): Promise<NativeState> {
  if (!state.loaded) return state
  try {
    const gelu = (await activation('gelu', tf.tensor1d([1])).data())[0] ?? NaN
    if (!(Math.abs(gelu - 0.841345) < 1e-5)) throw new Error(`expected gelu(1) = 0.841345, got ${gelu}`)
    await tryKernels()
    return state
  } catch (error) {
    const reason = (error as Error).message.replace(/\s+/g, ' ').slice(0, 100)
    return { loaded: false, reason: `${nativeSources().addon} does not fit this version of the library (${reason})` }
  }
}

/** tfjs-node asks node-pre-gyp where its binding is; an engine that is not yet in its place is given as the answer. */
function useBinding(file: string): void {
  const packageFile = createRequire(import.meta.url).resolve('@tensorflow/tfjs-node-gpu/package.json')
  const finder = createRequire(packageFile)('@mapbox/node-pre-gyp/lib/pre-binding') as { find: () => string }
  finder.find = () => file
}
