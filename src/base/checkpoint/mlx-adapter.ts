// Adapters as mlx-lm keeps them: adapter_config.json and adapters.safetensors. A and B are turned, (in, rank) and (rank, out), all places have one
// rank and one scale, and what is added is scale · x A B.

import { join } from 'node:path'
import { CheckpointError, shown } from '../../errors.ts'
import type { NamedTensor, NamedTensors } from '../adapter/file-format.ts'
import { turned } from '../adapter/file-format.ts'
import { namesIn } from '../files/folder-save.ts'
import { readTensors, type AdapterFile } from './named-tensors.ts'

export const MLX_WEIGHTS = 'adapters.safetensors'

type Json = Readonly<Record<string, unknown>>

/** PEFT's names of their tensors, and whether those are turned there. */
const TENSORS: Readonly<Record<string, readonly [name: string, isTurned: boolean]>> = {
  lora_a: ['lora_A.weight', true], lora_b: ['lora_B.weight', true], m: ['lora_magnitude_vector', false],
}

/** Whether adapter_config.json is mlx-lm's. */
export function isMlxAdapter(json: Json): boolean {
  return json['peft_type'] === undefined && (json['lora_parameters'] !== undefined || json['fine_tune_type'] !== undefined)
}

/**
 * @param json what adapter_config.json holds
 * @returns the settings and tensors as PEFT would have them
 * @throws CheckpointError when the weights are missing or damaged, or it is no LoRA or DoRA of products
 */
export async function readMlxAdapter(folder: string, json: Json): Promise<AdapterFile> {
  const { fine_tune_type: type = 'lora', lora_parameters: parameters, model } = json
  const { rank, scale, dropout = 0 } = (typeof parameters === 'object' && parameters !== null ? parameters : {}) as Json
  const files = await namesIn(folder)
  const problems = [
    ...(type === 'lora' || type === 'dora' ? [] : [`fine_tune_type: expected lora or dora, got ${shown(type)}; mlx_lm.fuse makes a model of it, which loadModel reads`]),
    ...(Number.isSafeInteger(rank) ? [] : [`lora_parameters.rank: expected an integer, got ${shown(rank)}`]),
    ...(typeof scale === 'number' ? [] : [`lora_parameters.scale: expected a number, got ${shown(scale)}`]),
    ...(files.includes(MLX_WEIGHTS) ? [] : [`${MLX_WEIGHTS}: is not there`]),
  ]
  if (problems.length > 0) throw new CheckpointError(`${folder}: this adapter of mlx-lm cannot be read:`, problems)
  const weights = join(folder, MLX_WEIGHTS)
  const { tensors, metadata } = await readTensors(weights)
  const places = new Set([...tensors.keys()].map((key) => key.slice(0, key.lastIndexOf('.'))))
  return {
    config: {
      peft_type: 'LORA', task_type: 'CAUSAL_LM', base_model_name_or_path: typeof model === 'string' ? model : null,
      r: rank, lora_alpha: (scale as number) * (rank as number), lora_dropout: dropout, use_dora: type === 'dora', bias: 'none', target_modules: [...places],
    },
    tensors: new Map([...tensors].map(([key, tensor]) => asInPeft(weights, key, tensor))), weights, metadata,
  }
}

function asInPeft(file: string, key: string, tensor: NamedTensor): readonly [string, NamedTensor] {
  const end = key.lastIndexOf('.')
  const [place, own] = [key.slice(0, end), TENSORS[key.slice(end + 1)]]
  if (own === undefined || tensor.shape.length !== (own[1] ? 2 : 1)) {
    throw new CheckpointError(`${file}: ${key} [${tensor.shape.join(', ')}]: expected lora_a, lora_b or m of a product; mlx_lm.fuse folds other adapters into the model, which loadModel reads.`)
  }
  const [name, isTurned] = own
  return [`base_model.model.${place}.${name}`, isTurned ? turned(tensor) : tensor]
}

/** A pair of a place, as it is here: A (rank, in), B (out, rank). */
export interface MlxPair {
  readonly place: string
  readonly A: NamedTensor
  readonly B: NamedTensor
  readonly scale: number
}

/** The tensors of mlx-lm's file, and the one rank and scale of them: smaller pairs have zeros behind them, and another scale is a part of B. */
export function mlxTensors(pairs: readonly MlxPair[]): { readonly tensors: NamedTensors; readonly rank: number; readonly scale: number } {
  const rank = Math.max(...pairs.map(({ A }) => A.shape[0] ?? 0))
  const scale = pairs[0]?.scale ?? 1
  const named = pairs.flatMap(({ place, A, B, scale: own }) => {
    const [own_a, own_b] = [turned(A), turned({ ...B, values: own === scale ? B.values : B.values.map((value) => value * (own / scale)) })]
    return [[`${place}.lora_a`, wider(own_a, rank)], [`${place}.lora_b`, longer(own_b, rank)]] as const
  })
  return { tensors: new Map(named), rank, scale }
}

/** (in, r) to (in, rank) */
function wider({ shape: [rows = 0, columns = 0], values }: NamedTensor, rank: number): NamedTensor {
  const result = new Float32Array(rows * rank)
  for (let row = 0; row < rows; row++) result.set(values.subarray(row * columns, (row + 1) * columns), row * rank)
  return { shape: [rows, rank], values: result }
}

/** (r, out) to (rank, out) */
function longer({ shape: [, columns = 0], values }: NamedTensor, rank: number): NamedTensor {
  const result = new Float32Array(rank * columns)
  result.set(values)
  return { shape: [rank, columns], values: result }
}
