// The examples in the docstrings of everything public: each is there, compiles and runs.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import ts from 'typescript'
import { expect, it } from 'vitest'
import { inFolder, node, root } from './pages.ts'
import { advanced, checker, exported, main, plot, problemsIn } from './public-symbols.ts'

interface Documented {
  readonly name: string
  readonly examples: readonly string[]
  /** Functions and classes can be called; the rest needs no example. */
  readonly callable: boolean
}

function publicNames(): { readonly names: readonly string[]; readonly documented: readonly Documented[] } {
  const examplesOf = (symbol: ts.Symbol): string[] =>
    symbol.getJsDocTags(checker).filter(({ name }) => name === 'example').map(({ text }) => ts.displayPartsToString(text))
  return {
    names: exported.filter((symbol) => (symbol.flags & ts.SymbolFlags.Value) !== 0).map(({ name }) => name),
    documented: exported.flatMap((symbol) => {
      const members = [...(symbol.members?.values() ?? [])]
      const own = { name: symbol.name, examples: examplesOf(symbol), callable: (symbol.flags & ts.SymbolFlags.Function) !== 0 }
      return [own, ...members.map((member) => ({ name: `${symbol.name}.${member.name}`, examples: examplesOf(member), callable: false }))]
    }),
  }
}

/** What the examples take for granted: models with adapters, texts, a batch. */
const PRELUDE = `
const source = 'sentence-transformers/all-MiniLM-L6-v2'
const classifier = await loadModel(source, { task: 'sequence-classification', labels: ['ham', 'spam'] })
const decoder = await loadModel('${join(root, 'test/golden/gpt2/causal_lm')}', { task: 'causal-lm' })
const reader = await loadTokenizer(source)
mkdirSync('words', { recursive: true })
const vocab = Object.fromEntries(['<unk>', 'Once', 'upon', 'a', 'time', 'user', 'Hello'].map((word, id) => [word, id]))
writeFileSync('words/tokenizer.json', JSON.stringify({
  added_tokens: [], normalizer: null, pre_tokenizer: { type: 'Whitespace' }, post_processor: null, decoder: null,
  model: { type: 'WordLevel', vocab, unk_token: '<unk>' },
}))
writeFileSync('words/tokenizer_config.json', JSON.stringify({ chat_template: '{% for m in messages %}{{ m.role }} {{ m.content }}{% endfor %}' }))
const writer = await loadTokenizer('words')
for (const name of ['cat.jpg', 'dog.png']) copyFileSync('${join(root, 'test/golden/images/rgb')}' + name.slice(3), name)
const processor = createImageProcessor({ image_processor_type: 'ViTImageProcessor', size: 32 })
await processor.save('my-vit')
for (const name of ['vit', 'clip', 'pieces']) cpSync('${join(root, 'test/golden/answers')}/' + name, name === 'vit' ? 'pets-vit' : 'pets-clip', { recursive: true })
mkdirSync('pets/cats', { recursive: true })
copyFileSync('cat.jpg', 'pets/cats/cat.jpg')
const texts = ['the minutes of the meeting', 'you have won']
const train = { ids: reader.encode(texts).ids, labels: [0, 1] }
const batch = { ids: Int32Array.of(101, 7592, 102, 101, 2748, 102, 101, 2053, 102), labels: Int32Array.of(0, 1, 0), batch: 3, length: 3 }
const step = 1
const schedule = linear({ totalSteps: 2 })
interface Given {
  readonly model: Model
  readonly adapter: Adapter
  readonly grads: ValueAndGrads['grads']
  readonly trainer: Trainer
  readonly tokenizer: Tokenizer
}
async function example(kind: 'attaches' | 'generates' | 'uses', run: (given: Given) => Promise<void>): Promise<void> {
  const model = classifier
  const adapter = attach(model, lora(), { name: 'spam', train: [] })
  for (const name of ['tone', 'a', 'b']) attach(model, lora(), { name, train: [], enabled: false })
  await adapter.save('spam-lora')
  const { grads } = valueAndGrads(() => model.loss(batch), adapter.trainable)
  const trainer = new Trainer({ model, train })
  if (kind === 'attaches') disable(adapter) // some methods stand alone
  const given = kind === 'generates' ? { model: decoder, tokenizer: writer } : { model, tokenizer: reader }
  await run({ ...given, adapter, grads, trainer })
  for (const attached of adaptersOf(model)) detach(attached)
}
`

it('every public function has an example, and every example compiles and runs', async () => {
  const { names, documented } = publicNames()
  expect(documented.filter(({ callable, examples }) => callable && examples.length === 0).map(({ name }) => name)).toEqual([])
  const blocks = documented.flatMap(({ name, examples }) =>
    examples.map((code) => {
      const kind = code.includes('attach(') ? 'attaches' : /generate(Texts?)?\(|chat\(|perplexity\(|applyChatTemplate/.test(code) ? 'generates' : 'uses'
      return `await example('${kind}', async ({ model, adapter, grads, trainer, tokenizer }) => {{ // ${name}\n${code}\n}})`
    }))
  const types = ['Adapter', 'Tokenizer', 'ValueAndGrads']
  const namesOf = (symbols: readonly ts.Symbol[]): string =>
    symbols.flatMap(({ name }) => (names.includes(name) ? [name] : types.includes(name) ? [`type ${name}`] : [])).join(', ')
  const program = `import { ${namesOf(main)} } from 'tfjs-peft'
import { ${namesOf(advanced)} } from 'tfjs-peft/advanced'
import { ${namesOf(plot)} } from 'tfjs-peft/plot'
import * as tf from '@tensorflow/tfjs-core'
import { copyFileSync, cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
symlinkSync(await hubFile('sentence-transformers/all-MiniLM-L6-v2', 'model.safetensors'), 'model.safetensors')
mkdirSync('out', { recursive: true })
writeFileSync('mails.jsonl', '{"text": "hello", "label": 0}')
writeFileSync('mails.json', '[{"text": "hello", "label": 0}]')
writeFileSync('mails.csv', 'text,label\\n"hello, you",ham\\nyou have won,spam')
void tf
${PRELUDE}${blocks.join('\n')}\n`
  await inFolder(async (folder) => {
    await writeFile(join(folder, 'program.ts'), program)
    expect(problemsIn(join(folder, 'program.ts'))).toBe('')
    await node(folder, '--import', 'tsx', 'program.ts')
  })
})
