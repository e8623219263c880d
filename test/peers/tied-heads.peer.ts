// Adapters and models at heads that are the table of the words, saved here and run by HF PEFT and HF transformers.

import * as tf from '@tensorflow/tfjs-core'
import { it } from 'vitest'
import { attach, detach, ia3, loadAdapter, loadModel, lora, merge } from '../../src/index.ts'
import type { Adapter, Method, Model } from '../../src/index.ts'
import { goldenPath, readGolden, valuesOf } from '../golden.ts'
import { FAMILIES, rewritten } from '../ties.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { expectOfPython, type SavedJob } from './saved.ts'

const temporary = temporaryFolder()

/** Adapters of PEFT in test/golden/ties, read and written again. */
const AGAIN = ['table', 'head', 'both', 'lora_table', 'lora_head', 'lora_both', 'carried', 'grown', 'grown_table']
const AGAIN_OF: Readonly<Record<string, readonly string[]>> = {
  'causal-lm': ['tied', 'lora_tied', 'grown_tied', 'grown_lora', 'unlike_tied', 'unlike_lora_tied'],
  'masked-lm': ['bias_all', 'bias_all_head', 'bias_lora_only', 'bias_lora_only_head'],
}

it('computes in PEFT and transformers as it does here', { timeout: 600_000 }, async () => {
  const jobs: SavedJob[] = []
  const expected = new Map<string, Float32Array>()
  for (const [family, { source, task, table, head }] of Object.entries(FAMILIES)) {
    const model = await loadModel(goldenPath(source), { task })
    const golden = await readGolden(`ties/${family}/golden.safetensors`)
    const own = { shape: golden.shape('H'), data: golden.numbers('H') as Float32Array }
    const unlikeFolder = await rewritten(source, temporary(`${family} unlike`), (tensors) => void tensors.set(`${head}.weight`, own))
    const unlike = await loadModel(unlikeFolder, { task })
    const note = async (name: string, adapter: Adapter, ids: string): Promise<void> => {
      const { model } = adapter
      const batch = golden.batch(ids)
      const folder = temporary(`${family} ${name}`)
      await adapter.save(folder)
      const logits = (of: Model): Float32Array => tf.tidy(() => valuesOf(of.forward(batch)))
      const rows = Array.from({ length: batch.batch }, (_, row) => [...batch.ids.slice(row * batch.length, (row + 1) * batch.length)])
      const job = { task, ids: rows }
      const words = adapter.words === model.parts.architecture.text?.vocabSize ? {} : { words: adapter.words }
      expected.set(`${family} ${name}`, logits(model))
      jobs.push({ ...job, name: `${family} ${name}`, base: model === unlike ? unlikeFolder : goldenPath(source), adapter: folder, ...words })
      if (adapter.method.merge !== undefined || adapter.sites.length === 0) {
        const merged = merge(model, adapter)
        await merged.save(`${folder} merged`)
        expected.set(`${family} ${name} merged`, logits(merged))
        jobs.push({ ...job, name: `${family} ${name} merged`, base: `${folder} merged` })
        merged.dispose()
      }
      detach(adapter)
    }
    for (const name of [...AGAIN, ...(AGAIN_OF[task] ?? [])]) {
      await note(name, await loadAdapter(name.startsWith('unlike') ? unlike : model, goldenPath(`ties/${family}/${name}`)), name.startsWith('grown') ? 'grown_ids' : 'ids')
    }
    const trained = async (name: string, method: Method, train: readonly string[]): Promise<void> => {
      const adapter = attach(model, method, { train })
      Object.values(adapter.trainable).forEach((variable, i) => {
        tf.tidy(() => variable.assign(tf.add(variable, tf.randomNormal(variable.shape, 0, 0.3, 'float32', i + 1))))
      })
      await note(name, adapter, 'ids')
    }
    const inner = ['q_proj', 'c_attn', 'query', 'q_lin'].filter((name) => model.parts.sites.some((site) => site.name.endsWith(`.${name}`)))
    await trained('here', lora({ targets: inner }), [table])
    await trained('here by the head', lora({ targets: inner }), [head])
    await trained('here tied', lora({ targets: [table], rank: 2, ensureWeightTying: true }), [])
    await trained('here tied with more', lora({ targets: [...inner, head], rank: 2, ensureWeightTying: true }), [])
    await trained('here ia3', ia3({ targets: inner, feedForward: [] }), [table])
    model.dispose()
    unlike.dispose()
  }
  await expectOfPython(jobs, expected, temporary)
})
