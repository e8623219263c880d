// Two LoRAs, trained apart on one model: switched, added up, combined into one, and merged into the weights.
//
//   npx tsx examples/combine-adapters.ts                  60 steps each
//   npx tsx examples/combine-adapters.ts --steps 2        a short run

import { parseArgs } from 'node:util'
import {
  accuracy, adapterNamed, attach, combine, loadModel, loadTokenizer, lora, merge, predict, setActive, Trainer,
  type Examples, type Model,
} from 'tfjs-peft'

const MODEL = 'sentence-transformers/all-MiniLM-L6-v2'
const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '60' },
    out: { type: 'string', default: 'out/combined' },
  },
})

const tokenizer = await loadTokenizer(MODEL)
const model = await loadModel(MODEL, { task: 'sequence-classification', labels: ['bad', 'good'] })
const food = rows(['soup', 'bread', 'wine', 'cake'])
const films = rows(['film', 'plot', 'actor', 'ending'])

// The first adapter trains the head too. The second has the same head, as the first left it, and leaves it alone.
attach(model, lora({ rank: 4, alpha: 8 }), { name: 'food' })
await train(food)
attach(model, lora({ rank: 4, alpha: 8 }), { name: 'films', train: [], seed: 1 })
setActive(model, 'films')
await train(films)

await show('base', [])
await show('food', 'food')
await show('films', 'films')
await show('food and films, added up', ['food', 'films'])
for (const kind of ['cat', 'svd', 'linear'] as const) {
  combine(model, [{ adapter: 'food', weight: 0.7 }, { adapter: 'films', weight: 0.7 }], { kind, name: kind })
  await show(`combined by '${kind}'`, kind)
}

const chosen = adapterNamed(model, 'cat')
await chosen.save(values.out)
const merged = merge(model, chosen)
await show('merged', [], merged)
console.log(`saved       ${values.out}, in HF PEFT's format`)

type Rows = Examples & { readonly labels: number[] }

function rows(nouns: readonly string[]): Rows {
  const texts = nouns.flatMap((noun) => [`The ${noun} is awful.`, `The ${noun} is wonderful.`, `What a dreadful ${noun}!`, `A lovely ${noun}.`])
  return { ids: tokenizer.encode(texts).ids, labels: texts.map((_, i) => i % 2) }
}

async function train(examples: Rows): Promise<void> {
  await new Trainer({ model, train: examples, batchSize: 8, learningRate: 2e-3, maxSteps: Number(values.steps) }).fit()
}

/** Accuracy on both sets, with exactly these adapters. */
async function show(title: string, adapter: string | readonly string[], on: Model = model): Promise<void> {
  const measure = async (examples: Rows): Promise<string> => accuracy((await predict(on, examples, { adapter })).classes, examples.labels).toFixed(2)
  const [onFood, onFilms] = [await measure(food), await measure(films)]
  console.log(`${title.padEnd(26)} food ${onFood}  films ${onFilms}`)
}
