import { expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { disable } from '../../src/base/adapter/attached.ts'
import type { Model } from '../../src/base/model.ts'
import { lora } from '../../src/lora/lora.ts'
import { report } from '../../src/manage/report.ts'
import { bitFit } from '../../src/selective/bitfit.ts'
import { eachTinyModel } from './models.ts'

let model: Model
eachTinyModel((each) => { model = each })

it('says of every tensor whether it is trained, by whom, and why', () => {
  attach(model, lora({ rank: 2, targets: ['query'], layers: [0], init: 'pissa' }), { name: 'spam' })
  disable(attach(model, bitFit(), { name: 'biases', train: [], enabled: false }))
  const { tensors, trained, table } = report(model)
  const find = (name: string, adapter?: string): string | undefined => {
    const found = tensors.find((tensor) => tensor.name === name && tensor.adapter === adapter)
    return found === undefined ? undefined : `${found.state}: ${found.why}`
  }
  const query = 'bert.encoder.layer.0.attention.self.query'
  expect(find(`${query}.weight`)).toBe('frozen: part of the base')
  expect(find(`${query}.A`, 'spam')).toBe('trained: part of the method')
  expect(find(`${query}.A0`, 'spam')).toBe('frozen: the method keeps it as it is')
  expect(find('classifier.weight')).toBe("replaced: the copy of 'spam' is used")
  expect(find('classifier.weight', 'spam')).toBe('trained: a copy of a module trained in full')
  expect(find(`${query}.bias`, 'biases')).toBe('frozen: its adapter is disabled')
  expect(trained).toBe(2 * 32 * 2 + 3 * 32 + 3)
  expect(table.split('\n').find((line) => line.includes(`${query}.B `))).toMatch(/^trained +spam +bert.* +\[32, 2\] +part of the method$/)
  expect(table).toMatch(/\n227 of \d+ elements in use are trained$/)
})
