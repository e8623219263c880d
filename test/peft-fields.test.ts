// Every field of PEFT's configuration classes has its place: done, refused where it asks for something, or without effect.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { namesOf, type MethodFields } from '../src/base/adapter/file-format.ts'
import { COMMON_FIELDS } from '../src/load-adapter.ts'
import { goldenPath } from './golden.ts'
import { PEFT_FIELDS } from './peft-fields.ts'

const { classes } = JSON.parse(readFileSync(goldenPath('peft_fields.json'), 'utf8')) as {
  readonly classes: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

/** Written beside PEFT's fields: tied tables by every method, and what a prompt reads a class off. */
const OWN = ['ensure_weight_tying', 'pooling']

describe.each(Object.entries(classes))('the fields of %s', (type, defaults) => {
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
