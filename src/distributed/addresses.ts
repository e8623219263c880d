import { createServer, type AddressInfo } from 'node:net'
import { InputError } from '../errors.ts'

/** All workers of a training, and those of them that one machine starts. */
export interface Addresses {
  readonly all: readonly string[]
  /** By rank. */
  readonly own: readonly number[]
}

/**
 * The workers that `tfjs-peft launch` is asked for, as its options say it: on this machine, at ports that are free; or so many on each of
 * several machines, at the port that is given for it and those after it.
 *
 * @throws InputError listing all that is wrong
 */
export async function addressesOf(options: { readonly processes?: string | undefined; readonly hosts?: string | undefined; readonly rank?: string | undefined }): Promise<Addresses> {
  const { processes = options.hosts === undefined ? '2' : '1', hosts, rank } = options
  const count = Number(processes)
  const problems: string[] = []
  if (!/^\d+$/.test(processes) || count < 1) problems.push(`--processes: expected an integer of at least 1, got ${processes}`)
  const machines = hosts?.split(',').map((each) => each.trim()) ?? []
  for (const machine of machines) if (!/^[\w.-]+:\d{1,5}$/.test(machine)) problems.push(`--hosts: expected host:port for each machine, got '${machine}'`)
  if (hosts === undefined && rank !== undefined) problems.push('--rank: expected --hosts beside it')
  if (hosts !== undefined && (!/^\d+$/.test(rank ?? '') || Number(rank) >= machines.length)) problems.push(`--rank: expected which of the ${machines.length} hosts this machine is, from 0, got ${rank ?? 'none'}`)
  if (problems.length > 0) throw new InputError('launch: the options cannot be used:', problems)
  const local = Array.from({ length: count }, (_, i) => i)
  if (hosts === undefined) return { all: (await freePorts(count)).map((port) => `127.0.0.1:${port}`), own: local }
  const all = machines.flatMap((machine) => local.map((i) => machine.replace(/\d+$/, (port) => String(Number(port) + i))))
  return { all, own: local.map((i) => Number(rank) * count + i) }
}

/** Ports of the loopback that nobody listens at; all held at once, so that they differ. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => new Promise<ReturnType<typeof createServer>>((done, fail) => {
    const server = createServer().once('error', fail).listen(0, '127.0.0.1', () => done(server))
  })))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))))
  return ports
}
