import { readdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { trainBpe } from '../../examples/pretrain/bpe.ts'
import { attach } from '../../src/base/adapter/attach.ts'
import { createModel } from '../../src/base/checkpoint/create.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import { fullFineTuning } from '../../src/selective/full.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { run } from './run.ts'

const temporary = temporaryFolder()
const root = fileURLToPath(new URL('../..', import.meta.url))

it('the short examples have 80 lines at most', async () => {
  for (const name of ['chat.ts', 'tasks-with-ewc.ts', 'combine-adapters.ts']) {
    expect((await readFile(`${root}/examples/${name}`, 'utf8')).trimEnd().split('\n').length, name).toBeLessThanOrEqual(80)
  }
})

it('the chat example trains on answers alone and answers, with any model that has a chat template', async () => {
  const folder = temporary('tiny')
  const vocab = 300
  const model = await createModel({ model_type: 'gpt2', vocab_size: vocab, n_positions: 256, n_embd: 16, n_layer: 1, n_head: 2 })
  const whole = merge(model, attach(model, fullFineTuning()))
  await whole.save(folder)
  await writeFile(`${folder}/tokenizer.json`, JSON.stringify(trainBpe(['Aye, that be Paris, matey! What is the capital of France?'], vocab)))
  const template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
  await writeFile(`${folder}/tokenizer_config.json`, JSON.stringify({ chat_template: template }))
  for (const each of [model, whole]) each.dispose()

  const printed = await run('chat.ts', folder, '--steps', '2', '--out', temporary('chat-lora'))
  expect(printed).toMatch(/loss +\d+\.\d+ at first, \d+\.\d+ at last\nanswer/)
  expect(await readdir(temporary('chat-lora'))).toContain('adapter_model.safetensors')
})
