// Adapters at a head that is the table of the words, as HF PEFT makes them: the same logits, and the same keys when they
// are saved again.

import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { detach, disable, enable } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import { openSafetensors } from '../../src/base/checkpoint/safetensors.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import type { Model } from '../../src/base/model.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath, largestDifference, readGolden, valuesOf, type Golden } from '../golden.ts'
import { closeModel } from '../manage/models.ts'
import { FAMILIES, rewritten } from '../ties.ts'

const temporary = temporaryFolder()

const CASES: Readonly<Record<string, readonly string[]>> = {
  all: ['table', 'head', 'both', 'lora_table', 'lora_head', 'lora_both', 'carried', 'grown', 'grown_table'],
  'causal-lm': ['tied', 'lora_tied', 'grown_tied', 'grown_lora', 'unlike_tied', 'unlike_lora_tied'],
  'masked-lm': ['bias_all', 'bias_all_head', 'bias_lora_only', 'bias_lora_only_head'],
}

async function keysIn(folder: string): Promise<string[]> {
  const file = await openSafetensors(join(folder, 'adapter_model.safetensors'))
  await file.close()
  return [...file.entries.keys()].sort()
}

/** What PEFT writes of the base and of copies once more. */
function isBase(key: string, name: string): boolean {
  if (/\.(original_module|modules_to_save)\./.test(key)) return true
  if (name.startsWith('grown')) return false
  return key.endsWith('.base_layer.weight') || (name === 'carried' && !key.includes('.lora_'))
}

describe.each(Object.entries(FAMILIES))('an adapter at the head of %s', (family, { source, task, head }) => {
  let model: Model
  let unlike: Model
  let golden: Golden
  beforeAll(async () => {
    model = await loadModel(goldenPath(source), { task })
    golden = await readGolden(`ties/${family}/golden.safetensors`)
    const data = golden.numbers('H') as Float32Array
    const folder = await rewritten(source, temporary(family, 'unlike'), (tensors) => void tensors.set(`${head}.weight`, { shape: golden.shape('H'), data }))
    unlike = await loadModel(folder, { task })
  })
  afterAll(() => {
    closeModel(model)
    closeModel(unlike)
  })

  const logits = (of: Model, ids = 'ids'): Float32Array => tf.tidy(() => valuesOf(of.forward(golden.batch(ids))))

  it.each([...(CASES['all'] ?? []), ...(CASES[task] ?? [])])('%s computes as in PEFT, is switched, saved, merged and taken off again', async (name) => {
    const isUnlike = name.startsWith('unlike')
    const base = isUnlike ? unlike : model
    const ids = name.startsWith('grown') ? 'grown_ids' : 'ids'
    const expected = golden.numbers(`logits/${name}`)
    const size = Math.max(...expected.map(Math.abs))
    const check = (of: Model): void => expect(largestDifference(logits(of, ids), expected)).toBeLessThan(1e-5 * size)
    const tensors = tf.memory().numTensors
    const theirs = goldenPath(`ties/${family}/${name}`)
    const adapter: Adapter = await loadAdapter(base, theirs)
    check(base)
    disable(adapter)
    expect(largestDifference(logits(base), golden.numbers(isUnlike ? 'logits/two_tensors' : 'logits/base'))).toBeLessThan(1e-5)
    enable(adapter)
    check(base)
    await adapter.save(temporary(family, name))
    const merged = merge(base, adapter)
    check(merged)
    await merged.save(temporary(family, `${name} merged`))
    merged.dispose()
    detach(adapter)
    expect(tf.memory().numTensors).toBe(tensors)
    const again = await loadAdapter(base, temporary(family, name))
    check(base)
    detach(again)
    const reloaded = await loadModel(temporary(family, `${name} merged`), { task })
    check(reloaded)
    reloaded.dispose()
    const written = await keysIn(temporary(family, name))
    const known = (await keysIn(theirs)).filter((key) => !isBase(key, name))
    expect(written).toEqual(known)
    const settings = JSON.parse(await readFile(join(temporary(family, name), 'adapter_config.json'), 'utf8')) as Record<string, unknown>
    expect(settings['ensure_weight_tying'] ?? false).toBe(name.endsWith('tied'))
  })
})

it('A head alone in a file with ensure_weight_tying is not tied: HF PEFT does not know every name of a head', async () => {
  const { source, task } = FAMILIES['distilbert'] as (typeof FAMILIES)[string] // one of its keys
  const model = await loadModel(goldenPath(source), { task })
  const golden = await readGolden('ties/distilbert/golden.safetensors')
  const folder = temporary('head alone')
  await cp(goldenPath('ties/distilbert/lora_head'), folder, { recursive: true })
  const settings = JSON.parse(await readFile(join(folder, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
  await writeFile(join(folder, 'adapter_config.json'), JSON.stringify({ ...settings, ensure_weight_tying: true }))
  await loadAdapter(model, folder)
  const expected = golden.numbers('logits/lora_head')
  const logits = tf.tidy(() => valuesOf(model.forward(golden.batch('ids'))))
  expect(largestDifference(logits, expected)).toBeLessThan(1e-5 * Math.max(...expected.map(Math.abs)))
  closeModel(model)
})
