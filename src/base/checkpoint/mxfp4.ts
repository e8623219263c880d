// Weights in MXFP4: blocks of 32 numbers of four bits, each with a power of two as its scale. OCP Microscaling Formats 1.0, 2023;
// arXiv:2310.10537

import { CheckpointError } from '../../errors.ts'
import type { Checkpoint } from './checkpoint.ts'
import { allocate, fromFloat32, type TensorData } from './dtype.ts'
import type { TensorEntry } from './safetensors-header.ts'

/** Without the sign, which is the fourth bit. */
const NUMBERS = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
const PACKED = /_(?:blocks|scales)$/
const BYTES = 16 // of a block

/**
 * A checkpoint whose packed stacks, `<name>_blocks` (count, out, blocks, 16) with `<name>_scales` (count, out, blocks), are there as `<name>`
 * (count, out, in). Each is unpacked as it is read, into float32 or bfloat16, which both hold its numbers exactly.
 *
 * @throws CheckpointError with all blocks and scales that do not fit each other
 */
export function unpacked(checkpoint: Checkpoint): Checkpoint {
  const packed = [...checkpoint.entries.keys()].filter((name) => PACKED.test(name))
  const found = [...new Set(packed.map((name) => name.replace(PACKED, '')))].map((name) => stackOf(name, checkpoint))
  const problems = found.filter((stack) => typeof stack === 'string')
  if (problems.length > 0) throw new CheckpointError(`${checkpoint.path} does not hold its weights in MXFP4 as they are packed:`, problems)
  const stacks = new Map(found.filter((stack) => typeof stack !== 'string').map((stack) => [stack.name, stack]))
  return {
    ...checkpoint,
    entries: new Map([...[...checkpoint.entries].filter(([name]) => !PACKED.test(name)), ...stacks]),
    read: async (name, rounded = false) => {
      const stack = stacks.get(name)
      return stack === undefined ? await checkpoint.read(name, rounded) : await unpack(stack, checkpoint, rounded ? 'BF16' : 'F32')
    },
  }
}

/** The stack that the blocks and scales of this name are, or what is wrong with them. */
function stackOf(name: string, { entries }: Checkpoint): TensorEntry | string {
  const [blocks, scales] = [entries.get(`${name}_blocks`), entries.get(`${name}_scales`)]
  if (blocks === undefined || scales === undefined) return `${name}_${blocks === undefined ? 'blocks' : 'scales'} is missing beside ${name}_${blocks === undefined ? 'scales' : 'blocks'}`
  const { shape: [count = 0, rows = 0, groups = 0, bytes = 0] } = blocks
  const fits = blocks.shape.length === 4 && bytes === BYTES && scales.shape.join() === [count, rows, groups].join() && blocks.dtype === 'U8' && scales.dtype === 'U8'
  if (fits) return { name, dtype: 'BF16', shape: [count, rows, groups * 2 * BYTES], byteLength: count * rows * groups * 4 * BYTES, turned: true }
  return `${name}: expected blocks of U8 [count, out, blocks, ${BYTES}] and scales of U8 [count, out, blocks], the file has ${blocks.dtype} [${blocks.shape.join(', ')}] and ${scales.dtype} [${scales.shape.join(', ')}]`
}

async function unpack({ name, shape }: TensorEntry, checkpoint: Checkpoint, dtype: 'F32' | 'BF16'): Promise<TensorData> {
  const [{ data: blocks }, { data: scales }] = [await checkpoint.read(`${name}_blocks`), await checkpoint.read(`${name}_scales`)]
  const table = numbersOf(dtype)
  const data = allocate(dtype, 2 * blocks.length) as Float32Array | Uint16Array
  for (let i = 0; i < blocks.length; i++) {
    const [byte, scale] = [blocks[i] as number, scales[i >> 4] as number]
    data[2 * i] = table[16 * scale + (byte & 15)] as number
    data[2 * i + 1] = table[16 * scale + (byte >> 4)] as number
  }
  return { dtype, shape, data }
}

/** Every number with every scale, the scale's 16 side by side. */
function numbersOf(dtype: 'F32' | 'BF16'): Float32Array | Uint16Array {
  const values = Float32Array.from({ length: 256 * 16 }, (_, i) => {
    const [scale, bits] = [i >> 4, i & 15]
    return (NUMBERS[bits & 7] as number) * (bits < 8 ? 1 : -1) * 2 ** (scale - 127)
  })
  return fromFloat32(values, dtype) as Float32Array | Uint16Array
}

/** Whether a configuration says that its experts are packed so. */
export function isMxfp4({ model_type: type, quantization_config: settings }: Readonly<Record<string, unknown>>): boolean {
  return type === 'gpt_oss' && (settings as { readonly quant_method?: unknown } | null | undefined)?.quant_method === 'mxfp4'
}
