// Adapters with classes and heads of their own, opened by HF PEFT.

import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import * as tf from '@tensorflow/tfjs-core'
import { expect, inject, it } from 'vitest'
import { attach, ia3, loadModel, lora, withAdapters, type Method } from '../../src/index.ts'
import { openSafetensors } from '../../src/advanced.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath, largestDifference, valuesOf } from '../golden.ts'
import { peerScript } from './python.ts'

const temporary = temporaryFolder()
const ids = [[5, 6, 7, 8], [3, 1, 4, 1]]
const METHODS: Readonly<Record<string, Method>> = { lora: lora({ init: 'gaussian' }), ia3: ia3() }

it('PEFT opens adapters with names of classes in their files without a warning, and computes with their heads', async () => {
  const jobs: unknown[] = []
  const expected = new Map<string, Float32Array>()
  for (const [path, task] of [
    ['lora/base', 'sequence-classification'], ['roberta/sequence_classification', 'sequence-classification'], ['distilbert/sequence_classification', 'sequence-classification'],
    ['llama/sequence_classification', 'sequence-classification'], ['bert/token_classification', 'token-classification'],
  ] as const) {
    const model = await loadModel(goldenPath(path), { task })
    for (const [method, made] of Object.entries(METHODS)) {
      const name = `${path} ${method}`
      const labels = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
      const adapter = attach(model, made, { name, labels, enabled: false })
      expected.set(name, tf.tidy(() => valuesOf(withAdapters(model, name).forward({ ids: Int32Array.from(ids.flat()), batch: 2, length: 4 }))))
      await adapter.save(temporary(name))
      jobs.push({ name, task, base: goldenPath(path), adapter: temporary(name), classes: labels.length, strict: true, ids })
    }
    model.dispose()
  }
  await writeFile(temporary('jobs.json'), JSON.stringify(jobs))
  execFileSync(inject('python'), [peerScript('saved_adapters.py'), '--jobs', temporary('jobs.json'), '--out', temporary('out.safetensors')])
  const file = await openSafetensors(temporary('out.safetensors'))
  const off: string[] = []
  for (const [name, values] of expected) {
    const found = (await file.read(name)).data as Float32Array
    const difference = found.length === values.length ? largestDifference(values, found) : NaN
    if (!(difference < 1e-5 * Math.max(...values.map(Math.abs)))) off.push(`${name}: ${difference}`)
  }
  await file.close()
  expect(off).toEqual([])
})
