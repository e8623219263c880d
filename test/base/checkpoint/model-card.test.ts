import { readFile, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { attach } from '../../../src/base/adapter/attach.ts'
import { saveAdapter } from '../../../src/base/checkpoint/adapter-file.ts'
import { modelCard } from '../../../src/base/checkpoint/model-card.ts'
import { Model } from '../../../src/base/model.ts'
import { lora } from '../../../src/lora/lora.ts'
import { bitFit } from '../../../src/selective/bitfit.ts'
import { closeModel, tinyModel } from '../../manage/models.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const temporary = temporaryFolder()
let model: Model

beforeEach(async () => {
  const { parts } = await tinyModel()
  model = new Model({ ...parts, source: 'someone/tiny-bert', labels: ['ham', 'spam', 'unsure'] })
})

afterEach(() => closeModel(model))

it('tells what an adapter is, what it was made of, and how both libraries load it', () => {
  expect(modelCard(attach(model, lora({ rank: 2 })))).toBe(`---
base_model: someone/tiny-bert
library_name: peft
tags: [tfjs-peft]
---

# LORA adapter for someone/tiny-bert

- task: sequence-classification; classes in order: ham, spam, unsure
- 867 of 26515 parameters trained (3.27 %), at 6 places

In TypeScript:

\`\`\`ts
import { loadAdapter, loadModel } from 'tfjs-peft'

const model = await loadModel("someone/tiny-bert", {"task":"sequence-classification","labels":["ham","spam","unsure"]})
const adapter = await loadAdapter(model, '<this folder or its id on the Hub>')
\`\`\`

In Python:

\`\`\`python
from transformers import AutoModelForSequenceClassification
from peft import PeftModel

model = PeftModel.from_pretrained(AutoModelForSequenceClassification.from_pretrained("someone/tiny-bert", num_labels=3), "<this folder or its id on the Hub>")
\`\`\`
`)
})

it('says so where no other library reads it', () => {
  const card = modelCard(attach(model, bitFit()))
  expect(card).toContain('library_name: tfjs-peft')
  expect(card).toContain('No other library reads it.')
})

it('is saved beside the adapter, and one that is there stays', async () => {
  const adapter = attach(model, lora())
  await saveAdapter(adapter, temporary('a'))
  expect(await readFile(temporary('a', 'README.md'), 'utf8')).toBe(modelCard(adapter))
  await writeFile(temporary('a', 'README.md'), 'my own words')
  await saveAdapter(adapter, temporary('a'))
  expect(await readFile(temporary('a', 'README.md'), 'utf8')).toBe('my own words')
})
