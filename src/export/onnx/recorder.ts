// A backend of tfjs that computes nothing: it notes which kernels are called with what, and of which shape what they give is.
//
// What runs on it are the models' own forward passes. Operations that ONNX has as one are one kernel for it; others run in their composed form.

import * as tf from '@tensorflow/tfjs-core'
import type { DataType, Tensor } from '@tensorflow/tfjs-core'
import { InputError } from '../../errors.ts'
import { ELEMENTWISE } from './elementwise.ts'
import { OTHER_WAY, type Form, type Info, type Settings } from './form.ts'
import { PRODUCTS } from './products.ts'
import { SHAPING } from './shaping.ts'
import { WHOLE_FORMS } from './whole.ts'

/** Kernels of tfjs, and of this library, that have a form in ONNX. */
export const FORMS: Readonly<Record<string, Form>> = { ...ELEMENTWISE, ...SHAPING, ...PRODUCTS, ...WHOLE_FORMS }

/** Those that give a list, be it of one. */
const GIVE_LISTS: readonly string[] = ['SplitV', 'Unpack', 'TopK']

export type Numbers = Float32Array | Int32Array | Uint8Array

/** What one value is made by. */
export interface Step {
  /** A kernel of `FORMS`; or numbers that JavaScript has made, an input of the graph, a tensor from elsewhere: a weight. */
  readonly kind: 'kernel' | 'numbers' | 'input' | 'weight'
  /** The name of the kernel, of the input, of the weight. */
  readonly name: string
  /** Places of values in the recording. */
  readonly inputs: readonly number[]
  readonly settings: Settings
  readonly outputs: readonly (Info & { readonly place: number })[]
  readonly numbers?: Numbers
}

/** An input of the graph as it is in a recording: JavaScript writes its numbers into a tensor, by which it is known. */
export interface RecordedInput {
  readonly name: string
  readonly numbers: Numbers
}

export interface Recording {
  readonly steps: readonly Step[]
  /** Places of what the pass gives, by name. */
  readonly outputs: Readonly<Record<string, number>>
  /** Tensors of other backends that it used, by the names of their steps. */
  readonly tensors: ReadonlyMap<string, Tensor>
}

/** The way to make tensors of a recording by hand. */
export interface Source {
  /** A weight of the graph by its name. */
  readonly weight: (name: string, shape: readonly number[]) => Tensor
  /** An input of the graph, as float32. */
  readonly input: (name: string, shape: readonly number[]) => Tensor
}

const NAME = 'tfjs-peft-recorder'
const READS = `exportOnnx: the model, or what is attached to it, reads numbers in the middle of its pass, which a graph cannot. ${OTHER_WAY}`

/**
 * Records what a pass does. All of it happens at once, so that nothing else runs on the backend meanwhile.
 *
 * @throws InputError naming what has no form in ONNX
 */
export function record(inputs: readonly RecordedInput[], pass: (source: Source) => Readonly<Record<string, Tensor>>): Recording {
  const before = tf.getBackend()
  const recorder = new Recorder(inputs)
  const kernels = new Set([...Object.keys(FORMS), ...tf.getKernelsForBackend(before).map(({ kernelName }) => kernelName)])
  tf.registerBackend(NAME, () => recorder, 0)
  for (const kernelName of kernels) {
    tf.registerKernel({ kernelName, backendName: NAME, kernelFunc: ({ inputs: given, attrs }) => recorder.call(kernelName, Object.values(given as object) as Tensor[], (attrs ?? {})) })
  }
  try {
    void tf.setBackend(NAME) // done when it returns: the backend is there at once
    let outputs: Readonly<Record<string, number>> = {}
    tf.tidy(() => {
      const given = pass(recorder)
      outputs = Object.fromEntries(Object.entries(given).map(([name, tensor]) => [name, recorder.placeOf(tensor)]))
      tf.dispose(given) // some may be kept
    })
    return { steps: recorder.steps, outputs, tensors: recorder.tensors }
  } finally {
    void tf.setBackend(before)
    for (const kernelName of kernels) tf.unregisterKernel(kernelName, NAME)
    tf.removeBackend(NAME)
  }
}

class Recorder extends tf.KernelBackend implements Source {
  readonly steps: Step[] = []
  readonly tensors = new Map<string, Tensor>()
  readonly #inputs: readonly RecordedInput[]
  readonly #places = new Map<object, number>()
  #count = 0

  constructor(inputs: readonly RecordedInput[]) {
    super()
    this.#inputs = inputs
  }

  call(kernel: string, inputs: readonly Tensor[], settings: Settings): tf.TensorInfo | tf.TensorInfo[] {
    const form = FORMS[kernel]
    if (form === undefined) throw new InputError(`exportOnnx: the operation ${kernel}, which the model or what is attached to it runs, has no form in ONNX here. ${OTHER_WAY}`)
    const outputs = form.outputs(inputs, settings)
    const places = inputs.map((input) => this.placeOf(input))
    const made = this.#note({ kind: 'kernel', name: kernel, inputs: places, settings: form.settings?.(inputs, settings) ?? settings }, outputs)
    return GIVE_LISTS.includes(kernel) ? made : (made[0] as tf.TensorInfo)
  }

  weight(name: string, shape: readonly number[]): Tensor {
    return this.#tensor('weight', name, shape)
  }

  input(name: string, shape: readonly number[]): Tensor {
    return this.#tensor('input', name, shape)
  }

  /** Where a tensor is in the recording. One that was there before is a weight. */
  placeOf(tensor: Tensor): number {
    const known = this.#places.get(tensor.dataId)
    if (known !== undefined) return known
    const name = `tensor_${this.tensors.size}`
    this.tensors.set(name, tensor)
    const [info] = this.#note({ kind: 'weight', name, inputs: [], settings: {} }, [tensor])
    const place = this.#places.get(info?.dataId ?? {}) as number
    this.#places.set(tensor.dataId, place)
    return place
  }

  override write(values: tf.BackendValues, shape: number[], dtype: DataType): object {
    const numbers = values as Numbers
    const input = this.#inputs.find((each) => each.numbers.length === numbers.length && each.numbers.every((value, i) => value === numbers[i]))
    const step = input === undefined ? { kind: 'numbers', name: '', numbers: numbers.slice() } as const : { kind: 'input', name: input.name } as const
    return (this.#note({ ...step, inputs: [], settings: {} }, [{ shape, dtype }])[0] as tf.TensorInfo).dataId
  }

  override readSync(): tf.BackendValues {
    throw new InputError(READS)
  }

  override async read(): Promise<tf.BackendValues> {
    return await Promise.reject(new InputError(READS))
  }

  override disposeData(): boolean {
    return true
  }

  override numDataIds(): number {
    return this.#count
  }

  override refCount(): number {
    return 1
  }

  override incRef(): void {
    // nothing is freed before the end
  }

  override floatPrecision(): 32 {
    return 32
  }

  override epsilon(): number {
    return 1e-7 // of float32
  }

  override timerAvailable(): boolean {
    return false
  }

  override dispose(): void {
    this.#places.clear()
  }

  #tensor(kind: 'weight' | 'input', name: string, shape: readonly number[]): Tensor {
    const [info] = this.#note({ kind, name, inputs: [], settings: {} }, [{ shape, dtype: 'float32' }]) as [tf.TensorInfo]
    return tf.engine().makeTensorFromTensorInfo(info)
  }

  #note(step: Omit<Step, 'outputs'>, outputs: readonly Info[]): tf.TensorInfo[] {
    const made = outputs.map(({ shape, dtype }) => ({ shape: [...shape], dtype, place: this.#count++ }))
    this.steps.push({ ...step, outputs: made })
    return made.map(({ shape, dtype, place }) => {
      const dataId = {}
      this.#places.set(dataId, place)
      return { dataId, shape, dtype }
    })
  }
}
