import type { DataType as Dtype } from '@tensorflow/tfjs-core'
import type { Graph } from './graph.ts'
import type { DataType } from './schema.ts'
import type { Size } from './sizes.ts'

/** What a tensor of tfjs is, without its numbers. */
export interface Info {
  readonly shape: readonly number[]
  readonly dtype: Dtype
}

/** The same at any size. */
export interface Given {
  readonly shape: readonly Size[]
  readonly dtype: Dtype
}

/** What a kernel of tfjs is called with: numbers and lists of numbers, texts, flags. */
export type Settings = Readonly<Record<string, unknown>>

/** A call of a kernel as it is written into the graph. */
export interface Call {
  /** Names in the graph, and what they are. */
  readonly inputs: readonly string[]
  readonly given: readonly Given[]
  readonly outputs: readonly Given[]
  /** Numbers are sizes: `Size` in place of number. */
  readonly settings: Settings
}

/** A kernel of tfjs in ONNX. */
export interface Form {
  /** What it gives. */
  readonly outputs: (inputs: readonly Info[], settings: Settings) => Info[]
  /** Settings that depend on its inputs, in numbers that follow from the sizes. @default as they are */
  readonly settings?: (inputs: readonly Info[], settings: Settings) => Settings
  /** The names of what it gives, in the same order. */
  readonly write: (graph: Graph, call: Call) => readonly string[]
}

/** Integers of tfjs are int64 here, as indices and sizes have to be in ONNX. */
export function typeOf(dtype: Dtype): DataType {
  return dtype === 'int32' ? 'int64' : dtype === 'bool' ? 'bool' : 'float32'
}

/** What errors end with where a model has no graph here. */
export const OTHER_WAY = "Python's exporters may have a form for it: save the model, what is attached to it merged, and run optimum-cli export onnx --model FOLDER OUT."
