// Which memory of a program is free again when: what a layer leaves behind holds the numbers of the next.

/** An operation by the tensors that it takes and gives, of which views are the first input's memory. */
interface Uses {
  readonly inputs: readonly number[] // ids
  readonly outputs: readonly { readonly id: number; readonly isView: boolean }[]
}

/**
 * Of each operation what is read for the last time in it, by the ids of the tensors whose memory it is: those that an operation has made
 * and that are not views. What is given by the last of them all stays.
 */
export function lastReads(operations: readonly Uses[], kept: number): number[][] {
  const roots = new Map<number, number>()
  const last = new Map<number, number>()
  operations.forEach(({ inputs, outputs }, n) => {
    const rootOf = (id: number): number | undefined => roots.get(id)
    for (const id of inputs) {
      const root = rootOf(id)
      if (root !== undefined) last.set(root, n)
    }
    for (const { id, isView } of outputs) {
      const root = isView ? rootOf(inputs[0] ?? -1) : id
      if (root === undefined) continue // a part of what the program has not made
      roots.set(id, root)
      last.set(root, n)
    }
  })
  const keptRoot = roots.get(kept)
  const reads = operations.map((): number[] => [])
  for (const [root, n] of last) if (root !== keptRoot) reads[n]?.push(root)
  return reads
}

/** Memory that is free, by its type and size. */
export class FreeMemory {
  readonly #free = new Map<string, number[]>()

  /** A place of memory to write over; undefined where there is none. */
  take(kind: string): number | undefined {
    return this.#free.get(kind)?.pop()
  }

  give(kind: string, place: number): void {
    const others = this.#free.get(kind)
    if (others === undefined) this.#free.set(kind, [place])
    else others.push(place)
  }
}
