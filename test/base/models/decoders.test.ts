import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import type { Task } from '../../../src/base/architecture.ts'
import { openCheckpoint } from '../../../src/base/checkpoint/checkpoint.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { goldenPath, largestDifference, readGolden, valuesOf } from '../../golden.ts'
import { shownByGolden } from '../../parity.ts'
import { expectPeftNumbers } from '../../peft-numbers.ts'

const CASES: readonly (readonly [path: string, task: Task])[] = [
  ['gpt2/base', 'feature-extraction'],
  ['gpt2/odd_sizes', 'feature-extraction'],
  ['gpt2/sequence_classification', 'sequence-classification'],
  ['gpt2/token_classification', 'token-classification'],
  ['gpt2/causal_lm', 'causal-lm'],
  ['gpt2/old_names', 'causal-lm'],
  ['gpt2/untied', 'causal-lm'],
  ['llama/base', 'feature-extraction'],
  ['llama/one_kv_head', 'feature-extraction'],
  ['llama/odd_sizes', 'feature-extraction'],
  ['llama/rope_llama3', 'feature-extraction'],
  ['llama/rope_linear', 'feature-extraction'],
  ['llama/rope_dynamic', 'feature-extraction'],
  ['llama/sequence_classification', 'sequence-classification'],
  ['llama/token_classification', 'token-classification'],
  ['llama/causal_lm', 'causal-lm'],
  ['llama/tied', 'causal-lm'],
  ['mistral/window', 'causal-lm'],
  ['mistral/no_window', 'causal-lm'],
  ['qwen2/causal_lm', 'causal-lm'],
  ['qwen2/window', 'causal-lm'],
  ['qwen3/causal_lm', 'causal-lm'],
  ['qwen3/token_classification', 'token-classification'],
  ...['ministral', 'seed_oss', 'smollm3', 'granite', 'olmo2', 'olmo3', 'gemma', 'gemma2', 'gemma3_text', 'phi3', 'ministral3', 'qwen3_5_text'].flatMap((type) => [
    [`relatives/${type}_base`, 'feature-extraction'] as const,
    ...(type === 'granite' ? [] : [[`relatives/${type}_sequence_classification`, 'sequence-classification'] as const]), // transformers has none
    [`relatives/${type}_causal_lm`, 'causal-lm'] as const,
  ]),
  ...['gemma4_text', 'gemma4_experts'].flatMap((type) => [[`relatives/${type}_base`, 'feature-extraction'] as const, [`relatives/${type}_causal_lm`, 'causal-lm'] as const]),
  ['relatives/qwen3_moe_base', 'feature-extraction'],
  ['relatives/qwen3_moe_causal_lm', 'causal-lm'],
  ['relatives/qwen3_moe_sequence_classification', 'sequence-classification'],
  ['relatives/gpt_oss_base', 'feature-extraction'],
  ['relatives/gpt_oss_causal_lm', 'causal-lm'],
  ['relatives/gpt_oss_sequence_classification', 'sequence-classification'],
  ['relatives/mixtral_base', 'feature-extraction'],
  ['relatives/mixtral_causal_lm', 'causal-lm'],
  ['relatives/mixtral_sequence_classification', 'sequence-classification'],
  ...[
    'yarn', 'yarn_betas', 'yarn_mscale', 'yarn_attention_factor', 'yarn_old_words', 'longrope', 'longrope_short', 'longrope_attention_factor',
    'dynamic_short', 'linear_old_words', 'phi3_old_words', 'modernbert_old_words',
    'gemma2_old_words', 'gemma3_old_words', 'olmo3_old_words', 'smollm3_old_words', 'olmo3_yarn_by_type',
  ].map((name) => [`rotary/${name}`, 'feature-extraction'] as const),
]

const LORAS: readonly (readonly [family: string, lora: string, base: string, task: Task])[] = [
  ['gpt2', 'lora', 'sequence_classification', 'sequence-classification'],
  ['gpt2', 'lora_causal', 'causal_lm', 'causal-lm'],
  ['llama', 'lora', 'causal_lm', 'causal-lm'],
  ...['granite', 'smollm3', 'olmo2', 'olmo3', 'gemma', 'gemma2', 'gemma3_text', 'gemma4_text', 'gemma4_experts', 'phi3', 'ministral3', 'qwen3_5_text', 'qwen3_moe', 'gpt_oss', 'mixtral'].map((type) => ['relatives', `${type}_lora`, `${type}_causal_lm`, 'causal-lm'] as const),
]

it.each(CASES)('%s gives the numbers of transformers: %s, with padding left and right', async (path, task) => {
  const golden = await readGolden(`${path}/golden.safetensors`)
  const model = await loadModel(goldenPath(path), { task })
  const name = task === 'feature-extraction' ? 'last_hidden_state' : 'logits'
  for (const call of ['full', 'ids_only'].filter((each) => golden.has(`${each}/${name}`))) {
    const batch = call === 'full' ? golden.batch('input_ids', 'attention_mask') : golden.batch('input_ids')
    const expected = golden.numbers(`${call}/${name}`)
    const actual = tf.tidy(() => valuesOf(model.forward(batch)))
    const size = Math.max(1, ...expected.map(Math.abs))
    // what stands at padding is nobody's business, and the peer computes something else there
    const counts = call === 'full' && task !== 'sequence-classification' ? golden.numbers('attention_mask') : undefined
    expect(largestDifference(actual, expected, counts) / size, call).toBeLessThan(1e-5)
  }
  model.dispose()
})

describe.each(LORAS)('LoRA on %s: %s', (family, lora, base, task) => {
  it('gives the logits, the loss and the gradients of HF PEFT', shownByGolden(`${family}/${lora}`, `${family}/${base}`, ['load', 'train'], 1e-4), async () => {
    await expectPeftNumbers(family, lora, base, task)
  })
})

it('GPT-2 saves its weights as checkpoints hold them, bit for bit', async () => {
  const source = goldenPath('gpt2/causal_lm')
  const model = await loadModel(source, { task: 'causal-lm' })
  const folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
  try {
    await model.save(folder)
    const [before, after] = [await openCheckpoint(source), await openCheckpoint(folder)]
    expect([...after.entries.keys()].sort()).toEqual([...before.entries.keys()].sort())
    for (const name of before.entries.keys()) expect(await after.read(name)).toEqual(await before.read(name))
    await Promise.all([before.close(), after.close()])
  } finally {
    await rm(folder, { recursive: true })
    model.dispose()
  }
})
