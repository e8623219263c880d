import { parse, UsageError } from '../usage.ts'

/** Seconds that a timer can wait: about 24 days. */
const LONGEST = 2_000_000

/** Runs a program in several processes. What stands behind the program is the program's own. */
export async function launchWorkers(args: string[]): Promise<number> {
  const isValue = (i: number): boolean => /^--(processes|hosts|rank|timeout)$/.test(args[i - 1] ?? '')
  const found = args.findIndex((arg, i) => !arg.startsWith('-') && !isValue(i))
  const program = args[found]
  if (program === undefined) throw new UsageError('launch: expected a program, as in launch --processes 2 train.js')
  const { timeout = '600', ...of } = parse(args.slice(0, found), { processes: { type: 'string' }, hosts: { type: 'string' }, rank: { type: 'string' }, timeout: { type: 'string' } })
  if (!(Number(timeout) > 0 && Number(timeout) <= LONGEST)) throw new UsageError(`launch: --timeout: expected seconds, at most ${LONGEST}, got ${timeout}`)
  const { launch } = await import('../../distributed/launch.ts')
  const { addressesOf } = await import('../../distributed/addresses.ts')
  return launch(await addressesOf(of), program, args.slice(found + 1), { timeout: Number(timeout) })
}
