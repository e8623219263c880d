import { execFile } from 'node:child_process'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { trainBpe } from '../../examples/pretrain/bpe.ts'
import { attach } from '../../src/base/adapter/attach.ts'
import { createModel } from '../../src/base/checkpoint/create.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import { fullFineTuning } from '../../src/selective/full.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()
const root = fileURLToPath(new URL('../..', import.meta.url))

async function run(example: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('node', ['--import', 'tsx', `examples/${example}`, ...args], { cwd: root })
  return stdout
}

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

it('the example of tasks one after the other prints what is left of each, without and with EWC', async () => {
  const printed = await run('tasks-with-ewc.ts', '--steps', '1')
  expect(printed.match(/^( {2}[01]\.\d\d){3}$/gm)).toHaveLength(6)
  expect(printed.match(/average [\d.]+, forgetting -?[\d.]+/g)).toHaveLength(2)
})

it('the example of combined adapters measures each way and saves one', async () => {
  const printed = await run('combine-adapters.ts', '--steps', '1', '--out', temporary('combined'))
  expect(printed.match(/food [01]\.\d\d {2}films [01]\.\d\d$/gm)).toHaveLength(8)
  const [cat, merged] = ["combined by 'cat'", 'merged'].map((title) => printed.split('\n').find((line) => line.startsWith(title))?.slice(26))
  expect(merged).toBe(cat)
  expect(await readdir(temporary('combined'))).toContain('adapter_model.safetensors')
})
