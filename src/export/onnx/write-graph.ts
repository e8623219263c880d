// A recording as a graph of ONNX.

import { DATA_TYPES } from './schema.ts'
import { typeOf, type Form, type Given } from './form.ts'
import { Graph, type Axes, type Port } from './graph.ts'
import { narrowProduct, narrowRows, wide, type OnnxDtype, type Weight } from './narrow.ts'
import { FORMS } from './recorder.ts'
import { filled, ranged, reshaped } from './shaping.ts'
import type { AnyNumbers, AnyStep } from './unify.ts'

export interface GraphParts {
  readonly steps: readonly AnyStep[]
  readonly inputs: readonly Port[]
  /** Their places in the recording. */
  readonly outputs: Readonly<Record<string, number>>
  readonly axes: Axes
  /** A weight by the name it has in the recording. */
  readonly weightOf: (name: string) => Weight
  readonly dtype: OnnxDtype
}

/** A value of the recording: its name in the graph, where it has one already, and the weight that it is, where it is one. */
interface Value {
  readonly given: Given
  readonly name?: string | undefined
  readonly weight?: Weight
}

export function writeGraph(parts: GraphParts): Graph {
  const { steps, inputs, outputs, axes, weightOf, dtype } = parts
  const graph = new Graph(axes)
  graph.inputs.push(...inputs)
  const made = new Map<number, Value>()
  const at = (place: number): Value => made.get(place) as Value
  const needed = usedBy(steps, Object.values(outputs))
  for (const step of steps.filter((each) => needed.has(each))) {
    const names = step.kind === 'weight' ? [] : write(graph, step, step.inputs.map(at), parts)
    const weight = step.kind === 'weight' ? { weight: weightOf(step.name) } : {}
    step.outputs.forEach((given, i) => made.set(given.place, { given, name: names[i], ...weight }))
  }
  const given = Object.entries(outputs).map(([name, place]) => ({ name, value: at(place), from: nameOf(graph, at(place), dtype) }))
  const taken = new Map<string, string>() // what a tensor is called once it is given out
  for (const { name, value, from } of given) {
    graph.give(taken.get(from) ?? from, { name, dtype: typeOf(value.given.dtype), shape: value.given.shape })
    if (!taken.has(from)) taken.set(from, name)
  }
  graph.prune()
  return graph
}

function write(graph: Graph, step: AnyStep, inputs: readonly Value[], { inputs: ports, dtype }: GraphParts): readonly string[] {
  const output = step.outputs[0] as Given
  if (step.kind === 'numbers') return [numbersIn(graph, output, step.numbers as AnyNumbers)]
  if (step.kind === 'input') {
    const port = ports.find(({ name }) => name === step.name) as Port
    const typed = port.dtype === typeOf(output.dtype) ? port.name : graph.one('Cast', [port.name], { to: BigInt(DATA_TYPES[typeOf(output.dtype)]) })
    return [reshaped(graph, typed, port.shape, output.shape)]
  }
  const narrow = byNarrowWeight(graph, step, inputs, dtype)
  if (narrow !== undefined) return [narrow]
  const [names, given] = [inputs.map((value) => nameOf(graph, value, dtype)), inputs.map((value) => value.given)]
  return (FORMS[step.name] as Form).write(graph, { inputs: names, given, outputs: step.outputs, settings: step.settings })
}

/** A product with a weight, or rows of one, where weights are held in few bits. */
function byNarrowWeight(graph: Graph, { name, settings }: AnyStep, inputs: readonly Value[], dtype: OnnxDtype): string | undefined {
  const [left, right] = inputs
  if (left === undefined || right === undefined) return undefined
  if (name === 'BatchMatMul' && right.weight !== undefined && left.given.shape.length === 2 && settings['transposeB'] === true && settings['transposeA'] !== true) {
    return narrowProduct(graph, nameOf(graph, left, dtype), right.weight, dtype)
  }
  return name === 'GatherV2' && left.weight !== undefined && settings['axis'] === 0 ? narrowRows(graph, nameOf(graph, right, dtype), left.weight, dtype) : undefined
}

function nameOf(graph: Graph, { name, weight }: Value, dtype: OnnxDtype): string {
  return weight === undefined ? (name as string) : wide(graph, weight, dtype)
}

function numbersIn(graph: Graph, given: Given, numbers: AnyNumbers): string {
  if ('same' in numbers) return graph.constant(typeOf(given.dtype), given.shape as number[], numbers.same)
  const { start, step, stop } = numbers
  if (step === 0) return filled(graph, given, start)
  const flat = ranged(graph, given, start, stop, step)
  return given.shape.length === 1 ? flat : graph.one('Reshape', [flat, graph.sizes(given.shape)])
}

/** The steps that something of the outputs depends on. */
function usedBy(steps: readonly AnyStep[], places: readonly number[]): ReadonlySet<AnyStep> {
  const [wanted, used] = [new Set(places), new Set<AnyStep>()]
  for (const step of [...steps].reverse()) {
    if (!step.outputs.some(({ place }) => wanted.has(place))) continue
    used.add(step)
    for (const place of step.inputs) wanted.add(place)
  }
  return used
}
