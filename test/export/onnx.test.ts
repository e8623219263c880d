import { describe, expect, it } from 'vitest'
import type { Batch } from '../../src/base/batch.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Task } from '../../src/base/tasks/task.ts'
import { exportOnnx } from '../../src/export/onnx/export-onnx.ts'
import { goldenPath } from '../golden.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { runOnnx } from './runtime.ts'

const CASES: readonly (readonly [folder: string, task: Task])[] = [
  ['bert/sequence_classification', 'sequence-classification'],
]

const folderFor = temporaryFolder()

/** Rows with padding, of another size than any that was recorded. */
function someBatch(batch: number, length: number, vocabSize: number): Batch {
  const ids = Int32Array.from({ length: batch * length }, (_, i) => (i * 7 + 3) % vocabSize)
  const mask = Int32Array.from({ length: batch * length }, (_, i) => (i % length < length - Math.floor(i / length) ? 1 : 0))
  return { ids, mask, batch, length }
}

describe('a model in ONNX gives the numbers that it gives here', () => {
  it.each(CASES)('%s', async (folder, task) => {
    const model = await loadModel(goldenPath(folder), { task, labels: ['a', 'b', 'c'] })
    const out = folderFor(folder)
    await exportOnnx(model, out)
    for (const [batch, length] of [[1, 1], [1, 9], [4, 6]] as const) {
      const given = someBatch(batch, length, model.limits?.vocabSize ?? 0)
      const own = model.forward(given)
      const [logits] = Object.values(await runOnnx(out, given))
      expect(logits?.dims).toEqual(own.shape)
      expect(Math.max(...Array.from(logits?.data as Float32Array, (value, i) => Math.abs(value - (own.dataSync()[i] ?? NaN))))).toBeLessThan(1e-4)
      own.dispose()
    }
    model.dispose()
  })
})
