/** Things that come one after the other, at once or over time. */
export interface Arrivals<T> {
  /** Up to so many of those that are there. */
  readonly take: (most: number) => T[]
  /** None will come any more, and none is there. */
  readonly isOver: () => boolean
  /** Waits until one is there or none will come. @throws what the source throws */
  readonly next: () => Promise<void>
  /** Lets others come to their turn, where things come over time. */
  readonly pause: () => Promise<void>
  /** Ends the source. */
  readonly end: () => Promise<void>
}

/** What a list gives, or a source over time, of which no more than one is asked for ahead. */
export function arrivalsOf<T>(source: Iterable<T> | AsyncIterable<T>): Arrivals<T> {
  return Symbol.iterator in source ? ofList(source) : ofSource(source)
}

function ofList<T>(list: Iterable<T>): Arrivals<T> {
  const left = [...list]
  const nothing = (): Promise<void> => Promise.resolve()
  return { take: (most) => left.splice(0, most), isOver: () => left.length === 0, next: nothing, pause: nothing, end: nothing }
}

function ofSource<T>(source: AsyncIterable<T>): Arrivals<T> {
  const iterator = source[Symbol.asyncIterator]()
  const there: T[] = []
  let isDone = false
  let failure: { readonly error: unknown } | undefined
  let asked: Promise<void> | undefined
  const ask = (): Promise<void> => (asked ??= iterator.next().then(({ done, value }) => {
    if (done === true) isDone = true
    else there.push(value)
  }, (error: unknown) => { failure = { error } }).then(() => { asked = undefined }))
  return {
    take: (most) => {
      const taken = there.splice(0, most)
      if (!isDone && failure === undefined && there.length === 0) void ask()
      return taken
    },
    isOver: () => isDone && there.length === 0,
    next: async () => {
      if (there.length === 0 && !isDone && failure === undefined) await ask()
      if (failure !== undefined) throw failure.error
    },
    pause: async () => {
      if (!isDone) await new Promise((resolve) => { setTimeout(resolve, 0) })
    },
    end: async () => {
      if (!isDone) await iterator.return?.()
    },
  }
}
