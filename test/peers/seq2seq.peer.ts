// T5 and BART with adapters, merged and saved here, opened by HF transformers and HF PEFT.

import * as tf from '@tensorflow/tfjs-core'
import { it } from 'vitest'
import { attach, detach, ia3, loadModel, lora, merge, prefix, prompt, pTuning, type Model } from '../../src/index.ts'
import { goldenPath, valuesOf } from '../golden.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { expectOfPython, type SavedJob } from './saved.ts'

const temporary = temporaryFolder()
const ids = [[5, 6, 7, 8], [3, 1, 4, 1]]
const decoderIds = [[0, 6, 7], [0, 9, 2]]
const METHODS = { LoRA: lora({ init: 'gaussian', targets: 'all-linear' }), '(IA)³': ia3(), 'LoRA on the words': lora({ targets: ['embed_tokens'], init: 'gaussian' }) }
const VIRTUAL = { prompt: prompt({ virtualTokens: 3 }), 'P-tuning': pTuning({ virtualTokens: 3, hiddenSize: 6 }), prefix: prefix({ virtualTokens: 3 }) }
const BASES = ['t5/tied', 't5/untied', 't5/mt5', 'bart/seq2seq']

it('transformers and PEFT compute with models and adapters of T5, mT5 and BART that were saved here, tied heads and heads of their own', async () => {
  const jobs: SavedJob[] = []
  const expected = new Map<string, Float32Array>()
  const add = (name: string, model: Model, rest: Pick<SavedJob, 'base' | 'adapter'>): void => {
    const batch = { ids: Int32Array.from(ids.flat()), decoderIds: Int32Array.from(decoderIds.flat()), batch: 2, length: 4 }
    expected.set(name, tf.tidy(() => valuesOf(model.forward(batch))))
    jobs.push({ name, task: 'seq2seq-lm', ids, decoderIds, ...rest })
  }
  for (const base of BASES) {
    const model = await loadModel(goldenPath(base), { task: 'seq2seq-lm' })
    for (const [method, made] of Object.entries({ ...METHODS, ...VIRTUAL })) {
      const name = `${base.replace('/', ' ')} ${method}`
      const adapter = attach(model, made)
      Object.values(adapter.trainable).forEach((variable, i) => {
        tf.tidy(() => variable.assign(tf.add(variable, tf.randomNormal(variable.shape, 0, 0.1, 'float32', i + 1))))
      })
      await adapter.save(temporary(name))
      add(name, model, { base: goldenPath(base), adapter: temporary(name) })
      if (!(method in VIRTUAL)) {
        const merged = merge(model, adapter)
        await merged.save(temporary(`${name} merged`))
        add(`${name} merged`, merged, { base: temporary(`${name} merged`) })
        merged.dispose()
      }
      detach(adapter)
    }
    model.dispose()
  }
  await expectOfPython(jobs, expected, temporary)
})
