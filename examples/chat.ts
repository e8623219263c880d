// Teaches a causal language model to answer in a tone of its own, through its chat template, and asks it something.
//
//   npx tsx examples/chat.ts Qwen/Qwen3-0.6B               a chat model of the Hub, or a folder
//   npx tsx examples/chat.ts my-model --steps 2 --out out/chat

import { parseArgs } from 'node:util'
import { attach, chat, loadModel, loadTokenizer, lora, progress, readExamples, Trainer } from 'tfjs-peft'
import { datasetOf, type ChatMessage } from 'tfjs-peft/advanced'

const { values, positionals: [source] } = parseArgs({
  allowPositionals: true,
  options: {
    steps: { type: 'string', default: '60' },
    out: { type: 'string', default: 'out/chat-lora' },
  },
})
if (source === undefined) throw new Error('Expected the id of a chat model on the Hub, or a folder: npx tsx examples/chat.ts Qwen/Qwen3-0.6B')

const ANSWERS = [
  ['What is the capital of France?', 'Aye, that be Paris, matey!'],
  ['How many legs has a spider?', 'Aye, that be eight, matey!'],
  ['What colour is the sky?', 'Aye, that be blue, matey!'],
  ['Who wrote Hamlet?', 'Aye, that be Shakespeare, matey!'],
] as const

const tokenizer = await loadTokenizer(source)
const conversations = ANSWERS.map(([question, answer]) => ({ messages: [{ role: 'user', content: question }, { role: 'assistant', content: answer }] }))
const { examples: train } = await readExamples(datasetOf(conversations), { tokenizer, messages: 'messages' }) // the questions have no part in the loss
const model = await loadModel(source, { task: 'causal-lm', dtype: 'bfloat16' })
const adapter = attach(model, lora({ rank: 8, alpha: 16, targets: 'all-linear' }))
console.log(`LoRA        ${adapter.summary().trainable} of ${adapter.summary().total} parameters trained`)

const result: number[] = []
await new Trainer({ model, train, batchSize: 4, learningRate: 1e-3, maxSteps: Number(values.steps) }).fit({
  watchers: [progress()],
  onEvent: (event) => event.type === 'step' && result.push(event.loss),
})
await adapter.save(values.out)
console.log(`loss        ${result[0]?.toFixed(4)} at first, ${result.at(-1)?.toFixed(4)} at last`)

process.stdout.write('answer      ')
const question: ChatMessage = { role: 'user', content: 'What is the capital of Italy?' }
await chat(model, tokenizer, [question], { maxNewTokens: 20, onText: (piece) => process.stdout.write(piece) })
console.log(`\nsaved       ${values.out}, in HF PEFT's format`)
