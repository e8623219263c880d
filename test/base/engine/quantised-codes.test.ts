// Held against bitsandbytes: test/golden/make_quantised.py.

import { describe, expect, it } from 'vitest'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import { quantizeInt8, unpackInt8 } from '../../../src/base/engine/int8-codes.ts'
import { quantizeScales, scalesAgain, type NestedScales } from '../../../src/base/engine/nested-scales.ts'
import { nativeInstructionSets, useNative } from '../../../src/base/engine/native.ts'
import { quantizeNf4, unpackNf4, type Nf4Numbers } from '../../../src/base/engine/nf4-codes.ts'
import { readGolden } from '../../golden.ts'

await loadEngine()
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

describe.runIf(nativeInstructionSets().length > 0)('the kernel that quantises', () => {
  const each = { length: 200_000 }
  const random = Float32Array.from(each, (_, i) => Math.sin(i * i) * 1.5 ** ((i >> 6) % 40))
  const ties = Float32Array.from(each, (_, i) => (i % 64 === 0 ? 1 : ((i * 37) % 4001) / 2000 - 1))
  const tiny = Float32Array.from(each, (_, i) => (i % 7) * 1e-41 * 3 ** ((i >> 6) % 30))
  const broken = random.map((x, i) => (i % 1000 === 0 ? NaN : i % 1717 === 0 ? Infinity : i % 640 < 64 ? 0 : x))
  const middles = Float32Array.from(each, (_, i) => (i % 64 === 0 ? 1 : middleAt(i % 15)))

  it.each([
    ['random', random], ['evenly spaced', ties], ['middles between codes', middles], ['numbers too small for a scale', tiny], ['NaN, infinities and zeros', broken],
  ])('gives the codes and scales of the composed form, in whole and part blocks: %s', (_, values) => {
    for (const length of [values.length, 129, 128, 127, 64, 63, 2, 1, 0]) {
      const part = values.subarray(0, length)
      const [fast, plain] = [bestForm(part), plainForm(part)]
      expect(fast.codes).toEqual(plain.codes)
      expect(fast.scales).toEqual(plain.scales)
    }
  })

  function middleAt(i: number): number {
    const all = new Float32Array(16)
    unpackNf4({ format: 'nf4', shape: [16], codes: Uint8Array.from({ length: 8 }, (_, k) => (2 * k) << 4 | (2 * k + 1)), blockSize: 64, scales: Float32Array.of(1) }, 0, all)
    return Math.fround((all[i] as number) + (all[i + 1] as number)) / 2
  }

  function bestForm(values: Float32Array): Nf4Numbers {
    return quantizeNf4(values, [values.length], false)
  }

  function plainForm(values: Float32Array): Nf4Numbers {
    useNative(undefined)
    try {
      return bestForm(values)
    } finally {
      useNative(nativeInstructionSets()[0])
    }
  }
})
