// Vocabularies that grew here, and adapters and tokenizers with them, opened by HF transformers and HF PEFT.

import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { createModel, detach, growVocabulary, loadModel, loadTokenizer, lora, prompt } from '../../src/index.ts'
import type { Method, Model } from '../../src/index.ts'
import { vocabSizeOf } from '../../src/base/adapter/vocabulary.ts'
import { goldenPath, valuesOf } from '../golden.ts'
import { withWords, writeTokenizer } from '../grown.ts'
import { attachTrained, closeModel } from '../manage/models.ts'
import { FAMILIES } from '../ties.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { expectOfPython, type SavedJob } from './saved.ts'

const temporary = temporaryFolder()

it('gives in transformers and PEFT the ids and logits that it gives here', { timeout: 600_000 }, async () => {
  const jobs: SavedJob[] = []
  const expected = new Map<string, ArrayLike<number>>()
  const note = (job: SavedJob, model: Model, ids: readonly number[]): void => {
    const [row = []] = job.ids ?? []
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
  await expectOfPython(jobs, expected, temporary)
})

it('gives the logits of encoder-decoders too, and of adapters of theirs', { timeout: 600_000 }, async () => {
  const jobs: SavedJob[] = []
  const expected = new Map<string, ArrayLike<number>>()
  for (const source of ['bart/seq2seq', 't5/tied', 't5/untied']) {
    const model = await loadModel(goldenPath(source), { task: 'seq2seq-lm' })
    const count = vocabSizeOf(model.parts)
    await writeTokenizer(temporary(`${source} words`), count)
    const { model: grown } = growVocabulary(model, await loadTokenizer(temporary(`${source} words`)), ['<a>', '<b>'])
    const rows = { ids: [[4, count, 2]], decoderIds: [[2, 3, count + 1]] }
    const note = (job: Pick<SavedJob, 'name' | 'base' | 'adapter' | 'words'>): void => {
      expected.set(job.name, tf.tidy(() => valuesOf(grown.forward({ ids: Int32Array.from(rows.ids.flat()), decoderIds: Int32Array.from(rows.decoderIds.flat()), batch: 1, length: 3 }))))
      jobs.push({ task: 'seq2seq-lm', ...rows, ...job })
    }
    await grown.save(temporary(`${source} saved`))
    note({ name: source, base: temporary(`${source} saved`) })
    const adapter = attachTrained(grown, 'default', lora({ rank: 2 }), { enabled: true })
    await adapter.save(temporary(`${source} lora`))
    // config.json of the untied one says that it is tied, and transformers ties it where it is resized
    if (source !== 't5/untied') note({ name: `${source} lora`, base: goldenPath(source), adapter: temporary(`${source} lora`), words: count + 2 })
    closeModel(grown)
    closeModel(model)
  }
  await expectOfPython(jobs, expected, temporary)
})
