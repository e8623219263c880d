// Weights that bitsandbytes has quantised, in files: NF4, its scales quantised too or not, and LLM.int8.

import { CheckpointError, shown } from '../../errors.ts'
import type { Int8Numbers } from '../engine/int8-codes.ts'
import type { NestedScales } from '../engine/nested-scales.ts'
import { NF4_CODES, type Nf4Numbers } from '../engine/nf4-codes.ts'
import { bytesOf, toFloat32, type TensorData } from './dtype.ts'
import { finite, type PackedEntry } from './packed-entry.ts'
import type { SafetensorsFile, TensorToWrite } from './safetensors.ts'

type Numbers = Nf4Numbers | Int8Numbers

const STATE = '.quant_state.bitsandbytes__'

/**
 * The quantised weights of a file, by the key of each.
 *
 * @throws CheckpointError with all that is not as bitsandbytes writes it
 */
export async function packedEntries(file: SafetensorsFile): Promise<Map<string, PackedEntry>> {
  const found = new Map<string, PackedEntry>()
  const problems: string[] = []
  for (const [key, { dtype, shape }] of file.entries) {
    const [weight = '', type = ''] = key.split(STATE)
    const module = key.replace(/\.SCB$/, '')
    try {
      if (key.includes(STATE)) found.set(weight, await nf4Entry(file, weight, key, type))
      else if (module !== key) found.set(`${module}.weight`, int8Entry(file, module))
      else if (dtype === 'I8' && key.endsWith('.weight') && !file.entries.has(key.replace(/weight$/, 'SCB'))) {
        throw new CheckpointError(`${key}: expected its scales in ${key.replace(/weight$/, 'SCB')} beside a weight of I8 [${shape.join(', ')}]`)
      }
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error
      problems.push(error.message)
    }
  }
  if (problems.length > 0) throw new CheckpointError(`${file.path}: quantised weights that cannot be read:`, problems)
  return found
}

async function nf4Entry(file: SafetensorsFile, weight: string, stateKey: string, type: string): Promise<PackedEntry> {
  const state = await stateOf(file, stateKey)
  const { shape, blocksize, quant_type: quantType = type, nested_blocksize: nestedSize, nested_offset: offset } = state
  if (quantType !== 'nf4') throw new CheckpointError(`${weight}: expected quant_type nf4, got ${shown(quantType)}. Quantise the model it was made from again: loadModel(…, { dtype: 'nf4' })`)
  if (!isShape(shape) || !isCount(blocksize)) throw new CheckpointError(`${stateKey}: expected a shape and a blocksize, got ${shown(shape)} and ${shown(blocksize)}`)
  const size = shape.reduce((product, n) => product * n, 1)
  const nested = file.entries.has(`${weight}.nested_absmax`)
  const blocks = Math.ceil(size / blocksize)
  if (nested && !(isCount(nestedSize) && typeof offset === 'number' && Number.isFinite(offset))) throw new CheckpointError(`${stateKey}: expected a nested_blocksize and a finite nested_offset, got ${shown(nestedSize)} and ${shown(offset)}`)
  const keys = [weight, stateKey, ...['absmax', 'quant_map', ...(nested ? ['nested_absmax', 'nested_quant_map'] : [])].map((part) => `${weight}.${part}`)]
  const missing = keys.filter((key) => !file.entries.has(key))
  if (missing.length > 0) throw new CheckpointError(`${weight}: expected ${missing.join(', ')} beside it`)
  const bytes = file.entries.get(weight)?.byteLength ?? 0
  if (bytes !== Math.ceil(size / 2)) throw new CheckpointError(`${weight}: expected ${Math.ceil(size / 2)} bytes of codes for [${shape.join(', ')}], the file has ${bytes}`)
  expectTensor(file, `${weight}.absmax`, nested ? 'U8' : 'F32', blocks)
  expectTensor(file, `${weight}.quant_map`, 'F32', 16)
  if (nested) {
    expectTensor(file, `${weight}.nested_absmax`, 'F32', Math.ceil(blocks / (nestedSize as number)))
    expectTensor(file, `${weight}.nested_quant_map`, 'F32', 256)
  }
  const read = async (): Promise<Nf4Numbers> => {
    const part = (name: string): Promise<TensorData> => file.read(`${weight}.${name}`)
    const book = toFloat32(await part('quant_map'))
    if (book.some((value, i) => value !== NF4_CODES[i])) throw new CheckpointError(`${weight}.quant_map: expected the 16 numbers of NF4, got ${Array.from(book).join(', ')}`)
    const codes = bytesOf((await file.read(weight)).data)
    const absmax = (await part('absmax')).data
    if (!nested) {
      checkScales(`${weight}.absmax`, absmax as Float32Array, (block) => isZero(codes.subarray(block * blocksize / 2, (block + 1) * blocksize / 2)))
      return { format: 'nf4', shape, codes, blockSize: blocksize, scales: absmax as Float32Array }
    }
    const scales: NestedScales = {
      codes: absmax as Uint8Array, scales: finite(`${weight}.nested_absmax`, toFloat32(await part('nested_absmax'))),
      map: finite(`${weight}.nested_quant_map`, toFloat32(await part('nested_quant_map'))), blockSize: nestedSize as number, offset: Math.fround(offset as number),
    }
    return { format: 'nf4', shape, codes, blockSize: blocksize, scales }
  }
  return { format: 'nf4', shape, keys, read }
}

async function stateOf(file: SafetensorsFile, key: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    const state: unknown = JSON.parse(Buffer.from(bytesOf((await file.read(key)).data)).toString('utf8'))
    if (typeof state === 'object' && state !== null && !Array.isArray(state)) return state as Readonly<Record<string, unknown>>
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause
  }
  throw new CheckpointError(`${key}: expected a JSON object as bytes`)
}

function int8Entry(file: SafetensorsFile, module: string): PackedEntry {
  const [weight, scb, format] = [`${module}.weight`, `${module}.SCB`, `${module}.weight_format`]
  const { dtype, shape } = file.entries.get(weight) ?? { dtype: 'nothing', shape: [] }
  if (dtype !== 'I8') throw new CheckpointError(`${scb}: expected ${weight} of I8 beside it, got ${dtype}`)
  expectTensor(file, scb, 'F32', shape.length === 0 ? 1 : shape.slice(0, -1).reduce((product, n) => product * n, 1))
  const read = async (): Promise<Int8Numbers> => {
    const order = file.entries.has(format) ? toFloat32(await file.read(format))[0] : 0
    if (order !== 0) throw new CheckpointError(`${format}: expected 0, rows one behind the other, got ${order}`)
    const [codes, scales, width] = [(await file.read(weight)).data as Int8Array, toFloat32(await file.read(scb)), shape.at(-1) ?? 1]
    checkScales(scb, scales, (row) => codes.subarray(row * width, (row + 1) * width).every((code) => code === 0))
    return { format: 'int8', shape, codes, scales }
  }
  return { format: 'int8', shape, keys: [weight, scb, ...(file.entries.has(format) ? [format] : [])], read }
}

function expectTensor(file: SafetensorsFile, key: string, dtype: string, count: number): void {
  const entry = file.entries.get(key)
  const size = entry?.shape.reduce((product, n) => product * n, 1)
  if (entry?.dtype === dtype && size === count) return
  throw new CheckpointError(`${key}: expected ${dtype} of ${count} numbers, the file has ${entry === undefined ? 'none' : `${entry.dtype} [${entry.shape.join(', ')}]`}`)
}

/** @param isEmpty whether all numbers that share a scale are zeros, which have none */
function checkScales(key: string, scales: Float32Array, isEmpty: (i: number) => boolean): void {
  const bad = finite(key, scales).findIndex((scale, i) => scale < 0 || (scale === 0 && !isEmpty(i)))
  if (bad >= 0) throw new CheckpointError(`${key}: expected scales above 0, number ${bad} is ${scales[bad]} and its codes are not those of zeros; the file is damaged`)
}

/** Whether bytes of NF4 are zeros, two in each. */
function isZero(codes: Uint8Array): boolean {
  return codes.every((pair) => pair === 0x77)
}

function isShape(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.length > 0 && value.every((n) => Number.isSafeInteger(n) && n >= 0)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0
}

/**
 * What config.json says of a model with such weights; undefined where it has none.
 *
 * @param wide modules whose weights are not quantised
 */
export function quantizationConfig(weights: readonly Numbers[], wide: readonly string[]): Readonly<Record<string, unknown>> | undefined {
  const [first] = weights
  if (first === undefined) return undefined
  const four = first.format === 'nf4'
  return {
    quant_method: 'bitsandbytes', load_in_4bit: four, load_in_8bit: !four,
    ...(four ? { bnb_4bit_quant_type: 'nf4', bnb_4bit_use_double_quant: !(first.scales instanceof Float32Array), bnb_4bit_compute_dtype: 'float32', bnb_4bit_quant_storage: 'uint8' } : {}),
    llm_int8_skip_modules: wide,
  }
}

/** As bitsandbytes writes it. @param name of the weight, which ends in `.weight` */
export function packedToWrite(name: string, numbers: Numbers): TensorToWrite[] {
  if (numbers.format === 'int8') {
    const module = name.replace(/\.weight$/, '')
    return [
      { name, dtype: 'I8', shape: numbers.shape, data: numbers.codes },
      { name: `${module}.SCB`, dtype: 'F32', shape: [numbers.scales.length], data: numbers.scales },
      { name: `${module}.weight_format`, dtype: 'U8', shape: [], data: Uint8Array.of(0) },
    ]
  }
  const { shape, codes, scales } = numbers
  const nested = scales instanceof Float32Array ? undefined : scales
  const state = {
    quant_type: 'nf4', blocksize: numbers.blockSize, dtype: 'float32', shape,
    ...(nested === undefined ? {} : { nested_blocksize: nested.blockSize, nested_dtype: 'float32', nested_offset: nested.offset }),
  }
  const bytes = Uint8Array.from(Buffer.from(JSON.stringify(state)))
  const floats = (part: string, data: Float32Array): TensorToWrite => ({ name: `${name}.${part}`, dtype: 'F32', shape: [data.length], data })
  return [
    { name, dtype: 'U8', shape: [codes.length, 1], data: codes },
    floats('quant_map', NF4_CODES),
    ...(scales instanceof Float32Array
      ? [floats('absmax', scales)]
      : [{ name: `${name}.absmax`, dtype: 'U8' as const, shape: [scales.codes.length], data: scales.codes }, floats('nested_absmax', scales.scales), floats('nested_quant_map', scales.map)]),
    { name: `${name}${STATE}nf4`, dtype: 'U8', shape: [bytes.length], data: bytes },
  ]
}
