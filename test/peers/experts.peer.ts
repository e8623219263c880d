// Experts beside layers without any, to and from HF PEFT, which takes gate_proj, up_proj and down_proj for the experts' where they are named as modules.

import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, expect, inject, it } from 'vitest'
import { createModel, detach, loadAdapter, lora, type Model } from '../../src/index.ts'
import { openSafetensors } from '../../src/advanced.ts'
import { largestDifference, valuesOf } from '../golden.ts'
import { attachTrained } from '../manage/models.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { expectOfPython, type SavedJob } from './saved.ts'

const CONFIG = {
  model_type: 'qwen3_moe', vocab_size: 29, hidden_size: 16, num_hidden_layers: 4, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 6, intermediate_size: 20,
  moe_intermediate_size: 6, num_experts: 4, num_experts_per_tok: 2, mlp_only_layers: [3], decoder_sparse_step: 2, max_position_embeddings: 32, pad_token_id: 0, initializer_range: 0.3,
}
const ROW = [3, 17, 5, 22, 9, 1, 28]
/** Trains an adapter of PEFT's own on the model, and says what it gives. */
const PEFT = `
import sys, torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
base, folder, out, *targets = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(base)
model.config._experts_implementation = "eager"
model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=2, lora_alpha=4, target_modules=targets if len(targets) > 1 else targets[0])).eval()
torch.manual_seed(1)
for name, each in model.named_parameters():
    if "lora_" in name:
        torch.nn.init.normal_(each, 0, 0.3)
model.save_pretrained(folder)
save_file({"logits": model(torch.tensor([${JSON.stringify(ROW)}])).logits.detach()}, out)
`

const temporary = temporaryFolder()
let model: Model

beforeEach(async () => {
  model = await createModel(CONFIG, { task: 'causal-lm', seed: 3 })
  await model.save(temporary('base'))
})

afterEach(() => model.dispose())

const logits = (): Float32Array => tf.tidy(() => valuesOf(model.forward({ ids: Int32Array.from(ROW), batch: 1, length: ROW.length })))

it('LoRA on layers without experts, beside experts, is read by PEFT where it was trained', async () => {
  const jobs: SavedJob[] = []
  const expected = new Map<string, ArrayLike<number>>()
  for (const [name, options] of Object.entries({
    'a list': { targets: ['q_proj', 'gate_proj', 'up_proj', 'down_proj'] },
    'one of the fused': { targets: ['0.mlp.gate_proj'] },
    'an expression': { targets: String.raw`.*\.2\.mlp\.(up|down)_proj` },
    'all-linear': { targets: 'all-linear' },
    'with experts': { targets: ['down_proj', 'v_proj'], targetParameters: ['experts.gate_up_proj', 'experts.down_proj'] },
  })) {
    const adapter = attachTrained(model, 'default', lora({ rank: 2, ...options }), { enabled: true })
    await adapter.save(temporary(name))
    expected.set(name, logits())
    jobs.push({ name, task: 'causal-lm', base: temporary('base'), adapter: temporary(name), strict: true, ids: [ROW] })
    detach(adapter)
  }
  await expectOfPython(jobs, expected, temporary)
})

it.each([[['q_proj', 'gate_proj', 'up_proj', 'down_proj']], [['all-linear']], [['0.mlp.gate_proj', '2.mlp.up_proj']], [[String.raw`.*\.mlp\.down_proj`]]])('what PEFT makes of %j is read here as PEFT has it', async (targets) => {
  const [folder, out] = [temporary('theirs'), temporary('out.safetensors')]
  await promisify(execFile)(inject('python'), ['-c', PEFT, temporary('base'), folder, out, ...targets])
  const before = logits()
  await loadAdapter(model, folder)
  const file = await openSafetensors(out)
  const theirs = (await file.read('logits')).data as Float32Array
  await file.close()
  expect(largestDifference(theirs, before)).toBeGreaterThan(0.01)
  expect(largestDifference(logits(), theirs) / Math.max(...theirs.map(Math.abs))).toBeLessThan(1e-5)
  expect(JSON.parse(await readFile(`${folder}/adapter_config.json`, 'utf8'))).toMatchObject({ peft_type: 'LORA' })
})
