// What vLLM, SGLang and TGI make of adapters that were saved here.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { createModel } from '../../src/base/checkpoint/create.ts'
import type { Method } from '../../src/base/method.ts'
import { checkAdapter, formatServerFindings } from '../../src/cli/check-adapter.ts'
import { dora } from '../../src/lora/dora.ts'
import { lora } from '../../src/lora/lora.ts'
import { prefix } from '../../src/prefix/prefix.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()
const CONFIG = { model_type: 'llama', vocab_size: 19, hidden_size: 64, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 16 }

/** What each of the servers makes of it: its effects and what they are about. */
async function made(name: string, method: Method, { train, change }: { readonly train?: readonly string[]; readonly change?: (folder: string) => void } = {}): Promise<Readonly<Record<string, readonly string[]>>> {
  const folder = temporary(name)
  const model = await createModel(CONFIG, { task: 'causal-lm' })
  await attach(model, method, train === undefined ? {} : { train }).save(folder)
  model.dispose()
  change?.(folder)
  const servers = ['vllm', 'sglang', 'tgi'] as const
  return Object.fromEntries(await Promise.all(servers.map(async (server) => [server, (await checkAdapter(folder, server)).map(({ effect, what }) => `${effect} ${what}`)] as const)))
}

it('a plain LoRA is taken as it is', async () => {
  expect(await made('plain', lora({ rank: 8, targets: 'all-linear' }))).toEqual({ vllm: [], sglang: [], tgi: [] })
  const folder = temporary('plain')
  expect(formatServerFindings('plain', 'sglang', await checkAdapter(folder, 'sglang'))).toBe(
    'SGLang 0.5.23: nothing in plain is known to be refused or ignored.\nWhether its model has modules of these names was not looked at.')
})

it('what a server refuses, ignores or asks for is told, and how to mend it', async () => {
  expect(await made('dora', dora({ rank: 32 }))).toEqual({
    vllm: ['refuses use_dora: true', expect.stringMatching(/^refuses tensors that are no LoRA: .*lora_magnitude_vector/), 'asks rank 32, more than 16'],
    sglang: ['refuses use_dora: true'],
    tgi: ['ignores use_dora: true', expect.stringMatching(/^ignores tensors that are no LoRA of a linear module: .*lora_magnitude_vector/)],
  })
  const merge = 'merge the adapter into its base and serve that: merge(adapter), model.save(folder)'
  expect(formatServerFindings('out/dora', 'sglang', await checkAdapter(temporary('dora'), 'sglang'))).toBe([
    'SGLang 0.5.23 and out/dora:', '  refuses  use_dora: true', `           ${merge} (sglang/srt/lora/lora_manager.py)`, 'Whether its model has modules of these names was not looked at.'].join('\n'))
})

it('factors that a server does not compute are told', async () => {
  const method = lora({ rank: 8, alpha: 16, rankStabilized: true, targets: ['q_proj', 'v_proj'], rankPattern: { v_proj: 24 }, alphaPattern: { q_proj: 4 } })
  expect(await made('factors', method)).toEqual({
    vllm: ['asks rank 24, more than 16'],
    sglang: ['ignores use_rslora: true', 'ignores rank_pattern: {"v_proj":24}', 'ignores alpha_pattern: {"q_proj":4}'],
    tgi: ['ignores rank_pattern: {"v_proj":24}', 'ignores alpha_pattern: {"q_proj":4}'],
  })
})

it('a rank above all that vLLM can be started with is refused', async () => {
  const { vllm } = await made('rank', lora({ rank: 8 }), { change(folder) {
    const path = join(folder, 'adapter_config.json')
    writeFileSync(path, readFileSync(path, 'utf8').replace(/"r": 8/, '"r": 600'))
  } })
  expect(vllm).toEqual(['refuses rank 600, more than 512'])
})

it('another method, tokens, trained modules and targets by a pattern are told', async () => {
  expect((await made('prefix', prefix({ virtualTokens: 2 })))['vllm']?.[0]).toBe('refuses peft_type: "PREFIX_TUNING"')
  expect((await made('tokens', lora({ rank: 4, trainableTokens: [3] })))['vllm']).toEqual([expect.stringMatching(/^refuses tensors that are no LoRA: .*token/)])
  const found = await made('more', lora({ rank: 4, targets: ['q_proj'], layers: [0] }), { train: ['model.norm'], change: (folder) => {
    writeFileSync(join(folder, 'added_tokens.json'), '{"<call>": 19}')
    const path = join(folder, 'adapter_config.json')
    writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), target_modules: '.*q_proj' }))
  } })
  expect(found['vllm']).toContain('refuses modules_to_save: model.norm')
  expect(found['sglang']).toEqual(['refuses added_tokens.json: <call>', 'asks target_modules: .*q_proj', 'ignores modules_to_save: ["model.norm"]'])
  expect(found['tgi']).toContain('ignores layers_to_transform: [0]')
})

it('a folder of something else is told so', async () => {
  await expect(checkAdapter(temporary('nowhere'), 'vllm')).rejects.toThrow('nowhere')
})
