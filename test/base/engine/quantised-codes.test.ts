// Held against bitsandbytes: test/golden/make_quantised.py.

import { describe, expect, it } from 'vitest'
import { quantizeInt8, unpackInt8 } from '../../../src/base/engine/int8-codes.ts'
import { quantizeScales, scalesAgain, type NestedScales } from '../../../src/base/engine/nested-scales.ts'
import { quantizeNf4, unpackNf4 } from '../../../src/base/engine/nf4-codes.ts'
import { readGolden } from '../../golden.ts'

const golden = await readGolden('quantised.safetensors')
const cases = golden.names.filter((name) => golden.has(`${name}.codes`) && !name.includes('.'))
const floats = (name: string): Float32Array => Float32Array.from(golden.numbers(name))

describe.each(cases)('the weight %s', (name) => {
  const weight = floats(name)
  const shape = golden.shape(name)
  const packed = quantizeNf4(weight, shape, false)

  it('has the codes and scales of bitsandbytes in NF4, and its numbers again', () => {
    expect(Array.from(packed.codes)).toEqual(Array.from(golden.numbers(`${name}.codes`)))
    expect(packed.scales).toEqual(floats(`${name}.absmax`))
    const again = new Float32Array(weight.length)
    unpackNf4(packed, 0, again)
    expect(again.map((x) => x + 0)).toEqual(floats(`${name}.float32`).map((x) => x + 0)) // +0 and −0 are alike
  })

  it('is unpacked from any place on', () => {
    const again = new Float32Array(weight.length)
    unpackNf4(packed, 0, again)
    for (const begin of [1, 13, 64, 65]) {
      if (begin >= weight.length) continue
      const part = new Float32Array(Math.min(70, weight.length - begin))
      unpackNf4(packed, begin, part)
      expect(part).toEqual(again.subarray(begin, begin + part.length))
    }
  })

  it('has the codes of bitsandbytes for the scales of its scales', () => {
    const nested = quantizeScales(packed.scales as Float32Array)
    expect(nested.map).toEqual(floats('dynamic_map'))
    expect(Float32Array.of(nested.offset)).toEqual(floats(`${name}.nested.offset`))
    expect(nested.scales).toEqual(floats(`${name}.nested.absmax`))
    if (nested.scales.every((scale) => scale > 0)) expect(Array.from(nested.codes)).toEqual(Array.from(golden.numbers(`${name}.nested.codes`)))
    expect(scalesAgain(nested, 0, nested.codes.length)).toEqual(floats(`${name}.nested.float32`))
    expect(quantizeNf4(weight, shape, true).scales as NestedScales).toEqual(nested)
  })

  it.runIf(golden.has(`${name}.int8`))('has the codes and scales of LLM.int8, and its numbers again', () => {
    const eight = quantizeInt8(weight, shape)
    expect(Array.from(eight.codes, (x) => x + 0)).toEqual(Array.from(golden.numbers(`${name}.int8`)))
    expect(eight.scales).toEqual(floats(`${name}.SCB`))
    const again = new Float32Array(weight.length)
    unpackInt8(eight, 0, again)
    expect(again.map((x) => x + 0)).toEqual(floats(`${name}.int8_float32`).map((x) => x + 0))
  })
})
