import { expect, it } from 'vitest'
import { allGroups, contractOn, familyAndKind, FEW, METHODS, MODELS } from './contract-rows.ts'

contractOn('encoders', FEW)

it('the quick tests of the contract have every method, every model, and every kind of method on every family', () => {
  expect(new Set(FEW.map(({ method }) => method))).toEqual(new Set(METHODS))
  expect(new Set(FEW.map(({ model }) => model))).toEqual(new Set(MODELS))
  expect(new Set(FEW.map(familyAndKind))).toEqual(allGroups())
})
