import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { Adapter } from '../adapter/adapter.ts'
import { autoClassOf } from '../tasks/task.ts'
import { baseNameOf } from './base-name.ts'
import { writeAtomic } from '../files/atomic.ts'

const CARD = 'README.md'

/** Writes the Hub's README.md for an adapter; one that is in its folder stays, because its owner may have written it. */
export async function writeModelCard(folder: string, into: string, adapter: Adapter): Promise<void> {
  const isThere = await access(join(folder, CARD)).then(() => true, () => false)
  if (!isThere) await writeAtomic(join(into, CARD), modelCard(adapter))
}

/** What the adapter is, what it was made of, and how each library loads it. */
export function modelCard(adapter: Adapter): string {
  const { method: { format: { type, kind = 'peft' } }, labels, model, model: { parts: { task } } } = adapter
  const { name: source } = baseNameOf(model)
  const { sites, trainable, total, share } = adapter.summary()
  const isHubId = /^[\w.-]+(\/[\w.-]+)?$/.test(source) && !source.startsWith('.')
  const library = kind === 'peft' ? 'peft' : kind === 'adapter-hub' ? 'adapter-transformers' : 'tfjs-peft'
  return [
    '---',
    ...(isHubId ? [`base_model: ${source}`] : []),
    `library_name: ${library}`,
    'tags: [tfjs-peft]',
    '---',
    '',
    `# ${type} adapter for ${source}`,
    '',
    `- task: ${task}${labels.length > 0 ? `; classes in order: ${labels.join(', ')}` : ''}`,
    `- ${trainable} of ${total} parameters trained (${(share * 100).toFixed(2)} %)${sites > 0 ? `, at ${sites} places` : ''}`,
    '',
    'In TypeScript:',
    '',
    '```ts',
    "import { loadAdapter, loadModel } from 'tfjs-peft'",
    '',
    `const model = await loadModel(${JSON.stringify(source)}, ${JSON.stringify({ task, ...(labels.length > 0 ? { labels } : {}) })})`,
    "const adapter = await loadAdapter(model, '<this folder or its id on the Hub>')",
    '```',
    '',
    ...inPython(adapter),
  ].join('\n')
}

function inPython({ method: { format: { kind = 'peft' } }, labels, model, model: { record } }: Adapter): string[] {
  const { name: source } = baseNameOf(model)
  if (kind === 'own') return ['No other library reads it.', '']
  const classes = labels.length > 0 ? `, num_labels=${labels.length}` : ''
  const load = `${autoClassOf(record)}.from_pretrained(${JSON.stringify(source)}${classes})`
  return [
    'In Python:',
    '',
    '```python',
    `from transformers import ${autoClassOf(record)}`,
    ...(kind === 'peft'
      ? ['from peft import PeftModel', '', `model = PeftModel.from_pretrained(${load}, "<this folder or its id on the Hub>")`]
      : ['import adapters', '', `model = ${load}`, 'adapters.init(model)', 'model.set_active_adapters(model.load_adapter("<this folder>"))']),
    '```',
    '',
  ]
}
