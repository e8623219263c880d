// A thread that multiplies, normalises and attends many times, and tells how often a result was not the first one's.
import { parentPort } from 'node:worker_threads'
import { register } from 'tsx/esm/api'

register()
const tf = await import('@tensorflow/tfjs-core')
const { loadEngine } = await import('../../../src/base/engine/engine.ts')
const { nativeState } = await import('../../../src/base/engine/native.ts')
const { linear } = await import('../../../src/base/ops/linear.ts')
const { activation } = await import('../../../src/base/ops/activation.ts')

await loadEngine()
const numbers = (shape, seed) => tf.randomUniform(shape, -1, 1, 'float32', seed)
const [x, weight, bias] = [numbers([96, 128], 1), numbers([192, 128], 2), numbers([192], 3)]
let first
let different = 0
for (let i = 0; i < 100; i++) {
  const values = tf.tidy(() => activation('gelu', linear(x, weight, bias)).dataSync())
  first ??= values
  if (values.some((value, j) => value !== first[j])) different++
}
const small = (shape) => tf.fill(shape, 1e-20)
const tiny = tf.tidy(() => activation('gelu', linear(small([512, 128]), small([192, 128]))).dataSync()) // 1e-40 · 128
parentPort.postMessage({ first: [...first.slice(0, 100)], different, tiny: [...tiny], threads: nativeState().threads ?? 0 })
