// A recording as a graph of ONNX.

import { DATA_TYPES } from './schema.ts'
import { typeOf, type Given } from './form.ts'
import { Graph, type Port } from './graph.ts'
import { FORMS, type Numbers } from './recorder.ts'
import { filled, ranged, reshaped } from './shaping.ts'
import type { AnyNumbers, AnyStep } from './unify.ts'

/** A weight of the graph by the name it has in the recording. */
export type WeightOf = (name: string) => { readonly name: string; readonly shape: readonly number[]; readonly data: () => Promise<Uint8Array> }

export interface GraphParts {
  readonly steps: readonly AnyStep[]
  readonly inputs: readonly Port[]
  /** Their places in the recording. */
  readonly outputs: Readonly<Record<string, number>>
  /** For each size, an input and its axis. */
  readonly axes: Readonly<Record<string, readonly [input: string, axis: number]>>
  readonly weightOf: WeightOf
}

export function writeGraph({ steps, inputs, outputs, axes, weightOf }: GraphParts): Graph {
  const graph = new Graph(axes)
  graph.inputs.push(...inputs)
  const made = new Map<number, readonly [name: string, given: Given]>()
  const needed = usedBy(steps, Object.values(outputs))
  for (const step of steps.filter((each) => needed.has(each))) {
    const [names, given] = [step.inputs.map((place) => made.get(place)?.[0] ?? ''), step.inputs.flatMap((place) => made.get(place)?.[1] ?? [])]
    const results = write(graph, step, names, given, inputs, weightOf)
    step.outputs.forEach((output, i) => made.set(output.place, [results[i] ?? '', output]))
  }
  for (const [name, place] of Object.entries(outputs)) {
    const [value, given] = made.get(place) as readonly [string, Given]
    graph.nodes.push({ op: 'Identity', domain: '', inputs: [value], outputs: [name], attributes: {} })
    graph.outputs.push({ name, dtype: typeOf(given.dtype), shape: given.shape })
  }
  return graph
}

function write(graph: Graph, step: AnyStep, inputs: readonly string[], given: readonly Given[], ports: readonly Port[], weightOf: WeightOf): readonly string[] {
  const output = step.outputs[0] as Given
  switch (step.kind) {
    case 'kernel': return (FORMS[step.name] as (typeof FORMS)[string]).write(graph, { inputs, given, outputs: step.outputs, settings: step.settings })
    case 'weight': return [graph.weight({ ...weightOf(step.name), dtype: 'float32' })]
    case 'numbers': return [numbersIn(graph, output, step.numbers as AnyNumbers)]
    case 'input': {
      const port = ports.find(({ name }) => name === step.name) as Port
      const typed = port.dtype === typeOf(output.dtype) ? port.name : graph.one('Cast', [port.name], { to: BigInt(DATA_TYPES[typeOf(output.dtype)]) })
      return [reshaped(graph, typed, port.shape, output.shape)]
    }
  }
}

function numbersIn(graph: Graph, given: Given, numbers: AnyNumbers): string {
  if ('same' in numbers) return graph.constant(typeOf(given.dtype), given.shape as number[], numbers.same)
  if ('byDistance' in numbers) return byDistance(graph, given, numbers)
  const { start, step, stop } = numbers
  if (step === 0) return filled(graph, given, start)
  const flat = ranged(graph, given, start, stop, step)
  return given.shape.length === 1 ? flat : graph.one('Reshape', [flat, graph.sizes(given.shape)])
}

function byDistance(graph: Graph, given: Given, { byDistance: values, length, middle }: Extract<AnyNumbers, { readonly byDistance: Numbers }>): string {
  const places = ranged(graph, { shape: [length], dtype: 'int32' }, 0, length, 1)
  const rows = graph.one('Unsqueeze', [places, graph.sizes([1])])
  const distances = graph.one('Add', [graph.one('Sub', [places, rows]), graph.constant('int64', [], [middle])])
  const square = graph.one('Gather', [graph.constant(typeOf(given.dtype), [values.length], values), distances], { axis: 0n })
  return graph.one('Reshape', [square, graph.sizes(given.shape)])
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
