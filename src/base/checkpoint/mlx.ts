// Weights that MLX has quantised, in files: `<module>.weight` of U32, with `.scales` and `.biases` for each group of a row. How many bits a code
// has, and how many numbers a group, is in config.json alone.

import { CheckpointError, shown } from '../../errors.ts'
import type { AffineNumbers } from '../engine/affine-codes.ts'
import { toFloat32 } from './dtype.ts'
import { finite, type PackedEntry } from './packed-entry.ts'
import type { SafetensorsFile, TensorToWrite } from './safetensors.ts'

type Json = Readonly<Record<string, unknown>>

interface Settings {
  readonly bits: 4 | 8
  readonly groupSize: number
}

/** What config.json of a model says that MLX has quantised; undefined where it has not. Settings of modules by their paths are among it. */
export function mlxSettings({ quantization, quantization_config: config }: Json): Json | undefined {
  const settings = quantization ?? config
  return typeof settings === 'object' && settings !== null && 'bits' in settings && 'group_size' in settings && !('quant_method' in settings) ? settings : undefined
}

/** What there is in settings that is not read; undefined where they are. */
export function mlxProblem(settings: Json): string | undefined {
  const all = [settings, ...Object.values(settings).filter((value): value is Json => typeof value === 'object' && value !== null)]
  const other = all.find((each) => settingsOf(each) === undefined)
  if (other === undefined) return undefined
  const { mode = 'affine', bits, group_size: size } = other
  return `mode ${shown(mode)}, bits ${shown(bits)}, group_size ${shown(size)}; of MLX's, affine codes of 4 or 8 bits in groups of 32, 64 or 128 are read`
}

function settingsOf({ mode = 'affine', bits, group_size: size }: Json): Settings | undefined {
  return mode === 'affine' && (bits === 4 || bits === 8) && (size === 32 || size === 64 || size === 128) ? { bits, groupSize: size } : undefined
}

/** Whether a file has such weights. */
export function hasMlx({ entries }: SafetensorsFile): boolean {
  return [...entries].some(([key, { dtype }]) => dtype === 'U32' && key.endsWith('.weight'))
}

/** @param of what config.json says of all, and by path of some modules @throws CheckpointError with all that is not as MLX writes it */
export function mlxEntries(file: SafetensorsFile, of: Json): Map<string, PackedEntry> {
  const found = new Map<string, PackedEntry>()
  const problems: string[] = []
  for (const [key, { dtype }] of file.entries) {
    if (dtype !== 'U32' || !key.endsWith('.weight')) continue
    const module = key.slice(0, -'.weight'.length)
    const own = of[module]
    const settings = settingsOf(typeof own === 'object' && own !== null ? own as Json : of)
    const entry = settings === undefined ? `${key}: expected bits and a group_size for it in config.json, got ${shown(own ?? of)}` : entryOf(file, module, settings)
    if (typeof entry === 'string') problems.push(entry)
    else found.set(key, entry)
  }
  if (problems.length > 0) throw new CheckpointError(`${file.path}: quantised weights that cannot be read:`, problems)
  return found
}

/** The entry, or what is wrong with it. */
function entryOf(file: SafetensorsFile, module: string, { bits, groupSize }: Settings): PackedEntry | string {
  const keys = [`${module}.weight`, `${module}.scales`, `${module}.biases`] as const
  const [weight, scales, biases] = keys
  const packed = file.entries.get(weight)?.shape ?? []
  const shape = [...packed.slice(0, -1), (packed.at(-1) ?? 0) * 32 / bits]
  const groups = [...packed.slice(0, -1), (shape.at(-1) ?? 0) / groupSize]
  for (const key of [scales, biases]) {
    const entry = file.entries.get(key)
    if (entry === undefined || !['F32', 'F16', 'BF16'].includes(entry.dtype) || entry.shape.join() !== groups.join()) {
      return `${key}: expected floats [${groups.join(', ')}] beside codes of ${bits} bits in groups of ${groupSize}, the file has ${entry === undefined ? 'none' : `${entry.dtype} [${entry.shape.join(', ')}]`}`
    }
  }
  const read = async (): Promise<AffineNumbers> => ({
    format: 'affine', shape, bits, groupSize, codes: (await file.read(weight)).data as Uint32Array,
    scales: finite(scales, toFloat32(await file.read(scales))), offsets: finite(biases, toFloat32(await file.read(biases))),
  })
  return { format: 'affine', shape, keys, read }
}

/** As MLX writes it. @param name of the weight, which ends in `.weight` */
export function mlxToWrite(name: string, { shape, bits, codes, groupSize, scales, offsets }: AffineNumbers): TensorToWrite[] {
  const [module, rows, width] = [name.replace(/\.weight$/, ''), shape.slice(0, -1), shape.at(-1) ?? 0]
  return [
    { name, dtype: 'U32', shape: [...rows, width * bits / 32], data: codes },
    { name: `${module}.scales`, dtype: 'F32', shape: [...rows, width / groupSize], data: scales },
    { name: `${module}.biases`, dtype: 'F32', shape: [...rows, width / groupSize], data: offsets },
  ]
}

/** What config.json says of a model with such weights, by name: under both names, as MLX writes it. */
export function mlxConfig(weights: readonly (readonly [name: string, numbers: AffineNumbers])[]): Json {
  const of = ({ bits, groupSize }: AffineNumbers): Json => ({ group_size: groupSize, bits, mode: 'affine' })
  const [[, first] = [undefined, undefined]] = weights
  if (first === undefined) return {}
  const others = weights.filter(([, { bits, groupSize }]) => bits !== first.bits || groupSize !== first.groupSize)
  const quantization = { ...of(first), ...Object.fromEntries(others.map(([name, numbers]) => [name.replace(/\.weight$/, ''), of(numbers)])) }
  return { quantization, quantization_config: quantization }
}
