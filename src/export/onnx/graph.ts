import type { DataType } from './schema.ts'
import { textOf, type Size } from './sizes.ts'

/** What an attribute may be: a bigint is an integer of the format, a number a float. */
export type Attributes = Readonly<Record<string, bigint | number | string | readonly bigint[]>>

export interface GraphNode {
  readonly op: string
  /** '' for the operators of ONNX itself. */
  readonly domain: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes: Attributes
}

/** A tensor that is a part of the file. */
export interface Initializer {
  readonly name: string
  readonly dtype: DataType
  readonly shape: readonly number[]
  readonly bytes: number
  readonly data: () => Promise<Uint8Array> | Uint8Array
}

/** A tensor that goes in or comes out. */
export interface Port {
  readonly name: string
  readonly dtype: DataType
  readonly shape: readonly Size[]
}

/** What each size is the sum of: axes of inputs, of which some count negative, and numbers. */
export type Axes = Readonly<Record<string, readonly (number | readonly [input: string, axis: number, sign?: -1])[]>>

const BYTES: Readonly<Record<DataType, number>> = { float32: 4, float16: 2, int64: 8, int8: 1, uint8: 1, bool: 1 }

/** A graph as it is put together. What is computed twice from the same is one node. */
export class Graph {
  readonly nodes: GraphNode[] = []
  readonly initializers: Map<string, Initializer> = new Map<string, Initializer>()
  readonly inputs: Port[] = []
  readonly outputs: Port[] = []
  readonly #known = new Map<string, readonly string[]>()
  readonly #axes: Axes
  #names = 0

  constructor(axes: Axes) {
    this.#axes = axes
  }

  /** The names of what an operator gives. @param inputs '' for one that is left away */
  all(op: string, inputs: readonly string[], attributes: Attributes = {}, count = 1, domain = ''): readonly string[] {
    const key = JSON.stringify([domain, op, inputs, count, Object.entries(attributes)], (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const outputs = Array.from({ length: count }, () => this.#fresh(op))
    this.nodes.push({ op, domain, inputs, outputs, attributes })
    this.#known.set(key, outputs)
    return outputs
  }

  /** The same for an operator that gives one tensor. */
  one(op: string, inputs: readonly string[], attributes: Attributes = {}, domain = ''): string {
    return this.all(op, inputs, attributes, 1, domain)[0] as string
  }

  /** What makes a tensor; undefined for inputs and for what is a part of the file. */
  maker(name: string): GraphNode | undefined {
    return this.nodes.find(({ outputs }) => outputs.includes(name))
  }

  /** Gives a tensor out by a name: it has that name then, where that is possible, for a node that passes it on copies it. */
  give(from: string, port: Port): void {
    if (this.maker(from) === undefined || this.outputs.some(({ name }) => name === from)) {
      this.nodes.push({ op: 'Identity', domain: '', inputs: [from], outputs: [port.name], attributes: {} })
    } else {
      const other = (name: string): string => (name === from ? port.name : name)
      this.nodes.forEach((node, i) => { this.nodes[i] = { ...node, inputs: node.inputs.map(other), outputs: node.outputs.map(other) } })
    }
    this.outputs.push(port)
  }

  /** Leaves out what no output depends on. */
  prune(): void {
    const wanted = new Set(this.outputs.map(({ name }) => name))
    const used = this.nodes.reduceRight<GraphNode[]>((kept, node) => {
      if (!node.outputs.some((name) => wanted.has(name))) return kept
      for (const name of node.inputs) wanted.add(name)
      return [node, ...kept]
    }, [])
    this.nodes.splice(0, Infinity, ...used)
    for (const name of this.initializers.keys()) if (!wanted.has(name)) this.initializers.delete(name)
  }

  /** A tensor of numbers. */
  constant(dtype: DataType, shape: readonly number[], values: ArrayLike<number>): string {
    const data = bytesOf(dtype, values)
    const key = `${dtype} ${shape.join()} ${new TextDecoder('latin1').decode(data)}`
    const known = this.#known.get(key)?.[0]
    if (known !== undefined) return known
    const name = this.#fresh('Constant')
    this.#known.set(key, [name])
    return this.weight({ name, dtype, shape, data: () => data })
  }

  /** A tensor whose numbers are read when the file is written. */
  weight(weight: Omit<Initializer, 'bytes'>): string {
    if (!this.initializers.has(weight.name)) this.initializers.set(weight.name, { ...weight, bytes: BYTES[weight.dtype] * weight.shape.reduce((a, b) => a * b, 1) })
    return weight.name
  }

  /** Sizes as a list of int64. */
  sizes(sizes: readonly Size[]): string {
    if (sizes.every((size) => typeof size === 'number')) return this.constant('int64', [sizes.length], sizes)
    const parts: string[] = []
    let numbers: number[] = []
    const flush = (): void => {
      if (numbers.length > 0) parts.push(this.constant('int64', [numbers.length], numbers))
      numbers = []
    }
    for (const size of sizes) {
      if (typeof size === 'number') { numbers.push(size); continue }
      flush()
      const product = size.of.map((name) => this.#axis(name)).reduce((a, b) => this.one('Mul', [a, b]))
      const scaled = size.times === 1 ? product : this.one('Mul', [product, this.constant('int64', [1], [size.times])])
      parts.push(size.plus === 0 ? scaled : this.one('Add', [scaled, this.constant('int64', [1], [size.plus])]))
    }
    flush()
    return parts.length === 1 ? (parts[0] as string) : this.one('Concat', parts, { axis: 0n })
  }

  /** One size as a number of its own. */
  scalar(size: Size): string {
    return typeof size === 'number' ? this.constant('int64', [], [size]) : this.one('Reshape', [this.sizes([size]), this.constant('int64', [0], [])])
  }

  #axis(name: string): string {
    const parts = this.#axes[name]
    if (parts === undefined) throw new Error(`No input has the size ${textOf({ times: 1, of: [name], plus: 0 })}.`)
    return parts.map((part) => {
      if (typeof part === 'number') return this.constant('int64', [1], [part])
      const [input, axis, sign] = part
      const size = this.one('Shape', [input], { start: BigInt(axis), end: BigInt(axis + 1) })
      return sign === undefined ? size : this.one('Neg', [size])
    }).reduce((a, b) => this.one('Add', [a, b]))
  }

  #fresh(op: string): string {
    return `${op}_${this.#names++}`
  }
}

/** Numbers as the format has them, little-endian. */
function bytesOf(dtype: DataType, values: ArrayLike<number>): Uint8Array {
  const numbers = Array.from(values)
  if (dtype === 'int64') return new Uint8Array(BigInt64Array.from(numbers, (value) => BigInt(value)).buffer)
  if (dtype === 'bool' || dtype === 'uint8') return Uint8Array.from(numbers)
  if (dtype === 'int8') return new Uint8Array(Int8Array.from(numbers).buffer)
  return new Uint8Array(Float32Array.from(numbers).buffer)
}
