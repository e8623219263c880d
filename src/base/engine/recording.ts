// What a pass does, as the runtime is told: which operations on which tensors. The pass runs as always meanwhile; its backend has another
// binding for that time, which notes each call down before it makes it.

import type { Tensor } from '@tensorflow/tfjs-core'
import { tensorflow, type Attribute, type TensorFlow } from './tensorflow.ts'

export type Numbers = Float32Array | Int32Array | Uint8Array

/** A tensor of the runtime. */
export interface Handle {
  readonly id: number
  readonly shape: readonly number[]
  /** As constants.ts has them. */
  readonly dtype: number
}

/** One operation of the runtime. */
export interface Operation {
  readonly name: string
  readonly attributes: readonly Attribute[]
  readonly inputs: readonly number[] // ids
  readonly outputs: readonly Handle[]
}

/** What is used of tfjs-node's backend besides `TensorFlow`. */
export interface RecordedBackend extends TensorFlow {
  binding: TensorFlow['binding'] & {
    readonly createTensor: (shape: readonly number[], dtype: number, values: Numbers) => number
    readonly deleteTensor: (id: number) => void
    readonly executeOp: (name: string, attributes: readonly Attribute[], ids: readonly number[], outputs: number) => readonly Handle[]
  }
  readonly tensorMap: { has(dataId: object): boolean; get(dataId: object): { readonly id: number; readonly dtype: number } }
  getInputTensorIds: (tensors: readonly Tensor[]) => number[]
  readSync: (dataId: object) => unknown
}

/** A tensor as a pass has used it. */
interface UsedTensor extends Omit<Handle, 'id'> {
  readonly dataId: object
}

/** Tensors by their ids. */
export type Used = ReadonlyMap<number, UsedTensor>

/** A pass as it was run. Tensors that it has freed are there until `end`. */
export class Recording {
  readonly operations: Operation[] = []
  /** Tensors that JavaScript has made of numbers, by their ids. */
  readonly numbers: Map<number, Handle & { readonly values: Numbers }> = new Map()
  readonly #seen = new Map<number, UsedTensor>()
  readonly #freed: number[] = []
  /** It looked at numbers, so that what it does may depend on them. */
  reads: boolean = false

  /** Runs a pass and notes it down. */
  run<T>(pass: () => T): T {
    const backend = recordedBackend()
    const { binding, getInputTensorIds, readSync: read } = backend
    backend.binding = Object.create(binding, {
      executeOp: { value: (...[name, attributes, ids, outputs]: Parameters<typeof binding.executeOp>) => this.#note(name, attributes, ids, binding.executeOp(name, attributes, ids, outputs)) },
      createTensor: { value: (shape: readonly number[], dtype: number, values: Numbers) => {
        const id = binding.createTensor(shape, dtype, values)
        this.numbers.set(id, { id, shape, dtype, values })
        return id
      } },
      deleteTensor: { value: (id: number) => { this.#freed.push(id) } },
    }) as typeof binding
    backend.getInputTensorIds = (tensors) => {
      const ids = getInputTensorIds.call(backend, tensors)
      ids.forEach((id, i) => {
        const { dataId, shape } = tensors[i] as Tensor
        this.#seen.set(id, { dataId, shape, dtype: backend.tensorMap.get(dataId).dtype })
      })
      return ids
    }
    const readAndNote: typeof read = (dataId) => {
      this.reads = true
      return read.call(backend, dataId)
    }
    Object.assign(backend, { readSync: readAndNote })
    try {
      return pass()
    } finally {
      Object.assign(backend, { binding, getInputTensorIds, readSync: read })
    }
  }

  /** What it has used and not made. */
  get used(): Used {
    const made = new Set([...this.numbers.keys(), ...this.operations.flatMap(({ outputs }) => outputs.map(({ id }) => id))])
    return new Map([...this.#seen].filter(([id]) => !made.has(id)))
  }

  /** Frees what the pass has freed. */
  end(): void {
    for (const id of this.#freed.splice(0)) recordedBackend().binding.deleteTensor(id)
  }

  #note(name: string, attributes: readonly Attribute[], inputs: readonly number[], outputs: readonly Handle[]): readonly Handle[] {
    this.operations.push({ name, attributes, inputs, outputs })
    return outputs
  }
}

/** The backend where the runtime is TensorFlow; call nothing of this file elsewhere. */
export function recordedBackend(): RecordedBackend {
  return tensorflow() as unknown as RecordedBackend
}

/** The runtime's tensor under one of tfjs's. */
export function idOf(tensor: Tensor): number {
  return recordedBackend().getInputTensorIds([tensor])[0] as number
}
