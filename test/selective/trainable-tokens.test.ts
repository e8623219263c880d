// Trained rows of tables, as HF PEFT makes them: the same logits and gradients, and the same keys when they are saved again.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tensorflow/tfjs-core'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import { withParams } from '../../src/base/adapter/with-params.ts'
import { valueAndGrads } from '../../src/base/autodiff/grads.ts'
import { bridge } from '../../src/base/autodiff/tape.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { openSafetensors } from '../../src/base/checkpoint/safetensors.ts'
import type { Task } from '../../src/base/architecture.ts'
import type { Batch } from '../../src/base/batch.ts'
import type { Model } from '../../src/base/model.ts'
import { paramOf } from '../../src/base/parameters.ts'
import { vocabularyParams, vocabSizeOf } from '../../src/base/adapter/vocabulary.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { lora } from '../../src/lora/lora.ts'
import { setActive } from '../../src/manage/active.ts'
import { trainableTokens } from '../../src/selective/trainable-tokens.ts'
import { goldenPath, largestDifference, readGolden, valuesOf, type Golden } from '../golden.ts'
import { closeModel } from '../manage/models.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()
const open: Model[] = []

afterEach(() => {
  for (const model of open.splice(0)) closeModel(model)
})

const BASES: Readonly<Record<string, { readonly source: string; readonly task: Task; readonly more: readonly string[]; readonly cases?: readonly string[] }>> = {
  llama: { source: 'llama/tied', task: 'causal-lm', more: ['lora_both'] },
  llama_untied: { source: 'llama/causal_lm', task: 'causal-lm', more: ['both', 'lora_both'] },
  gpt2: { source: 'gpt2/causal_lm', task: 'causal-lm', more: ['lora_both'] },
  bert: { source: 'bert/masked_lm', task: 'masked-lm', more: [] },
  t5: { source: 't5/tied', task: 'seq2seq-lm', more: ['tables'], cases: ['tokens', 'lora', 'lora_at'] },
  bart: { source: 'bart/seq2seq', task: 'seq2seq-lm', more: ['tables'], cases: ['tokens', 'lora', 'lora_at'] },
}
const CASES = ['tokens', 'lora', 'lora_at', 'carried', 'grown_alone', 'grown', 'grown_lora']

async function keysIn(folder: string): Promise<string[]> {
  const file = await openSafetensors(join(folder, 'adapter_model.safetensors'))
  await file.close()
  return [...file.entries.keys()].sort()
}

/** The base with two more words, whose rows are given. */
function withRows(model: Model, rows: Tensor): Model {
  const changed = new Map<string, Tensor>()
  const grown = tf.tidy(() => {
    for (const name of vocabularyParams(model.parts)) {
      const kept = model.parts.ties.get(name) ?? name
      const before = paramOf(model, kept)
      if (!changed.has(kept)) changed.set(kept, before.rank === 1 ? tf.pad(before, [[0, 2]]) : tf.concat([before, rows]))
      changed.set(name, changed.get(kept) as Tensor)
    }
    return [withParams(model, changed, model)] as unknown as Tensor[]
  })
  return (grown as unknown as Model[])[0] as Model
}

describe.each(Object.entries(BASES))('trained rows of %s', (base, { source, task, more, cases = CASES }) => {
  let golden: Golden
  beforeAll(async () => {
    golden = await readGolden(`tokens/${base}/golden.safetensors`)
  })

  it.each([...cases, ...more])('%s compute as in PEFT, with its gradients, are saved again and merged', async (name) => {
    const plain = await loadModel(goldenPath(source), { task })
    open.push(plain)
    const rows = tf.tensor(golden.has(`rows/${name}`) ? golden.numbers(`rows/${name}`) : [0], golden.has(`rows/${name}`) ? [...golden.shape(`rows/${name}`)] : [1])
    const isGrown = name === 'grown_alone' || (base === 'llama_untied' && name === 'grown') // PEFT leaves out the head there
    const model = isGrown ? withRows(plain, rows) : plain
    rows.dispose()
    if (model !== plain) open.push(model)
    const decoder = golden.has('decoder_ids') ? { decoderIds: golden.batch('decoder_ids').ids } : {}
    const batch = { ...golden.batch(name.startsWith('grown') ? 'grown_ids' : 'ids'), ...decoder } as Batch
    const bias = task === 'masked-lm' ? tf.tidy(() => valuesOf(paramOf(model, 'cls.predictions.decoder.bias'))) : Float32Array.of()
    const expected = golden.numbers(`logits/${name}`)
    const vocab = golden.shape(`logits/${name}`)[2] ?? 0
    const size = Math.max(...expected.map(Math.abs))
    const check = (of: Model): void => {
      const found = tf.tidy(() => valuesOf(of.forward(batch))).map((value, i) => value - (bias[i % vocab] ?? 0)) // PEFT leaves the head's bias out
      expect(largestDifference(found, expected)).toBeLessThan(1e-5 * size)
    }
    const theirs = goldenPath(`tokens/${base}/${name}`)
    const adapter = await loadAdapter(model, theirs)
    check(model)
    const weights = golden.numbers('weights')
    const [, , width = 0] = golden.shape('weights')
    const cut = tf.tensor(Float32Array.from({ length: 14 * vocab }, (_, i) => weights[Math.floor(i / vocab) * width + (i % vocab)] ?? 0), [2, 7, vocab])
    const { value, grads } = valueAndGrads(() => bridge([model.forward(batch)], (logits) => tf.sum(tf.mul(logits, cut))), adapter.trainable)
    for (const [key, grad] of Object.entries(grads)) {
      if (!key.endsWith('.rows')) continue
      const wanted = golden.numbers(`grads/${name}/${key.startsWith('lm_head') ? 'head' : key.includes('decoder') && task === 'seq2seq-lm' ? 'decoder' : 'table'}`)
      expect(largestDifference(valuesOf(grad), wanted)).toBeLessThan(2e-5 * Math.max(...wanted.map(Math.abs)))
    }
    tf.dispose([value, ...Object.values(grads), cut])
    const folder = temporary(`${base} ${name}`)
    await adapter.save(folder)
    const merged = merge(model, adapter)
    open.push(merged)
    check(merged)
    detach(adapter)
    await loadAdapter(model, folder)
    check(model)
    const isBase = (key: string): boolean => (name === 'carried' || isGrown) && !key.includes('trainable_tokens')
    expect((await keysIn(folder)).filter((key) => !isBase(key))).toEqual((await keysIn(theirs)).filter((key) => !isBase(key)))
  })
})

describe('trainable tokens', () => {
  const load = async (): Promise<Model> => {
    const model = await loadModel(goldenPath('gpt2/causal_lm'), { task: 'causal-lm' })
    open.push(model)
    return model
  }
  const logits = (model: Model): Float32Array => tf.tidy(() => valuesOf(model.forward({ ids: Int32Array.of(1, 5, 3, 7), batch: 1, length: 4 })))
  const move = (rows: Tensor | undefined, by: number): void => tf.tidy(() => (rows as tf.Variable).assign(tf.add(rows as Tensor, by)))

  it('are chosen by the words of a tokenizer', () => {
    const tokenizer = { tokenToId: (token: string): number | undefined => ({ a: 3, b: 5 })[token] }
    const { format } = trainableTokens({ tokens: ['b', 'a'], tokenizer })
    expect(format.config({ sites: [], modules: [] } as never)).toMatchObject({ token_indices: [5, 3] })
    expect(() => trainableTokens({ tokens: ['a', 'c'], tokenizer })).toThrow('tokens that the tokenizer does not have; growVocabulary adds some:\n  - "c"')
    expect(() => trainableTokens({ tokens: ['a'] })).toThrow('expected the tokenizer beside them')
    expect(() => trainableTokens({})).toThrow('expected either { indices }, or { tokens, tokenizer }.')
    expect(() => trainableTokens({ indices: [1, 1, -1, 0.5] })).toThrow('trainableTokens: indices:\n  - 1 is there twice\n  - expected an id, got -1\n  - expected an id, got 0.5')
  })

  it('of the vocabulary alone can be trained, of a file too', async () => {
    const model = await load()
    const words = vocabSizeOf(model.parts)
    expect(() => attach(model, trainableTokens({ indices: [1, words] }))).toThrow(`'transformer.wte' has ${words} rows, the last is ${words - 1}; got [${words}] among those to train. growVocabulary adds rows.`)
    await expect(loadAdapter(model, goldenPath('tokens/gpt2/grown_alone'))).rejects.toThrow(`got [${words},${words + 1}] among those to train`)
    expect(model.attached.adapters).toEqual([])
  })

  it('of several adapters stand side by side, and with LoRA at the table, in the model and merged', async () => {
    const model = await load()
    const [one, two] = [attach(model, trainableTokens({ indices: [5, 3] }), { name: 'one' }), attach(model, trainableTokens({ indices: [3, 7] }), { name: 'two' })]
    const three = attach(model, lora({ targets: ['wte'], rank: 2, ensureWeightTying: true }), { name: 'three' })
    for (const [i, { trainable }] of [one, two, three].entries()) for (const rows of Object.values(trainable)) move(rows, 0.1 * (i + 1))
    setActive(model, ['one', 'two', 'three'])
    const together = logits(model)
    const merged = merge(model, [one, two, three])
    open.push(merged)
    expect(largestDifference(logits(merged), together)).toBeLessThan(1e-5)
  })

  it('are said in adapter_config.json by the names of PEFT', async () => {
    const model = await load()
    const folder = temporary('config')
    await attach(model, trainableTokens({ indices: [5, 3] })).save(folder)
    expect(JSON.parse(await readFile(join(folder, 'adapter_config.json'), 'utf8'))).toMatchObject({ peft_type: 'TRAINABLE_TOKENS', token_indices: [5, 3], target_modules: ['wte'], init_weights: true })
  })
})
