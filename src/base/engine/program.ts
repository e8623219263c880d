// A recorded pass as a program of native/program.h: the same kernels on the same numbers, without JavaScript, tensors and the runtime
// between them. What a pass computes from what does not change is computed once: the program holds the result.

import type { Attribute } from './tensorflow.ts'
import { DTYPES } from './constants.ts'
import { nativePrefix, nativePrograms, type ProgramSpec } from './native.ts'
import { plainForm, type PlainForm, type PlainStep } from './program-forms.ts'
import { FreeMemory, lastReads } from './program-memory.ts'
import { recordedBackend, type Handle, type Operation, type Recording } from './recording.ts'

/** What is known of a recorded pass. */
export interface RecordedPass {
  readonly recording: Recording
  /** Arrays of numbers that are others in each pass, by the arrays that tensors were made of. */
  readonly inputs: readonly Int32Array[]
  /** Tensors that passes write into, by id. */
  readonly changing: ReadonlySet<number>
  /** What the pass gives. */
  readonly output: number
}

/** Runs a pass again. To be ended. */
export interface Program {
  /** The data of all tensors that it reads and does not make: it holds as long as these are there. */
  readonly used: readonly object[]
  /** @param numbers those of the inputs, one behind the other @returns the output's numbers */
  readonly run: (numbers: Int32Array) => Float32Array
  readonly end: () => void
}

/** The operations that the output and what is written depend on, in order. */
function neededOf({ recording: { operations }, changing, output }: RecordedPass): Operation[] {
  const needed = new Set([output])
  const kept: Operation[] = []
  for (const operation of [...operations].reverse()) {
    const writes = operation.name === 'InplaceUpdate' && changing.has(operation.inputs[0] ?? -1)
    if (!writes && !operation.outputs.some(({ id }) => needed.has(id))) continue
    kept.push(operation)
    for (const id of operation.inputs) needed.add(id)
  }
  return kept.reverse()
}

/** The same text for two passes that differ in the numbers of their inputs alone. */
export function descriptionOf(pass: RecordedPass): string {
  const { recording: { numbers }, inputs } = pass
  const names = new Map<number, string>()
  const nameOf = (id: number): string => {
    const made = numbers.get(id)
    if (made === undefined) return names.get(id) ?? `tensor ${id}`
    const input = inputs.findIndex((values) => values === made.values)
    return input < 0 ? `${made.dtype} [${made.shape.join()}] ${made.values.join()}` : `input ${input}`
  }
  return neededOf(pass).map(({ name, attributes, inputs: ids, outputs }, i) => {
    const line = `${name} ${JSON.stringify(attributes)} ${ids.map(nameOf).join('; ')} ${outputs.map(({ shape, dtype }) => `${dtype} [${shape.join()}]`).join('; ')}`
    outputs.forEach(({ id }, place) => names.set(id, `${i}.${place}`))
    return line
  }).join('\n')
}

/** The program of a pass, before anything of it goes; undefined where it does what programs cannot. */
export function programOf(pass: RecordedPass): Program | undefined {
  const native = nativePrograms()
  if (native === undefined || pass.recording.reads) return undefined
  const draft = draftOf(pass)
  if (draft === undefined) return undefined
  const { spec, pins, inputs, output, size } = draft
  const { binding } = recordedBackend()
  try {
    for (const { id, dtype } of pins) {
      const [none] = binding.executeOp(`${nativePrefix() ?? ''}${PINS[dtype] ?? ''}`, [], [id], 1)
      if (none !== undefined) binding.deleteTensor(none.id)
    }
  } catch (error) {
    native.unpin()
    throw error
  }
  const program = native.program(spec)
  const needed = new Set(neededOf(pass).flatMap((operation) => operation.inputs))
  return {
    used: [...pass.recording.used].flatMap(([id, { dataId }]) => (needed.has(id) ? [dataId] : [])),
    run: (numbers) => {
      const result = new Float32Array(size)
      native.runProgram(program, inputs, numbers, output, result)
      return result
    },
    end: () => { native.endProgram(program) },
  }
}

/** Operations that hold a tensor for the program, by its type. */
const PINS: Readonly<Record<number, string>> = { [DTYPES.float32]: 'PinFloat', [DTYPES.int32]: 'PinInt32', [DTYPES.uint8]: 'PinUint8', [DTYPES.bfloat16]: 'PinBfloat16' }

interface Draft {
  readonly spec: ProgramSpec
  readonly pins: readonly Handle[]
  readonly inputs: Int32Array
  readonly output: number
  /** Of the output, in numbers. */
  readonly size: number
}

const OWN = -1
const PINNED = -2

function draftOf(pass: RecordedPass): Draft | undefined {
  const { recording: { numbers, used }, changing, inputs, output } = pass
  const prefix = nativePrefix() ?? ''
  const memories: number[] = []
  const constants: [number, Uint8Array][] = []
  const steps: ProgramSpec['steps'][number][] = []
  const pins: Handle[] = []
  const places = new Map<number, number>() // of tensors, by id
  const handles = new Map<number, Handle>(pass.recording.operations.flatMap(({ outputs }) => outputs.map((each) => [each.id, each] as const)))
  for (const [id, { shape, dtype }] of used) handles.set(id, { id, shape, dtype })
  for (const [id, each] of numbers) handles.set(id, each)
  let count = 0
  const memory = ({ shape, dtype }: Pick<Handle, 'shape' | 'dtype'>, source = OWN, offset = 0): number => {
    memories.push(source, offset, dtype, shape.length, ...shape)
    return count++
  }
  const inputPlaces = inputs.map((values) => memory({ shape: [values.length], dtype: DTYPES.int32 }))
  const placeOf = (id: number): number => {
    const known = places.get(id)
    if (known !== undefined) return known
    const made = numbers.get(id)
    const input = made === undefined ? -1 : inputs.findIndex((values) => values === made.values)
    const handle = handles.get(id) as Handle
    const place = memory(handle, made === undefined ? PINNED : input < 0 ? OWN : inputPlaces[input])
    if (made === undefined) pins.push(handle)
    else if (input < 0) constants.push([place, bytesOf(made.values)])
    places.set(id, place)
    return place
  }
  const numbersOf = (id: number): readonly number[] | undefined => (isInput(id) ? undefined : numbers.get(id)?.values as readonly number[] | undefined)
  const isInput = (id: number): boolean => inputs.some((values) => values === numbers.get(id)?.values)
  const moving = new Set(changing)
  const kept = neededOf(pass).filter(({ inputs: ids, outputs }) => {
    const isMoving = ids.some((id) => moving.has(id) || isInput(id)) // else it gives the same in each pass, and is pinned where it is used
    if (isMoving) for (const { id } of outputs) moving.add(id)
    return isMoving
  })
  const isFused = ({ name }: Operation): boolean => name.startsWith(prefix)
  const forms = kept.map((operation) => (isFused(operation) ? FUSED : plainForm(operation.name, operation.inputs.map((id) => ({ ...(handles.get(id) as Handle), numbers: numbersOf(id) })), operation.outputs)))
  const dying = lastReads(kept.map((operation, n) => ({ inputs: operation.inputs, outputs: operation.outputs.map(({ id }, i) => ({ id, isView: forms[n]?.views?.[i] !== undefined })) })), output)
  const free = new FreeMemory()
  const kindOf = ({ shape, dtype }: Pick<Handle, 'shape' | 'dtype'>): string => `${dtype} ${sizeOf(shape)}`
  for (const [n, { name, attributes, inputs: ids, outputs }] of kept.entries()) {
    const form = forms[n]
    if (form === undefined) return undefined
    const from = Int32Array.from(ids, form === FUSED ? placeOf : () => OWN)
    for (const [i, each] of outputs.entries()) {
      const view = form.views?.[i]
      places.set(each.id, view === undefined ? memory(each, free.take(kindOf(each))) : memory(each, placeOf(ids[0] ?? OWN), view))
    }
    if (form === FUSED) steps.push([name, attributes, new Int32Array(0), from, Int32Array.from(outputs, ({ id }) => placeOf(id))])
    for (const step of form.steps) steps.push(plainStep(step, ids, outputs, placeOf))
    for (const id of dying[n] ?? []) free.give(kindOf(handles.get(id) as Handle), placeOf(id))
  }
  const last = handles.get(output)
  if (last === undefined || last.dtype !== DTYPES.float32 || !moving.has(output) || pins.some(({ dtype }) => PINS[dtype] === undefined)) return undefined
  return {
    spec: { memories: Int32Array.from(memories), constants, steps }, pins, inputs: Int32Array.from(inputPlaces), output: placeOf(output),
    size: sizeOf(last.shape),
  }
}

/** Of a fused kernel, which a program runs as it is. */
const FUSED: PlainForm = { steps: [] }

const NO_ATTRIBUTES: readonly Attribute[] = []

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1)
}

function plainStep({ name, numbers, inputs, outputs: to }: PlainStep, ids: readonly number[], outputs: readonly Handle[], placeOf: (id: number) => number): ProgramSpec['steps'][number] {
  return [name, NO_ATTRIBUTES, Int32Array.from(numbers), Int32Array.from(inputs, (i) => placeOf(ids[i] ?? OWN)), Int32Array.from(to, (i) => placeOf(outputs[i]?.id ?? OWN))]
}

function bytesOf({ buffer, byteOffset, byteLength }: { readonly buffer: ArrayBufferLike; readonly byteOffset: number; readonly byteLength: number }): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength).slice()
}
