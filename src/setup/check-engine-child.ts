// The process that checkEngine starts: loads the engine, multiplies, and prints what it found as one line.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { loadEngine, tensorflow } from '../base/engine.ts'

try {
  const binding = process.argv[2]
  if (binding !== undefined) useBinding(join(binding, 'tfjs_binding.node'))
  await loadEngine()
  const a = tf.tensor2d([1, 2, 3, 4], [2, 2])
  const product = Array.from(await tf.matMul(a, a).data()).join()
  if (product !== '7,10,15,22') throw new Error(`a matrix product is wrong: expected 7,10,15,22, got ${product}`)
  const engine = tensorflow()
  if (!engine) throw new Error(`expected the TensorFlow backend, got ${tf.getBackend()}`)
  console.log(`engine-works ${JSON.stringify({ version: engine.binding.TF_Version, gpu: engine.isUsingGpuDevice })}`)
} catch (error) {
  const { message, cause } = error as Error
  console.log(`engine-error ${(cause instanceof Error ? cause.message : message).split('\n', 1)[0] ?? ''}`)
}

/** tfjs-node asks node-pre-gyp where its binding is; an engine that is not yet in its place is given as the answer. */
function useBinding(file: string): void {
  const packageFile = createRequire(import.meta.url).resolve('@tensorflow/tfjs-node-gpu/package.json')
  const finder = createRequire(packageFile)('@mapbox/node-pre-gyp/lib/pre-binding') as { find: () => string }
  finder.find = () => file
}
