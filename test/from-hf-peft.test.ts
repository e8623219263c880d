// The table of names in docs/from-hf-peft.md, held against the files that adapters are written to.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { attach } from '../src/base/adapter/attach.ts'
import { detach } from '../src/base/adapter/attached.ts'
import type { Method } from '../src/base/method.ts'
import type { Model } from '../src/base/model.ts'
import * as advanced from '../src/advanced.ts'
import * as main from '../src/index.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { closeModel, tinyModel } from './manage/models.ts'

const library = { ...main, ...advanced }
const temporary = temporaryFolder()
const page = await readFile(join(import.meta.dirname, '../docs/from-hf-peft.md'), 'utf8')
/** The cells of the table, as what stands in backticks in them. */
const rows = [...page.matchAll(/^\| (`.*) \| (.*) \|$/gm)].map(([, theirs = '', here = '']) => [namesIn(theirs), namesIn(here)] as const)

let model: Model
beforeAll(async () => {
  model = await tinyModel()
})
afterAll(() => closeModel(model))

/** Names of options here that the table pairs with a field of adapter_config.json: what is chosen, and what is then in the file. */
const WRITTEN: Readonly<Record<string, { readonly method: Method; readonly train?: readonly string[]; readonly value: unknown }>> = {
  rank: { method: library.lora({ rank: 3 }), value: 3 },
  alpha: { method: library.lora({ alpha: 5 }), value: 5 },
  dropout: { method: library.lora({ dropout: 0.25 }), value: 0.25 },
  targets: { method: library.lora({ targets: ['query'] }), value: ['query'] },
  exclude: { method: library.lora({ targets: ['query'], exclude: ['0.attention.self.query'] }), value: ['0.attention.self.query'] },
  layers: { method: library.lora({ targets: ['query'], layers: [1] }), value: [1] },
  rankStabilized: { method: library.lora({ rankStabilized: true }), value: true },
  ensureWeightTying: { method: library.lora({ ensureWeightTying: true }), value: true },
  dora: { method: library.dora({ rank: 2 }), value: true },
  init: { method: library.lora({ init: 'pissa' }), value: true }, // written as the plain LoRA that it is against the model as it was
  train: { method: library.lora(), train: ['classifier'], value: ['classifier'] },
  virtualTokens: { method: library.prefix({ virtualTokens: 4 }), value: 4 },
}

it('pairs each option with the field that it is written to', async () => {
  const pairs = rows.flatMap(([theirs, here]) => (theirs.length === here.length ? theirs.map((name, i) => [name, here[i] ?? ''] as const) : []))
  const fields = pairs.filter(([name]) => /^[a-z_]+$/.test(name.split('=')[0] ?? '') && !(name in CALLS))
  const checked = fields.map(([field, option]) =>
    [field.split('=')[0] ?? '', /^attach\(…, \{ (\w+)/.exec(option)?.[1] ?? option.split(/[:(]/)[0] ?? ''] as const)
  expect(checked.map(([, name]) => name).sort()).toEqual(Object.keys(WRITTEN).sort())
  for (const [field, name] of checked) {
    const { method, train, value } = WRITTEN[name] ?? { method: library.lora(), value: undefined }
    const adapter = attach(model, method, { name, ...(train && { train }) })
    await adapter.save(temporary(name))
    detach(adapter)
    const config = JSON.parse(await readFile(temporary(name, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
    expect(config[field], `${name} in ${field}`).toEqual(value)
  }
})

/** Calls of HF PEFT, by their names in the table, with those here. */
const CALLS: Readonly<Record<string, readonly (keyof typeof library)[]>> = {
  get_peft_model: ['attach', 'lora'],
  load_adapter: ['loadAdapter'],
  set_adapter: ['setActive'],
  disable_adapter: ['withAdapters'],
  add_weighted_adapter: ['combine'],
  merge_and_unload: ['merge'],
  update_and_allocate: ['rankBudget'],
  unload: ['detach'],
  delete_adapter: ['detach'],
}

it('begins rank and alpha at the 8 that the page says', async () => {
  expect(page).toContain('`rank` and `alpha` begin at 8 and 8')
  const adapter = attach(model, library.lora())
  await adapter.save(temporary('defaults'))
  detach(adapter)
  expect(JSON.parse(await readFile(temporary('defaults', 'adapter_config.json'), 'utf8'))).toMatchObject({ r: 8, lora_alpha: 8 })
})

it('pairs each call with functions that there are', () => {
  for (const [call, names] of Object.entries(CALLS)) {
    const row = rows.find(([theirs]) => theirs.some((name) => name.split('(')[0] === call))
    for (const name of names) {
      expect(row?.[1].join(' '), call).toContain(name)
      expect(library[name]).toBeTypeOf('function')
    }
  }
  for (const name of namesIn(/^\| `IA3Config`.*$/m.exec(page)?.[0] ?? '').slice(4)) expect(library).toHaveProperty(name)
})

function namesIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)
}
