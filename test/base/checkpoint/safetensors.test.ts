/**
 * Against the reference implementation: golden/make_safetensors.py. The npm package `safetensors` 0.0.1 runs on Node
 * as an independent reader when it is given the whole file as an array of its own; it cannot read a file with
 * metadata (it looks for data_offsets in `__metadata__`), so it is shown files without.
 */
import { execFile } from 'node:child_process'
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CheckpointError, InputError } from '../../../src/errors.ts'
import { allocate, bytesOf, bytesPerElement, fromFloat32 } from '../../../src/base/checkpoint/dtype.ts'
import { openSafetensors, writeSafetensors } from '../../../src/base/checkpoint/safetensors.ts'
import type { Dtype, TensorArray, TensorData, TensorToWrite } from '../../../src/base/checkpoint/safetensors.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const inFolder = temporaryFolder()
const golden = 'test/golden/safetensors'
const dtypes: readonly Dtype[] = ['F64', 'F32', 'F16', 'BF16', 'I64', 'I32', 'I16', 'I8', 'U32', 'U8', 'BOOL']

async function readAll(path: string): Promise<Map<string, TensorData>> {
  const file = await openSafetensors(path)
  try {
    const tensors = new Map<string, TensorData>()
    for (const name of file.entries.keys()) tensors.set(name, await file.read(name))
    return tensors
  } finally {
    await file.close()
  }
}

/** A safetensors file from a header (text, or a value to be JSON) and the length of its data. */
function file(header: unknown, dataBytes = 0): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, Buffer.alloc(dataBytes)])
}

describe('reading', () => {
  it('gives every type of the reference implementation with its values', async () => {
    const tensors = await readAll(`${golden}/types.safetensors`)
    const values = (name: string): unknown[] => Array.from((tensors.get(name)?.data ?? []) as Iterable<unknown>)
    expect(values('f64')).toEqual([0.1, -0, Infinity, 1e-320])
    expect(values('f32')).toEqual([1.5, NaN, Math.fround(-1e-40)])
    expect(values('f16')).toEqual([0x3c00, 0x7bff, 0x0001])
    expect(values('bf16')).toEqual([0x7f62, 0xbf80])
    expect(values('i64')).toEqual([-(2n ** 63n), 2n ** 63n - 1n, 7n])
    expect(values('i32')).toEqual([-(2 ** 31), 2 ** 31 - 1])
    expect(values('i16')).toEqual([-32768, 32767])
    expect(values('i8')).toEqual([-128, 127, 3])
    expect(values('u8')).toEqual([0, 255, 4, 5, 6])
    expect(values('bool')).toEqual([1, 0, 1])
    expect(tensors.get('f64')?.shape).toEqual([2, 2])
    expect(tensors.get('scalar')).toEqual({ dtype: 'F32', shape: [], data: Float32Array.of(2.5) })
    expect(tensors.get('empty')).toEqual({ dtype: 'F32', shape: [0, 3], data: new Float32Array() })
    expect(values('é')).toEqual([2])
    expect(values('constructor')).toEqual([5])
    for (const { data } of tensors.values()) expect(data.buffer.byteLength).toBe(data.byteLength)
  })

  it('lists types it cannot read and names them only when they are read', async () => {
    const foreign = await openSafetensors(`${golden}/foreign.safetensors`)
    expect(foreign.entries.get('f8_e4m3')).toMatchObject({ dtype: 'F8_E4M3', shape: [2], byteLength: 2 })
    expect((await foreign.read('readable')).data).toEqual(Float32Array.of(1))
    await expect(foreign.read('u16')).rejects.toThrow(new CheckpointError(
      `${golden}/foreign.safetensors: tensor "u16" has dtype U16, which cannot be read. Convert it to F32, F16 or BF16 first.`))
    await foreign.close()
  })

  it('says when there is no such tensor, and when the file is closed', async () => {
    const types = await openSafetensors(`${golden}/types.safetensors`)
    expect(types.metadata['format']).toBe('pt')
    await expect(types.read('toString')).rejects.toThrow('types.safetensors has no tensor "toString"')
    await types.close()
    await types.close()
    await expect(types.read('f32')).rejects.toThrow('types.safetensors is closed: tensor "f32" cannot be read any more')
  })

  it('says when the file became shorter after it was opened', async () => {
    const path = inFolder('shrinks')
    await writeSafetensors(path, [{ name: 'a', dtype: 'F32', shape: [4], data: new Float32Array(4) }])
    const shrinking = await openSafetensors(path)
    await truncate(path, 70)
    await expect(shrinking.read('a')).rejects.toThrow(`${path} became shorter while it was read`)
    await shrinking.close()
  })
})

describe('a damaged or hostile file', () => {
  const f32 = (shape: unknown, begin: unknown, end: unknown): object => ({ dtype: 'F32', shape, data_offsets: [begin, end] })
  const tooLong = Buffer.alloc(16)
  tooLong.writeBigUInt64LE(2n ** 63n)
  const pastEnd = Buffer.alloc(16)
  pastEnd.writeBigUInt64LE(9n)

  it.each<[string, Buffer, string]>([
    ['is empty', Buffer.alloc(0), "expected 8 bytes with the header's length, the file has 0"],
    ['has a header over the limit', tooLong, "header length 9223372036854775808 is over the format's limit of 100000000 bytes"],
    ['has a header past its end', pastEnd, 'header length 9 runs past the end of the file (16 bytes)'],
    ['is not UTF-8', Buffer.concat([file('{"a":1}').subarray(0, 8), Buffer.from([0x7b, 0xff, 0x22, 0x3a, 0x31, 0x7d, 0x20])]), 'the header is not UTF-8'],
    ['is not JSON', file('{"a":}'), 'the header is not valid JSON: '],
    ['has a string without an end', file('{"a'), 'the header is not valid JSON: a string is not closed'],
    ['is no object', file('[1]'), 'the header is not a JSON object: expected { as its first byte'],
    ['starts with a space', file(' {}'), 'the header is not a JSON object: expected { as its first byte'],
    ['is nested deeply', file(`{"a":${'['.repeat(1_000_000)}`), 'the header is not valid JSON: nested more than 3 levels deep'],
    ['names a tensor twice', file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4), 'the name "a" is given twice'],
    ['names a field twice', file('{"a":{"dtype":"F32","dtype":"I32","shape":[1],"data_offsets":[0,4]}}', 4), 'the name "dtype" is given twice'],
    ['names a tensor __proto__', file('{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4), '"__proto__" is not accepted as a name'],
    ['names metadata __proto__', file('{"__metadata__":{"__proto__":"x"}}'), '"__proto__" is not accepted as a name'],
    ['has metadata that is no object', file({ __metadata__: ['pt'] }), '__metadata__: expected an object of strings'],
    ['has metadata that is no string', file({ __metadata__: { n: 1 } }), '__metadata__: "n": expected a string, got 1'],
    ['has an entry that is no object', file({ a: 3 }), 'tensor "a": expected an object, got 3'],
    ['has an unknown dtype', file({ a: { dtype: 'F7', shape: [], data_offsets: [0, 4] } }, 4), 'tensor "a": unknown dtype "F7": expected one of F64, '],
    ['has a dtype from a prototype', file({ a: { dtype: 'constructor', shape: [], data_offsets: [0, 4] } }, 4), 'tensor "a": unknown dtype "constructor"'],
    ['has no dtype', file({ a: {} }), 'tensor "a": unknown dtype nothing'],
    ['has a negative size', file({ a: f32([-1], 0, 4) }, 4), 'tensor "a": shape: expected a list of integers from 0 to 2^53, got [-1]'],
    ['has a minus zero', file('{"a":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}'), 'tensor "a": shape: expected a list of integers'],
    ['has a fractional size', file({ a: f32([1.5], 0, 4) }, 4), 'got [1.5]'],
    ['has a huge size', file({ a: f32([2 ** 60], 0, 4) }, 4), 'got [1152921504606847000]'],
    ['has a shape that overflows', file({ a: f32([2 ** 40, 2 ** 40], 0, 4) }, 4), 'tensor "a": shape [1099511627776, 1099511627776] is too large to count'],
    ['has a shape that is no list', file({ a: f32('4', 0, 4) }, 4), 'tensor "a": shape: expected a list'],
    ['has three offsets', file({ a: { dtype: 'F32', shape: [1], data_offsets: [0, 4, 8] } }, 4), 'tensor "a": data_offsets: expected [begin, end] in bytes, got [0,4,8]'],
    ['has text as offsets', file({ a: f32([1], '0', '4') }, 4), 'data_offsets: expected [begin, end] in bytes, got ["0","4"]'],
    ['ends before it begins', file({ a: f32([1], 4, 0) }, 4), 'tensor "a": data_offsets: begin 4 lies after end 0'],
    ['has a span that is not its size', file({ a: f32([2], 0, 4) }, 4), 'tensor "a": F32 of shape [2] takes 8 bytes, but data_offsets [0, 4] span 4'],
    ['has tensors that overlap', file({ a: f32([2], 0, 8), b: f32([2], 4, 12) }, 12), 'tensor "b": begins at byte 4 and overlaps another tensor: expected 8'],
    ['has an empty tensor inside another', file({ a: f32([2], 0, 8), b: f32([0], 4, 4) }, 8), 'tensor "b": begins at byte 4 and overlaps another tensor: expected 8'],
    ['has a hole', file({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12), 'tensor "b": begins at byte 8 and leaves a hole before it: expected 4'],
    ['is truncated', file({ a: f32([100], 0, 400) }, 399), 'the file is truncated: its tensors take 400 bytes, 399 are there. Download it again.'],
    ['has trailing bytes', file({ a: f32([1], 0, 4) }, 6), '2 bytes after the last tensor belong to none'],
  ])('%s: is refused with the reason', async (_what, content, reason) => {
    const path = inFolder('hostile.safetensors')
    await writeFile(path, content)
    const error = await openSafetensors(path).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(CheckpointError)
    expect((error as CheckpointError).message).toContain(`${path} is not a valid safetensors file\n  - `)
    expect((error as CheckpointError).message).toContain(reason)
  })

  it('is reported with all findings at once, up to twenty', async () => {
    const path = inFolder('many.safetensors')
    await writeFile(path, file(Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`t${i}`, i]))))
    const error = (await openSafetensors(path).catch((thrown: unknown) => thrown)) as CheckpointError
    expect(error.problems).toHaveLength(20)
    expect(error.problems[1]).toBe('tensor "t1": expected an object, got 1')
  })

  it('is reported when it is a folder or not there', async () => {
    await expect(openSafetensors(inFolder())).rejects.toThrow(`${inFolder()}: expected a safetensors file, got a folder`)
    await expect(openSafetensors(inFolder('none'))).rejects.toThrow(`${inFolder('none')} cannot be opened: ENOENT`)
    await expect(openSafetensors('/dev/null')).rejects.toThrow('/dev/null: expected a safetensors file, got something that is no file')
  })
})

describe('writing', () => {
  it('gives the bytes of the reference implementation', async () => {
    const tensors = await readAll(`${golden}/types.safetensors`)
    const path = inFolder('types.safetensors')
    await writeSafetensors(path, [...tensors].reverse().map(([name, tensor]) => ({ name, ...tensor })), { format: 'pt' })
    expect(await readFile(path)).toEqual(await readFile(`${golden}/types.safetensors`))
  })

  it('asks for one tensor at a time, in the order of the file', async () => {
    const asked: string[] = []
    const later = (name: string): TensorToWrite => ({
      name, dtype: 'F32', shape: [1], data: () => {
        asked.push(name)
        return Promise.resolve(Float32Array.of(asked.length))
      },
    })
    await writeSafetensors(inFolder('later'), [later('b'), later('c'), later('a')])
    expect(asked).toEqual(['a', 'b', 'c'])
    expect((await readAll(inFolder('later'))).get('b')?.data).toEqual(Float32Array.of(2))
  })

  it('lists all that does not fit and writes nothing', async () => {
    const path = inFolder('refused')
    const error = (await writeSafetensors(path, [
      { name: 'a', dtype: 'F32', shape: [2], data: new Float32Array(3) },
      { name: 'a', dtype: 'F16', shape: [1], data: new Float32Array(1) },
      { name: '__metadata__', dtype: 'F32', shape: [0], data: new Float32Array() },
      { name: 'b', dtype: 'F32', shape: [-1], data: new Float32Array() },
      { name: 'c', dtype: 'U16' as Dtype, shape: [0], data: new Uint16Array() },
      { name: '\ud800', dtype: 'F32', shape: [0], data: new Float32Array() },
    ], { key: '\udfff' }).catch((thrown: unknown) => thrown)) as InputError
    expect(error).toBeInstanceOf(InputError)
    expect([...error.problems].sort()).toEqual([
      'a tensor cannot be named __metadata__',
      'metadata "key": expected well-formed text',
      'tensor "\\ud800": the name is not well-formed Unicode',
      'tensor "a" is given twice',
      'tensor "a": expected 1 values in the array for F16, got a Float32Array of 1',
      'tensor "a": expected 2 values in the array for F32, got a Float32Array of 3',
      'tensor "b": expected a shape of integers from 0, got [-1]',
      'tensor "c": expected a dtype of I64, F64, F32, U32, I32, BF16, F16, I16, I8, U8, BOOL, got U16',
    ])
    expect(await readdir(inFolder())).not.toContain('refused')
  })

  it('keeps the old file and leaves no temporary one when a tensor fails on the way', async () => {
    const path = inFolder('kept')
    await writeSafetensors(path, [{ name: 'old', dtype: 'F32', shape: [1], data: Float32Array.of(1) }])
    const good: TensorToWrite = { name: 'a', dtype: 'F32', shape: [1], data: Float32Array.of(1) }
    await expect(writeSafetensors(path, [good, { name: 'b', dtype: 'F32', shape: [1], data: () => Promise.reject(new Error('no memory')) }]))
      .rejects.toThrow('no memory')
    await expect(writeSafetensors(path, [good, { name: 'b', dtype: 'F32', shape: [1], data: () => new Float32Array(2) }]))
      .rejects.toThrow('tensor "b": expected 1 values in the array for F32, got a Float32Array of 2')
    expect([...(await readAll(path)).keys()]).toEqual(['old'])
    expect((await readdir(inFolder())).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })

  it('is readable by the npm package safetensors', async () => {
    const { SafeTensor } = createRequire(import.meta.url)('safetensors') as {
      SafeTensor: new (file: Uint8Array) => { getTensor: (name: string) => Uint8Array; metadata: Map<string, { dtype: string; shape: number[] }> }
    }
    const tensors = await readAll(`${golden}/types.safetensors`)
    const path = inFolder('npm')
    await writeSafetensors(path, Array.from(tensors, ([name, tensor]) => ({ name, ...tensor })))
    const theirs = new SafeTensor(Uint8Array.from(await readFile(path)))
    expect([...theirs.metadata.keys()].sort()).toEqual([...tensors.keys()].sort())
    for (const [name, { dtype, shape, data }] of tensors) {
      expect(theirs.metadata.get(name)).toMatchObject({ dtype, shape })
      expect(theirs.getTensor(name)).toEqual(bytesOf(data))
    }
  })
})

describe('any set of tensors', () => {
  const name = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => text !== '__proto__' && text !== '__metadata__')
  const tensor = fc.tuple(name, fc.constantFrom(...dtypes), fc.array(fc.nat(4), { maxLength: 3 }), fc.infiniteStream(fc.nat(255)))
    .map(([name, dtype, shape, bytes]) => {
      const data = allocate(dtype, shape.reduce((product, size) => product * size, 1))
      const raw = bytesOf(data)
      for (let i = 0; i < raw.length; i++) raw[i] = bytes.next().value as number
      return { name, dtype, shape, data }
    })
  const tensorSet = fc.uniqueArray(tensor, { selector: (each) => each.name, maxLength: 6 })
  const metadata = fc.dictionary(name, fc.string({ unit: 'grapheme' }), { maxKeys: 3 })
  const raw = (data: TensorArray): Buffer => Buffer.from(bytesOf(data))

  it('comes back as it was written', async () => {
    const path = inFolder('any')
    await fc.assert(fc.asyncProperty(tensorSet, metadata, async (tensors, texts) => {
      await writeSafetensors(path, tensors, texts)
      const file = await openSafetensors(path)
      expect({ ...file.metadata }).toEqual({ ...texts })
      await file.close()
      const again = await readAll(path)
      expect(again.size).toBe(tensors.length)
      for (const { name, dtype, shape, data } of tensors) {
        const read = again.get(name)
        expect([read?.dtype, read?.shape, raw(read?.data ?? data)]).toEqual([dtype, shape, raw(data)])
      }
    }), { numRuns: 150 })
  })

  it('damaged anywhere is refused with a CheckpointError or gives tensors that lie within the file', async () => {
    const path = inFolder('damaged')
    const damage = fc.oneof(
      fc.record({ at: fc.nat(), byte: fc.nat(255) }),
      fc.record({ at: fc.nat(), text: fc.constantFrom('0', '9', '-', '.', 'e', '"', '[', ']', '{', '}', ',', ':', '\\', ' ', '99999999999') }),
      fc.record({ cut: fc.nat() }),
      fc.record({ tail: fc.uint8Array({ maxLength: 9 }) }),
    )
    await fc.assert(fc.asyncProperty(tensorSet, fc.array(damage, { minLength: 1, maxLength: 3 }), async (tensors, damages) => {
      await writeSafetensors(path, tensors, { format: 'pt' })
      let bytes: Buffer = await readFile(path)
      for (const hit of damages) {
        if ('byte' in hit) bytes[hit.at % bytes.length] = hit.byte
        else if ('text' in hit) bytes = Buffer.concat([bytes.subarray(0, hit.at % bytes.length), Buffer.from(hit.text), bytes.subarray(hit.at % bytes.length + 1)])
        else if ('cut' in hit) bytes = bytes.subarray(0, 1 + hit.cut % bytes.length)
        else bytes = Buffer.concat([bytes, hit.tail])
      }
      await writeFile(path, bytes)
      try {
        let total = 0
        for (const { dtype, shape, data } of (await readAll(path)).values()) {
          expect(data.length).toBe(shape.reduce((product, size) => product * size, 1))
          total += data.length * bytesPerElement(dtype)
        }
        expect(total).toBeLessThanOrEqual(bytes.length)
      } catch (error) {
        if (!(error instanceof CheckpointError)) throw error
      }
    }), { numRuns: 400 })
  })
})

it('reads F32 as BF16 where asked to, rounded as a whole tensor is, and anything else as it is', async () => {
  const path = inFolder('rounded')
  const large = Float32Array.from({ length: 2 ** 20 + 3 }, (_, i) => (i % 2 === 0 ? -1 : 1) * 1.0001 ** (i % 90_000)) // more than a piece
  await writeSafetensors(path, [
    { name: 'large', dtype: 'F32', shape: [large.length], data: large },
    { name: 'empty', dtype: 'F32', shape: [0], data: new Float32Array(0) },
    { name: 'whole', dtype: 'I32', shape: [2], data: Int32Array.of(1, 2) },
  ])
  const opened = await openSafetensors(path)
  expect(await opened.read('large', true)).toEqual({ dtype: 'BF16', shape: [large.length], data: fromFloat32(large, 'BF16') })
  expect(await opened.read('empty', true)).toEqual({ dtype: 'BF16', shape: [0], data: new Uint16Array(0) })
  expect(await opened.read('whole', true)).toEqual(await opened.read('whole'))
  await opened.close()
})

it('reads a tensor that comes in several parts', async () => {
  const path = inFolder('parts')
  const bytes = Uint8Array.from({ length: 5 * 2 ** 20 + 7 }, (_, i) => i ^ (i >> 8) ^ (i >> 16)) // no part is like another
  await writeSafetensors(path, [{ name: 'bytes', dtype: 'U8', shape: [bytes.length], data: bytes }])
  const opened = await openSafetensors(path)
  const { data } = await opened.read('bytes')
  expect(Buffer.compare(data as Uint8Array, bytes)).toBe(0)
  await opened.close()
})

describe('memory', () => {
  /** Peak memory of a process that runs `code`, in MB. */
  async function peak(code: string): Promise<number> {
    const program = `import { openSafetensors, writeSafetensors } from './src/base/checkpoint/safetensors.ts'
      ${code}
      console.log(process.resourceUsage().maxRSS / 1024)`
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program])
    return Number(stdout)
  }

  it('of reading is the tensors, and of writing one tensor', async () => {
    const path = JSON.stringify(inFolder('large'))
    const idle = Math.min(await peak(''), await peak(''), await peak('')) // the start alone varies by 15 MB
    const writing = await peak(`
      await writeSafetensors(${path}, Array.from({ length: 10 }, (_, i) =>
        ({ name: 't' + i, dtype: 'F32', shape: [7864320], data: () => new Float32Array(7864320).fill(i) })))`) // 30 MB each
    const reading = await peak(`
      const file = await openSafetensors(${path})
      const kept = []
      for (const name of file.entries.keys()) kept.push(await file.read(name))`)
    expect(reading - idle).toBeGreaterThan(290)
    expect(reading - idle).toBeLessThan(300 + 30 + 15) // the tensors, one more, and 15 MB for the run itself
    const rounding = await peak(`
      const file = await openSafetensors(${path})
      const kept = []
      for (const name of file.entries.keys()) kept.push(await file.read(name, true))`)
    expect(rounding - idle).toBeLessThan(150 + 30 + 15) // half as much, pieces, and the run itself
    expect(writing - idle).toBeLessThan(300) // freed only when the collector runs, but never the whole
  })

  it('of a header with hundreds of thousands of tensors is a few times its size', async () => {
    const entries = Array.from({ length: 300_000 }, (_, i) => `"model.layers.${i}.self_attn.q_proj.weight":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`)
    const json = Buffer.from(`{${entries.join()}}`)
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(json.length))
    await writeFile(inFolder('header'), Buffer.concat([length, json]))
    const reading = await peak(`await openSafetensors(${JSON.stringify(inFolder('header'))})`)
    expect(reading - await peak('')).toBeLessThan(7 * json.length / 2 ** 20) // a parser of the whole takes more than 8 times
  })
})
