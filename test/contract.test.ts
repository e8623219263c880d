import { expect, it } from 'vitest'
import { contract } from './contract.ts'
import { allGroups, familyAndKind, FEW, METHODS, MODELS } from './contract-rows.ts'

// Whole for each method and for each model once; test:long has every pair whole.
const whole = new Set<unknown>()
for (const { method, model, only } of FEW) {
  contract(method, model, { only, isBrief: whole.has(method) && whole.has(model) })
  whole.add(method).add(model)
}

it('the quick tests of the contract have every method, every model, and every kind of method on every family', () => {
  expect(new Set(FEW.map(({ method }) => method))).toEqual(new Set(METHODS))
  expect(new Set(FEW.map(({ model }) => model))).toEqual(new Set(MODELS))
  expect(new Set(FEW.map(familyAndKind))).toEqual(allGroups())
})
