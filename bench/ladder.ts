// How benches find a learning rate.

/** The learning rates there are to choose from. */
export const LADDER: readonly number[] = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1]

/** Goes up or down the ladder as long as the score gets better; the first of equals stays. @param begin one of LADDER @param scoreAt is asked for a rate more than once */
export async function climb(begin: number, scoreAt: (rate: number) => Promise<number>): Promise<number> {
  const at = async (place: number): Promise<number> => {
    const rate = LADDER[place]
    return rate === undefined ? -1 : await scoreAt(rate)
  }
  let best = LADDER.indexOf(begin)
  for (;;) {
    const [lower, here, higher] = [await at(best - 1), await at(best), await at(best + 1)]
    if (here >= lower && here >= higher) return LADDER[best] ?? NaN
    best += higher > lower ? 1 : -1
  }
}
