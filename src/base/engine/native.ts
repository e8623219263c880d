// Fused kernels: an addon beside the engine that adds operations to TensorFlow (sources in native/). Set-up compiles it;
// without it every operation has its composed form.

import type { Attribute } from './tensorflow.ts'

/** Sums over processes, of native/collective-addon.cc: each gives what went wrong, behind gRPC's number of it, or an empty text. */
export interface Collectives {
  /** Joins the other processes; once in a process. @param listen IPv4 address as a number @param timeout seconds @param onGpu sums are taken there */
  connect(addresses: readonly string[], rank: number, listen: number, timeout: number, onGpu: boolean): string
  /** Replaces numbers by their sums over all processes, which call in the same order; nobody touches them meanwhile. After a failure all fail. */
  sum(numbers: Float32Array): Promise<string>
  /** Whether another process answers. */
  check(rank: number, milliseconds: number): Promise<string>
}

/** What is read of a tensor of the runtime without a copy on the way, see native/collective-addon.cc. */
export interface Taking {
  /** Writes the numbers of the tensor that was pinned into an array of as many. */
  take(numbers: Float32Array): void
}

/** What a program is made of, see native/program-addon.cc. */
export interface ProgramSpec {
  readonly memories: Int32Array
  readonly constants: readonly (readonly [memory: number, bytes: Uint8Array])[]
  readonly steps: readonly (readonly [name: string, attributes: readonly Attribute[], numbers: Int32Array, inputs: Int32Array, outputs: Int32Array])[]
}

/** Programs of native/program-addon.cc. */
export interface Programs {
  /** Of the tensors that were pinned since the last one. */
  program(spec: ProgramSpec): object
  runProgram(program: object, inputs: Int32Array, numbers: Int32Array, output: number, result: Float32Array): void
  endProgram(program: object): void
  /** Frees what was pinned for a program that is not made. */
  unpin(): void
}

/** What native/addon.cc exports. */
export interface Addon extends Collectives, Programs, Taking {
  /** The hash of the sources it was compiled from. */
  readonly sources?: string
  /** Those of this processor that the addon was compiled for, the best first. */
  readonly instructionSets: readonly string[]
  readonly threads: number
  /** The processor multiplies bfloat16 numbers faster than floats. */
  readonly bfloat16Products: boolean
  /** Adds the operations for one set to TensorFlow; returns the prefix of their names. */
  register(instructionSet: string): string
  /** Bytes from the last address that is a multiple of 64. */
  misalignment(buffer: ArrayBuffer): number
  /** Writes the codes and the scales of numbers; src/base/engine/nf4-codes.ts does the same. */
  readonly quantizeNf4: (values: Float32Array, middles: Float32Array, codes: Uint8Array, scales: Float32Array) => void
}

/** Whether the fused kernels are in use, or why not. */
export type NativeState =
  | { readonly loaded: true; readonly instructionSet: string; readonly threads: number }
  | { readonly loaded: false; readonly reason: string }

let addon: Addon | undefined
let prefix: string | undefined
let state: NativeState = { loaded: false, reason: 'no TensorFlow engine has been loaded' }

/** Takes an addon into use, or says why there is none. */
export function setNative(found: Addon | { readonly reason: string }): void {
  if ('reason' in found) {
    state = { loaded: false, reason: found.reason }
    return
  }
  addon = found
  useNative(addon.instructionSets[0])
}

/** Whether an addon was taken into use before. */
export function hasAddon(): boolean {
  return addon !== undefined
}

/**
 * Switches the fused kernels off, or to another instruction set; for tests and benchmarks.
 *
 * @param instructionSet one of `nativeInstructionSets()`, or undefined for the composed forms
 */
export function useNative(instructionSet: string | undefined): void {
  prefix = instructionSet === undefined ? undefined : addon?.register(instructionSet)
  state =
    instructionSet === undefined || addon === undefined
      ? { loaded: false, reason: 'switched off' }
      : { loaded: true, instructionSet, threads: addon.threads }
}

/** The instruction sets there are fused kernels for, the best first; none without the addon. */
export function nativeInstructionSets(): readonly string[] {
  return addon?.instructionSets ?? []
}

/** Whether the runtime's bfloat16 product is faster than its float32 product; without the addon, which alone can tell, no. */
export function hasBfloat16Products(): boolean {
  return addon?.bfloat16Products === true
}

/** Whether the fused kernels multiply bfloat16 numbers by the processor's own tiles. */
export function hasBfloat16Tiles(): boolean {
  return state.loaded && state.instructionSet === 'amx'
}

/** Whether the fused kernels multiply bfloat16 numbers by instructions for them, tiles or pairs. */
export function hasFusedBfloat16Products(): boolean {
  return hasBfloat16Tiles() || (state.loaded && state.instructionSet === 'avx512bf16')
}

/** Before the name of each fused operation; undefined where the composed forms are in use. */
export function nativePrefix(): string | undefined {
  return prefix
}

/** The kernel that quantises numbers; undefined where the composed forms are in use. */
export function nativeQuantizer(): Addon['quantizeNf4'] | undefined {
  return prefix === undefined ? undefined : addon?.quantizeNf4
}

/** What takes tensors of the runtime; undefined where the composed forms are in use. */
export function nativeTaking(): Taking | undefined {
  return prefix === undefined ? undefined : addon
}

/** Programs of fused kernels; undefined where the composed forms are in use. */
export function nativePrograms(): Programs | undefined {
  return prefix === undefined ? undefined : addon
}

/** Whether the fused kernels are in use, or why not. */
export function nativeState(): NativeState {
  return state
}

/** TensorFlow shares memory that is aligned to this many bytes and makes a copy of any other. */
const ALIGNMENT = 64

/**
 * Memory that TensorFlow can share. A weight in other memory would be there twice, until the garbage collector comes by.
 * Without the addon, which alone can tell, it is ordinary memory.
 *
 * @param length in bytes
 * @example
 * const { buffer, offset } = alignedMemory(4 * 1000)
 * const weight = new Float32Array(buffer, offset, 1000)
 */
export function alignedMemory(length: number): { readonly buffer: ArrayBuffer; readonly offset: number } {
  if (addon === undefined) return { buffer: new ArrayBuffer(length), offset: 0 }
  const buffer = new ArrayBuffer(length + ALIGNMENT)
  return { buffer, offset: (ALIGNMENT - addon.misalignment(buffer)) % ALIGNMENT }
}

/** Numbers in such memory. */
export function alignedFloats(count: number): Float32Array {
  const { buffer, offset } = alignedMemory(4 * count)
  return new Float32Array(buffer, offset, count)
}

/** Bytes of a piece of `Room` at most. */
const PIECE = 2 ** 30

/**
 * Memory for tensors that end together, in few pieces: of each piece that there is, JavaScript's garbage collector takes notice. A piece is free when
 * nothing in it is used any more.
 *
 * @example
 * const room = new Room(2 * 4096)
 * const [first, second] = [room.take(4096), room.take(4096)]
 */
export class Room {
  /** Bytes that are still to come, as far as they were announced. */
  #announced: number
  #piece: { readonly buffer: ArrayBuffer; end: number } | undefined

  /** @param bytes of all that will be taken, as `inRoom` counts them */
  constructor(bytes: number) {
    this.#announced = bytes
  }

  /** Like `alignedMemory`. */
  take(length: number): { readonly buffer: ArrayBuffer; readonly offset: number } {
    const size = inRoom(length)
    if (this.#piece === undefined || this.#piece.end + size > this.#piece.buffer.byteLength) {
      const { buffer, offset } = alignedMemory(Math.max(size, Math.min(this.#announced, PIECE)))
      this.#piece = { buffer, end: offset }
    }
    const offset = this.#piece.end
    this.#piece.end += size
    this.#announced -= size
    return { buffer: this.#piece.buffer, offset }
  }
}

/** Bytes that so many take in a room. */
export function inRoom(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT
}
