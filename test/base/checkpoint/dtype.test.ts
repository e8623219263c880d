import { describe, expect, it } from 'vitest'
import { fromFloat32, toFloat32 } from '../../../src/base/checkpoint/dtype.ts'
import { openSafetensors } from '../../../src/base/checkpoint/safetensors.ts'

/** Bits of floats, so that NaN and -0 compare as what they are; NaN payloads differ between implementations. */
function bits(data: Float32Array): number[] {
  return Array.from(new Uint32Array(data.buffer, data.byteOffset, data.length), (each, i) => Number.isNaN(data[i]) ? 0x7fc00000 : each)
}

const isNaN16 = (each: number, exponent: number): boolean => (each & 0x7fff) > exponent

describe('conversion', () => {
  it('equals torch in F16 and BF16, both ways, and from F64', async () => {
    const file = await openSafetensors('test/golden/safetensors/conversions.safetensors')
    const floats = toFloat32(await file.read('f32'))
    for (const [name, dtype, exponent] of [['f16', 'F16', 0x7c00], ['bf16', 'BF16', 0x7f80]] as const) {
      const quiet = (data: Iterable<number>): number[] => Array.from(data, (each) => isNaN16(each, exponent) ? exponent + 1 : each)
      const theirs = await file.read(name)
      expect(quiet(fromFloat32(floats, dtype))).toEqual(quiet(theirs.data as Uint16Array))
      expect(bits(toFloat32(theirs))).toEqual(bits(toFloat32(await file.read(`${name}.back`))))
    }
    expect(bits(toFloat32(await file.read('f64')))).toEqual(bits(toFloat32(await file.read('f64.back'))))
    await file.close()
  })

  it('brings every half and every bfloat16 back as it was', () => {
    const all = Uint16Array.from({ length: 65536 }, (_, i) => i)
    for (const [dtype, exponent] of [['F16', 0x7c00], ['BF16', 0x7f80]] as const) {
      const back = fromFloat32(toFloat32({ dtype, shape: [65536], data: all }), dtype) as Uint16Array
      expect(all.filter((each, i) => isNaN16(each, exponent) ? !isNaN16(back[i] ?? 0, exponent) : back[i] !== each)).toEqual(new Uint16Array())
    }
  })

  it('passes F32 through without a copy', () => {
    const data = Float32Array.of(1, 2)
    expect(toFloat32({ dtype: 'F32', shape: [2], data })).toBe(data)
    expect(fromFloat32(data, 'F32')).toBe(data)
    expect(fromFloat32(data, 'F64')).toEqual(Float64Array.of(1, 2))
  })

  it('takes integers and truth values as numbers, and arrays that start within a buffer', () => {
    expect(toFloat32({ dtype: 'I64', shape: [2], data: BigInt64Array.of(-5n, 2n ** 60n) })).toEqual(Float32Array.of(-5, 2 ** 60))
    expect(toFloat32({ dtype: 'I16', shape: [1], data: Int16Array.of(-300) })).toEqual(Float32Array.of(-300))
    expect(toFloat32({ dtype: 'BOOL', shape: [2], data: Uint8Array.of(0, 1) })).toEqual(Float32Array.of(0, 1))
    expect(fromFloat32(Float32Array.of(9, 1).subarray(1), 'F16')).toEqual(Uint16Array.of(0x3c00))
    expect(toFloat32({ dtype: 'BF16', shape: [1], data: Uint16Array.of(9, 0x3f80).subarray(1) })).toEqual(Float32Array.of(1))
  })
})
