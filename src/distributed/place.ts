// Where this process stands among the workers, from what the launcher or the cluster's own says in the environment.

import { InputError, shown } from '../errors.ts'

/** All workers, and which of them this is. */
export interface Place {
  readonly rank: number
  /** host:port of each, by rank. */
  readonly addresses: readonly string[]
}

type Environment = Readonly<Record<string, string | undefined>>

/** What `tfjs-peft launch` gives its children; with the addresses alone the rank is the scheduler's. */
export const RANK = 'TFJS_PEFT_RANK'
export const WORKERS = 'TFJS_PEFT_WORKERS'

/** Ports of jobs whose scheduler gives none begin here; which of so many is the job's. */
const [FIRST_PORT, PORTS] = [20_000, 10_000]

/**
 * This process's place; undefined where nothing says that there are others. In the order: TFJS_PEFT_RANK and TFJS_PEFT_WORKERS, TF_CONFIG,
 * Slurm's variables (under srun), Open MPI's.
 *
 * @param parent the process id of this process's parent, which the processes that mpirun starts on a machine share
 * @throws InputError when the variables do not fit together
 */
export function placeOf(env: Environment, parent: number): Place | undefined {
  const found = [ownPlace, tensorflowPlace, slurmPlace, openMpiPlace].map((of) => of(env, parent)).find((place) => place !== undefined)
  if (found === undefined) return undefined
  const { rank, addresses, from } = found
  const problems = addresses.filter((address) => !/^[\w.-]+:\d{1,5}$/.test(address)).map((address) => `expected host:port, got ${shown(address)}`)
  const twice = addresses.filter((address, i) => addresses.indexOf(address) !== i)
  if (twice.length > 0) problems.push(`expected an address of its own for each worker, got ${twice.join(', ')} twice`)
  if (!Number.isInteger(rank) || rank < 0 || rank >= addresses.length) problems.push(`expected a rank from 0 to ${addresses.length - 1}, got ${rank}`)
  if (problems.length > 0) throw new InputError(`joinWorkers: ${from} cannot be used:`, problems)
  return { rank, addresses }
}

type Found = Place & { readonly from: string }

function ownPlace(env: Environment): Found | undefined {
  const { [WORKERS]: addresses } = env
  const rank = env[RANK] ?? env['OMPI_COMM_WORLD_RANK'] ?? env['SLURM_PROCID']
  if (env[RANK] === undefined && addresses === undefined) return undefined
  return { rank: numberOf(rank), addresses: (addresses ?? '').split(',').map((each) => each.trim()), from: `${RANK} and ${WORKERS}` }
}

/** {"cluster": {"worker": ["a:7000", "b:7000"]}, "task": {"type": "worker", "index": 1}}; a chief comes first. */
function tensorflowPlace({ TF_CONFIG: text }: Environment): Found | undefined {
  if (text === undefined || text === '') return undefined
  const from = 'TF_CONFIG'
  let config: { readonly cluster?: Readonly<Record<string, readonly string[]>>; readonly task?: { readonly type?: string; readonly index?: number } }
  try {
    config = JSON.parse(text) as typeof config
  } catch (cause) {
    throw new InputError(`joinWorkers: TF_CONFIG is no JSON: ${(cause as Error).message}`, [], { cause })
  }
  const { cluster = {}, task = {} } = config
  const kinds = ['chief', 'worker']
  const strange = [...Object.keys(cluster).filter((kind) => !kinds.includes(kind)), ...kinds.filter((kind) => cluster[kind] !== undefined && !Array.isArray(cluster[kind]))]
  if (strange.length > 0) throw new InputError(`joinWorkers: TF_CONFIG has a cluster of ${strange.join(', ')}; expected lists of addresses of chief and worker alone.`)
  const { chief = [], worker = [] } = cluster
  return { rank: (task.type === 'worker' ? chief.length : 0) + numberOf(task.index), addresses: [...chief, ...worker].map(String), from }
}

function slurmPlace(env: Environment): Found | undefined {
  const { SLURM_PROCID: rank, SLURM_STEP_NUM_TASKS: count, SLURM_STEP_NODELIST: nodes, SLURM_STEP_TASKS_PER_NODE: tasks } = env
  if (rank === undefined || count === undefined || nodes === undefined || tasks === undefined || count === '1') return undefined
  const from = "Slurm's variables"
  const hosts = hostsOf(nodes)
  const perHost = repeatsOf(tasks)
  if (hosts.length !== perHost.length) throw new InputError(`joinWorkers: ${from} name ${hosts.length} nodes and tasks of ${perHost.length}. Give ${RANK} and ${WORKERS} instead.`)
  const first = FIRST_PORT + (numberOf(env['SLURM_JOB_ID']) || 0) % PORTS
  return { rank: numberOf(rank), addresses: hosts.flatMap((host, i) => Array.from({ length: perHost[i] ?? 0 }, (_, local) => `${host}:${first + local}`)), from }
}

/** `gpu[01-03,7],login` */
function hostsOf(list: string): readonly string[] {
  return list.split(/,(?![^[]*\])/).flatMap((part) => {
    const [, before = '', ranges, behind = ''] = /^([^[]*)\[([^\]]*)\](.*)$/.exec(part) ?? []
    if (ranges === undefined) return [part]
    return ranges.split(',').flatMap((range) => {
      const [low = '', high = low] = range.split('-')
      return Array.from({ length: Number(high) - Number(low) + 1 }, (_, i) => `${before}${String(Number(low) + i).padStart(low.length, '0')}${behind}`)
    })
  })
}

/** `2(x3),1` */
function repeatsOf(list: string): readonly number[] {
  return list.split(',').flatMap((part) => {
    const [, number = '', times = '1'] = /^(\d+)(?:\(x(\d+)\))?$/.exec(part) ?? []
    return Array.from({ length: Number(times) }, () => Number(number))
  })
}

function openMpiPlace(env: Environment, parent: number): Found | undefined {
  const { OMPI_COMM_WORLD_RANK: rank, OMPI_COMM_WORLD_SIZE: size, OMPI_COMM_WORLD_LOCAL_SIZE: local } = env
  if (rank === undefined || size === undefined || size === '1') return undefined
  if (local !== size) throw new InputError(`joinWorkers: Open MPI says ${size} workers, ${local ?? 'no'} of them on this machine, and not where the others are. Name all: mpirun -x ${WORKERS}=a:7000,b:7000 …`)
  const first = FIRST_PORT + parent % PORTS
  return { rank: numberOf(rank), addresses: Array.from({ length: Number(size) }, (_, i) => `127.0.0.1:${first + i}`), from: "Open MPI's variables" }
}

/** NaN of what is none, which no rank is. */
function numberOf(value: string | number | undefined): number {
  return typeof value === 'number' ? value : /^\d+$/.test(value ?? '') ? Number(value) : NaN
}
