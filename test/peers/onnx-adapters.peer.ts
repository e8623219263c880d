// Adapters beside a graph, put into it by onnxruntime when it runs.

import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { peersPython } from '../../bench/process.ts'
import { exportOnnx, exportOnnxAdapter, loadModel, lora, withAdapters, type Model, type Task } from '../../src/index.ts'
import type { OnnxDtype } from '../../src/advanced.ts'
import { goldenPath } from '../golden.ts'
import { attachTrained } from '../manage/models.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { peerScript } from './python.ts'

const folderFor = temporaryFolder()
const IDS = [5, 9, 4, 2]

/** What onnxruntime gives, by adapter. */
function theirs(folder: string, file = 'model.onnx'): Record<string, number[]> {
  return JSON.parse(execFileSync(peersPython('onnx'), [peerScript('onnx_adapters.py'), folder, JSON.stringify(IDS), file], { encoding: 'utf8' })) as Record<string, number[]>
}

function own(model: Model, names: readonly string[]): Float32Array {
  return tf.tidy(() => withAdapters(model, names).forward({ ids: Int32Array.from(IDS), batch: 1, length: IDS.length }).dataSync<'float32'>())
}

function farthest(numbers: Float32Array, others: readonly number[] | undefined): number {
  return Math.max(...numbers.map((value, i) => Math.abs(value - (others?.[i] ?? NaN))))
}

it.each<readonly [string, Task, OnnxDtype]>([['bert/sequence_classification', 'sequence-classification', 'fp32'], ['bert/sequence_classification', 'sequence-classification', 'fp16'], ['llama/causal_lm', 'causal-lm', 'fp32']])(
  'onnxruntime switches adapters of several ranks and places in one session: %s, %s, %s', async (folder, task, dtype) => {
    const model = await loadModel(goldenPath(folder), { task })
    const out = folderFor(folder, dtype)
    const head = task === 'sequence-classification' ? { train: ['classifier'] } : {}
    const places = task === 'causal-lm' ? ['q_proj', 'k_proj'] : ['query', 'key']
    attachTrained(model, 'all', lora({ rank: 2, targets: 'all-linear' }), { enabled: true, ...head })
    attachTrained(model, 'some', lora({ rank: 5, alpha: 20, targets: places }), { enabled: true })
    await exportOnnx(model, out, { adapters: ['all', 'some'], dtype })
    const later = attachTrained(model, 'later', lora({ rank: 1, targets: places.slice(0, 1) }), { enabled: false })
    await exportOnnxAdapter(later, join(out, 'onnx', 'later.onnx_adapter'))

    const found = theirs(out, dtype === 'fp16' ? 'model_fp16.onnx' : 'model.onnx')
    const allowed = dtype === 'fp16' ? 0.05 : 1e-4
    for (const [name, names] of [['', []], ['all', ['all']], ['some', ['some']], ['later', ['later']], ['again', []]] as const) expect(farthest(own(model, names), found[name]), name).toBeLessThan(allowed)
    expect(farthest(own(model, ['all']), found[''])).toBeGreaterThan(0.1)
    expect(farthest(own(model, ['all']), found['some'])).toBeGreaterThan(0.1)
    model.dispose()
  })
