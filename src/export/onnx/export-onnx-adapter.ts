import * as tf from '@tensorflow/tfjs-core'
import type { Adapter } from '../../base/adapter/adapter.ts'
import { checkAwaited } from '../../base/awaited.ts'
import { read } from '../../base/engine/read.ts'
import { writeAtomic } from '../../base/files/atomic.ts'
import { checkAlive } from '../../base/model.ts'
import { adapterFile, type AdapterTensor } from './adapter-file.ts'
import { fillingOf, namesAt } from './slots.ts'

/**
 * Writes a LoRA as a file that onnxruntime puts into a graph when it runs: for a graph that `exportOnnx` wrote with room for it, see its `adapters`. Any rank
 * fits; places that this adapter has nothing for stay as they are.
 *
 * @param file whose name ends in .onnx_adapter
 * @throws InputError for an adapter that does more than to add B A to products and to bring parameters of the model's shapes; CheckpointError when the file cannot be written
 * @example await exportOnnxAdapter(adapter, 'spam.onnx_adapter')
 */
export async function exportOnnxAdapter(adapter: Adapter, file: string): Promise<void> {
  checkAwaited('adapter', adapter)
  checkAlive(adapter.model, 'exportOnnxAdapter')
  await writeAtomic(file, await adapterBytes(adapter))
}

/** What it is now: training may go on meanwhile. */
export async function adapterBytes(adapter: Adapter): Promise<Uint8Array> {
  const { pairs, copies } = fillingOf(adapter)
  const tensors = await Promise.all([
    ...pairs.flatMap(({ site, update }) => {
      const [nameA, nameB] = namesAt(site)
      return [tensorOf(nameA, () => update().A), tensorOf(nameB, () => { const { B, scale } = update(); return tf.mul(B, scale) })]
    }),
    ...copies.map(({ name, values }) => tensorOf(name, values)),
  ])
  return adapterFile(tensors)
}

async function tensorOf(name: string, values: () => tf.Tensor): Promise<AdapterTensor> {
  const shape = tf.tidy(() => values().shape)
  return { name, shape, values: await read(values) }
}
