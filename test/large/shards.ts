import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ConfigJson } from '../../src/base/architecture.ts'
import { headOf, traceOf } from '../../src/base/checkpoint/load.ts'
import { architectureOf } from '../../src/base/models/auto.ts'
import { normal, randomStream } from '../../src/base/random.ts'
import { writeSafetensors, type TensorToWrite } from '../../src/base/checkpoint/safetensors.ts'

/** What was written, in numbers. */
export interface Size {
  readonly parameters: number
  /** Elements of the largest tensor. */
  readonly largest: number
  readonly files: number
}

const BLOCK = 2 ** 20

/** Writes a checkpoint of bfloat16 weights in shards of at most so many bytes, as save_pretrained does, one tensor in memory. */
export async function writeShards(folder: string, config: ConfigJson, most = 500e6): Promise<Size> {
  await mkdir(folder, { recursive: true })
  const architecture = architectureOf(config)
  const { specs } = traceOf(architecture, headOf(architecture, 'causal-lm', { labels: 0, pooling: 'pooler' }), 'causal-lm')
  const block = bfloat16(normal(randomStream(0, 'shards'), BLOCK, 0, 0.02))
  const shards: TensorToWrite[][] = [[]]
  let room = most
  let [parameters, largest] = [0, 0]
  for (const [name, { shape, init, transposed }] of specs) {
    const size = shape.reduce((product, n) => product * n, 1)
    if (2 * size > room) {
      shards.push([])
      room = most
    }
    room -= 2 * size
    parameters += size
    largest = Math.max(largest, size)
    const data = (): Uint16Array => (init === 'normal' ? repeated(block, size) : new Uint16Array(size).fill(init === 'ones' ? 0x3f80 : 0))
    shards.at(-1)?.push({ name, dtype: 'BF16', shape: transposed === true ? [...shape].reverse() : shape, data })
  }
  const file = (i: number): string => `model-${String(i + 1).padStart(5, '0')}-of-${String(shards.length).padStart(5, '0')}.safetensors`
  for (const [i, tensors] of shards.entries()) await writeSafetensors(join(folder, file(i)), tensors, { format: 'pt' })
  const weightMap = Object.fromEntries(shards.flatMap((tensors, i) => tensors.map(({ name }) => [name, file(i)])))
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: { total_size: 2 * parameters }, weight_map: weightMap }))
  await writeFile(join(folder, 'config.json'), JSON.stringify(config))
  return { parameters, largest, files: shards.length }
}

/** The upper half of each float's bits. */
function bfloat16(values: Float32Array): Uint16Array {
  return Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16)
}

function repeated(block: Uint16Array, size: number): Uint16Array {
  const values = new Uint16Array(size)
  for (let at = 0; at < size; at += block.length) values.set(block.subarray(0, Math.min(block.length, size - at)), at)
  return values
}
