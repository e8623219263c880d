import type { NamedTensor, NamedTensors } from '../base/adapter/file-format.ts'
import type { LinearSite, Site } from '../base/sites.ts'

type Convolution = LinearSite & Required<Pick<LinearSite, 'kernel'>>

/** The shape of each tensor here and in HF PEFT's files; what is not known of it is its rank. */
const SHAPES: Readonly<Record<string, Record<'own' | 'file', (site: Convolution, rank: number) => readonly number[]>>> = {
  A: { own: ({ inSize }, rank) => [rank, inSize], file: ({ kernel }, rank) => [rank, ...kernel] },
  B: { own: ({ outSize }, rank) => [outSize, rank], file: ({ outSize }, rank) => [outSize, rank, 1, 1] },
  magnitude: { own: ({ outSize }) => [outSize], file: ({ outSize }) => [1, outSize, 1, 1] },
  l: { own: ({ outSize }) => [outSize, 1], file: ({ outSize }) => [1, outSize, 1, 1] },
}

/** What is learned of a convolution has its axes in HF PEFT's files. @param layout that they get; a tensor that has another shape than it should stays */
export function convolutions(tensors: NamedTensors, sites: readonly Site[], layout: 'own' | 'file'): NamedTensors {
  const result = new Map(tensors)
  const other = layout === 'own' ? 'file' : 'own'
  for (const site of sites) {
    if (!isConvolution(site)) continue
    for (const [short, shapes] of Object.entries(SHAPES)) {
      const name = `${site.name}.${short}`
      const tensor = result.get(name)
      const rank = tensor === undefined ? 0 : rankOf(tensor, short)
      if (tensor !== undefined && tensor.shape.join() === shapes[other](site, rank).join()) result.set(name, { ...tensor, shape: shapes[layout](site, rank) })
    }
  }
  return result
}

export function isConvolution(site: Site): site is Convolution {
  return site.kind === 'linear' && site.kernel !== undefined
}

function rankOf({ shape: [first = 0, second = 0] }: NamedTensor, short: string): number {
  return short === 'A' ? first : second
}
