// Every field of PEFT's configuration classes, and of AdapterHub's bottleneck adapters, has its place: done, refused where it asks for something, or without effect.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { namesOf, type MethodFields } from '../src/base/adapter/file-format.ts'
import { COMMON_FIELDS } from '../src/load-adapter.ts'
import { goldenPath } from './golden.ts'
import { ADAPTER_HUB_FIELDS, PEFT_FIELDS } from './peft-fields.ts'

function readClasses(file: string): readonly (readonly [type: string, defaults: Readonly<Record<string, unknown>>])[] {
  const { classes } = JSON.parse(readFileSync(goldenPath(file), 'utf8')) as { readonly classes: Readonly<Record<string, Readonly<Record<string, unknown>>>> }
  return Object.entries(classes)
}

/** Written beside PEFT's fields: tied tables and modules trained in full by every method, and what a prompt reads a class off. */
const OWN = ['ensure_weight_tying', 'modules_to_save', 'pooling']

describe.each(readClasses('peft_fields.json'))('the fields of %s', (type, defaults) => {
  const fields = PEFT_FIELDS[type] as MethodFields
  const names = [...namesOf(fields), ...namesOf(COMMON_FIELDS)]

  it('are those of the lists, each in one of them', () => {
    expect(Object.keys(defaults).filter((name) => !names.includes(name))).toEqual([])
    expect(names.filter((name) => !(name in defaults) && !OWN.includes(name))).toEqual([])
    expect(names).toHaveLength(new Set(names).size)
  })

  it("ask for nothing that is refused in PEFT's defaults", () => {
    for (const [name, values] of Object.entries(fields.off)) expect([null, ...values], name).toContainEqual(defaults[name] ?? null)
  })
})

describe.each(readClasses('adapter_fields.json'))("the fields of AdapterHub's %s", (_, defaults) => {
  const fields = ADAPTER_HUB_FIELDS['bottleneck'] as MethodFields

  it('are those of the lists, each in one of them', () => {
    // `architecture` is of the other methods' files
    expect(namesOf(fields).filter((name) => name !== 'architecture').sort()).toEqual(Object.keys(defaults).sort())
  })

  it('ask for nothing that is refused in their defaults', () => {
    for (const [name, values] of Object.entries(fields.off)) expect([null, ...values], name).toContainEqual(defaults[name] ?? null)
  })
})
