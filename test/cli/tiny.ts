import { mkdirSync, writeFileSync } from 'node:fs'
import type { Task } from '../../src/base/architecture.ts'
import { createModel } from '../../src/base/checkpoint/create.ts'

/** A model of a few words that has learned nothing, with a chat template. @param more words that stand for no text */
export async function writeTiny(folder: string, config: object, task: Task, more: readonly string[] = []): Promise<void> {
  mkdirSync(folder, { recursive: true })
  const words = ['<unk>', '<end>', '<user>', '<assistant>', 'Where', 'is', 'Rome', 'Oslo', '?', 'In', 'Italy', 'Norway', ',', 'matey', '!', ...more]
  const special = [1, 2, 3, ...more.map((_, i) => words.length - more.length + i)].map((id) => ({ id, content: words[id], special: true, single_word: false, lstrip: false, rstrip: false, normalized: false }))
  const vocab = Object.fromEntries(words.map((word, id) => [word, id]))
  const template = '{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}'
  writeFileSync(`${folder}/tokenizer.json`, JSON.stringify({ added_tokens: special, normalizer: null, pre_tokenizer: { type: 'Whitespace' }, post_processor: null, decoder: null, model: { type: 'WordLevel', vocab, unk_token: '<unk>' } }))
  writeFileSync(`${folder}/tokenizer_config.json`, JSON.stringify({ chat_template: template }))
  const model = await createModel({ vocab_size: words.length, eos_token_id: 1, ...config }, { task, seed: 1 })
  await model.save(folder)
  model.dispose()
}
