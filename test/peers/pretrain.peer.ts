// What a pretraining makes, read by Python: its tokenizer by tokenizers, its checkpoint by transformers.

import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import { expect, inject, it } from 'vitest'
import { loadBrown } from '../../examples/brown.ts'
import { trainBpe } from '../../examples/pretrain/bpe.ts'
import { CONFIG } from '../../examples/pretrain/setup.ts'
import { createModel, loadTokenizer } from '../../src/index.ts'
import { openSafetensors, writeSafetensors } from '../../src/advanced.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { largestDifference, valuesOf } from '../golden.ts'
import { peerScript } from './python.ts'

const temporary = temporaryFolder()

it('a trained BPE tokenizer gives the same ids in Python, for half a million words and for odd texts', async () => {
  const texts = (await loadBrown()).filter((_, i) => i % 2 === 0).map(({ text }) => text)
  await writeFile(temporary('tokenizer.json'), JSON.stringify(trainBpe(texts.slice(0, 50), 1500)))
  const all = [...texts, '', ' ', 'a\n\n  b', "I'LL don't we've", 'żółć 東京 🙂 e\u0301', '<|endoftext|>x<|endoftext|>', '\u0000\u00A0\u2028']
  await writeFile(temporary('texts.json'), JSON.stringify(all))
  const { stdout } = await promisify(execFile)(
    inject('python'), [peerScript('check_tokenizer.py'), '--tokenizer', temporary('tokenizer.json'), '--texts', temporary('texts.json')],
    { maxBuffer: 1e8 },
  )
  const ours = (await loadTokenizer(temporary())).encode(all).ids.map((ids) => [...ids])
  expect(ours).toEqual(JSON.parse(stdout))
})

it('a new model, saved, is a checkpoint that transformers reads key for key and computes alike', async () => {
  const model = await createModel(CONFIG, { seed: 3 })
  await model.save(temporary('model'))
  const batch = { ids: Int32Array.from({ length: 60 }, (_, i) => (i * 67) % CONFIG.vocab_size), batch: 3, length: 20 }
  const ours = tf.tidy(() => valuesOf(model.forward(batch)))
  model.dispose()
  await writeSafetensors(temporary('inputs.safetensors'), [{ name: 'input_ids', dtype: 'I32', shape: [3, 20], data: batch.ids }])
  const folders = { model: temporary('model'), inputs: temporary('inputs.safetensors'), out: temporary('out.safetensors') }
  await promisify(execFile)(
    inject('python'), [peerScript('check_model.py'), ...Object.entries(folders).flatMap(([name, path]) => [`--${name}`, path])],
  )
  const file = await openSafetensors(temporary('out.safetensors'))
  const theirs = (await file.read('logits')).data as Float32Array
  await file.close()
  expect(largestDifference(theirs, ours)).toBeLessThan(5e-5)
})
