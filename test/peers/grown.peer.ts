// Vocabularies that grew here, and adapters and tokenizers with them, opened by HF transformers and HF PEFT.

import { execFile } from 'node:child_process'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import { expect, inject, it } from 'vitest'
import { createModel, detach, growVocabulary, loadTokenizer, lora, prompt } from '../../src/index.ts'
import { openSafetensors } from '../../src/advanced.ts'
import type { Method, Model } from '../../src/index.ts'
import { goldenPath, largestDifference, valuesOf } from '../golden.ts'
import { withWords } from '../grown.ts'
import { attachTrained, closeModel } from '../manage/models.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { FAMILIES } from '../ties.ts'
import { peerScript } from './python.ts'

const temporary = temporaryFolder()

interface Job {
  readonly name: string
  readonly task: string
  readonly base: string
  readonly adapter?: string
  readonly words?: number
  readonly ids: readonly (readonly number[])[]
  readonly texts: readonly string[]
}

it('gives in transformers and PEFT the ids and logits that it gives here', { timeout: 600_000 }, async () => {
  const jobs: Job[] = []
  const expected = new Map<string, ArrayLike<number>>()
  const note = (job: Job, model: Model, ids: readonly number[]): void => {
    const [row = []] = job.ids
    expected.set(job.name, tf.tidy(() => valuesOf(model.forward({ ids: Int32Array.from(row), batch: 1, length: row.length }))))
    expected.set(`${job.name} ids`, ids)
    jobs.push(job)
  }
  for (const [family, { task, table }] of Object.entries(FAMILIES)) {
    for (const head of [false, true]) {
      const { folder, model, tokenizer } = await withWords(family, temporary(`${family} ${head}`), { head })
      const { model: grown, tokenizer: words, ids } = growVocabulary(model, tokenizer, ['<a>', '<b>'], { from: 'pieces' })
      const texts = ['w1<a>w2 <b>']
      const row = [...(words.encode(texts, { specialTokens: false }).ids[0] ?? [])]
      expect(row).toEqual([1, ids[0], 2, ids[1]])
      const name = `${family}${head ? ', a head of its own' : ''}`
      const saved = temporary(`${name} saved`)
      await grown.save(saved)
      note({ name, task, base: saved, ids: [row], texts }, grown, row)
      const ofTable: [string, Method] = ['lora of the table', lora({ targets: [table], rank: 2, ensureWeightTying: !head })]
      const ofCausal: readonly [string, Method][] = [ofTable, ['prompt', prompt({ virtualTokens: 2 })]]
      for (const [what, method] of [['lora', lora({ rank: 2 })] as const, ...(task === 'causal-lm' ? ofCausal : [])]) {
        const adapter = attachTrained(grown, 'default', method, { enabled: true })
        const into = temporary(`${name} ${what}`)
        await adapter.save(into)
        note({ name: `${name} ${what}`, task, base: folder, adapter: into, words: grown.limits?.vocabSize ?? 0, ids: [row], texts }, grown, row)
        detach(adapter)
      }
      closeModel(grown)
      closeModel(model)
    }
  }
  for (const kind of ['bytes', 'unigram', 'words']) {
    const folder = temporary(kind)
    await mkdir(folder)
    await copyFile(goldenPath(`tokenizer/${kind}/tokenizer.json`), join(folder, 'tokenizer.json'))
    const settings = JSON.parse(await readFile(goldenPath(`tokenizer/${kind}/tokenizer_config.json`), 'utf8')) as object
    await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ ...settings, tokenizer_class: 'PreTrainedTokenizerFast' })) // and not GPT-2's, by the model
    const tokenizer = await loadTokenizer(folder)
    const model = await createModel({ model_type: 'gpt2', vocab_size: tokenizer.vocabSize, n_positions: 64, n_embd: 16, n_layer: 1, n_head: 2 }, { seed: 1 })
    for (const special of [false, true]) {
      const { model: grown, tokenizer: words } = growVocabulary(model, tokenizer, ['<ticket>', 'Straße', ' line'], { special })
      const saved = temporary(`${kind} ${special}`)
      await grown.save(saved)
      const texts = ['the <ticket> of a Straße', 'first line<ticket>two', 'STRASSE straße']
      const ids = texts.flatMap((text) => [...(words.encode([text], { specialTokens: false }).ids[0] ?? [])])
      note({ name: `${kind}, ${special}`, task: 'causal-lm', base: saved, ids: [ids], texts }, grown, ids)
      closeModel(grown)
    }
    closeModel(model)
  }
  await writeFile(temporary('jobs.json'), JSON.stringify(jobs))
  await promisify(execFile)(inject('python'), [peerScript('saved_adapters.py'), '--jobs', temporary('jobs.json'), '--out', temporary('out.safetensors')])
  const file = await openSafetensors(temporary('out.safetensors'))
  const off: string[] = []
  for (const [name, values] of expected) {
    const found = (await file.read(name)).data
    const plain = Array.from(found as ArrayLike<number | bigint>, Number).slice(name.endsWith(' prompt') ? -values.length : 0) // PEFT gives the prompt's logits too
    const size = Math.max(...Array.from(values, Math.abs))
    const difference = plain.length === values.length ? largestDifference(values, plain) : NaN
    if (!(difference <= (name.endsWith(' ids') ? 0 : 1e-5 * size))) off.push(`${name}: ${difference} of ${size}`)
  }
  await file.close()
  expect(off).toEqual([])
})
