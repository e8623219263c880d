import { CheckpointError } from '../../errors.ts'
import type { Architecture, Head } from '../architecture.ts'
import type { Checkpoint } from './checkpoint.ts'
import { gaps, piecesOf } from './stacks.ts'
import { fileShape } from './turned.ts'
import { taskRecord, type Task } from '../tasks/task.ts'
import { specsOf, sameTensor, tiesAmong, type Ties } from '../ties.ts'
import type { ParameterSpec } from '../sites.ts'

/** Which key of a checkpoint fills which parameter of a model. */
export interface KeyPlan {
  /** Parameter to key; of stacks that are in pieces, piece to key. */
  readonly keyOf: ReadonlyMap<string, string>
  /** What the model keeps: all that its trace found, but for what is one tensor with another. */
  readonly specs: ReadonlyMap<string, ParameterSpec>
  readonly ties: Ties
  /** Parameters that are made new, and the modules they are looked for in. */
  readonly initialized: readonly string[]
  readonly modules: readonly string[]
  readonly unused: ReadonlyMap<string, string>
  readonly ignored: readonly string[]
  /** What a reader should know of how they were matched. */
  readonly notes: readonly string[]
}

/** What a checkpoint is to be matched with. */
export interface Wanted {
  readonly architecture: Architecture
  readonly head: Head
  readonly task: Task
  /** All that the model's trace found. */
  readonly specs: ReadonlyMap<string, ParameterSpec>
  /** The head is made new, whether the file has one or not. */
  readonly newHead: boolean
  /** Whether weights are rounded to bfloat16 as they are read. */
  readonly rounded: boolean
}

/** @throws CheckpointError with all that does not fit */
export async function planKeys(checkpoint: Checkpoint, wanted: Wanted): Promise<KeyPlan> {
  const { architecture: { baseName, keys }, head, specs, newHead, rounded } = wanted
  const { keyOf, stands, unused, ignored, problems, take } = matchKeys(checkpoint, wanted)
  for (const [name, key] of stands) {
    if (keyOf.has(name)) ignored.push(key)
    else take(name, key)
  }
  const notes: string[] = []
  const ties = new Map(tiesAmong(specs, wanted.architecture.ties))
  for (const [name, kept] of ties) {
    const [key, keptKey] = [keyOf.get(name), keyOf.get(kept)]
    if (key === undefined || problems.length > 0) continue
    if (keptKey === undefined) keyOf.set(kept, key) // the head's name alone: it is the table too
    else if (!(await sameTensor(checkpoint, keptKey, key, rounded))) {
      ties.delete(name)
      notes.push(
        `${key} and ${keptKey} are two tensors in the file, though config.json ties them (tie_word_embeddings): each is taken as it is.`,
      )
      continue
    } else ignored.push(key)
    keyOf.delete(name)
  }
  const kept = specsOf(specs, ties)
  const isThere = (name: string, spec: ParameterSpec): boolean => keyOf.has(name) || (spec.pieces !== undefined && piecesOf(name, spec).every(([piece]) => keyOf.has(piece)))
  const absent = [...kept].flatMap(([name, spec]) => (isThere(name, spec) ? [] : [name]))
  const spareModules = newHead ? keys.unused.map((module) => `${baseName}.${module}`) : []
  const found = [...keyOf.keys()]
  const modules = [...head.modules, ...spareModules.filter((module) => absent.some((name) => isInside(name, module, found)))]
  const initialized = absent.filter((name) => modules.some((module) => isInside(name, module, found)))
  for (const name of absent) if (!initialized.includes(name) && kept.get(name)?.optional !== true) problems.push(`missing: ${gaps(name, kept.get(name) as ParameterSpec, (piece) => keyOf.has(piece)) ?? name + missingHint(name, wanted)}`)
  if (problems.length > 0) throw new CheckpointError('The checkpoint does not fit the model:', problems)
  return { keyOf, specs: kept, ties, initialized, modules, unused, ignored, notes }
}

interface Matches extends Pick<KeyPlan, 'unused'> {
  readonly keyOf: Map<string, string>
  /** Parameters that another key can fill where their own is not in the file. */
  readonly stands: ReadonlyMap<string, string>
  readonly ignored: string[]
  readonly problems: string[]
  readonly take: (name: string, key: string) => void
}

function matchKeys(checkpoint: Checkpoint, { architecture, head, task, specs, newHead }: Wanted): Matches {
  const { keys, baseName, ties } = architecture
  const [keyOf, stands, unused] = [new Map<string, string>(), new Map<string, string>(), new Map<string, string>()]
  const ignored: string[] = []
  const problems: string[] = []
  const basePath = `${baseName}.`
  const bareOf = (name: string): string => (name.startsWith(basePath) ? name.slice(basePath.length) : name)
  const places = new Map([...specs, ...[...specs].flatMap(([name, spec]) => piecesOf(name, spec))])
  const find = (name: string): string | undefined => [name, basePath + bareOf(name), bareOf(name)].find((candidate) => places.has(candidate))
  const take = (name: string, key: string): void => {
    const spec = places.get(name) as ParameterSpec // the name was found there
    const { shape: got = [], turned = false } = checkpoint.entries.get(key) ?? {}
    const shape = turned || checkpoint.packed.has(key) ? spec.shape : fileShape(spec) // bitsandbytes keeps no weight turned
    if (shape.join() !== got.join()) {
      problems.push(`${key}: expected [${shape.join(', ')}], the file has [${got.join(', ')}]${labelHint(head, name)}`)
    }
    keyOf.set(name, key)
  }
  for (const [key, { shape }] of checkpoint.entries) {
    const renamed = keys.rename.reduce((name, [pattern, replacement]) => name.replace(pattern, replacement), key)
    const name = find(renamed)
    if (name === undefined) {
      const stand = find(keys.alsoCalled?.[renamed] ?? ties[renamed] ?? '')
      if (keys.unused.some((module) => `${bareOf(renamed)}.`.startsWith(`${module}.`))) {
        unused.set(taskRecord(task).headless === true ? bareOf(renamed) : basePath + bareOf(renamed), key)
      } else if (stand !== undefined && !(newHead && isOf(head, stand))) {
        stands.set(stand, key)
      } else if (keys.ignored.some((pattern) => pattern.test(key))) ignored.push(key)
      else problems.push(`unexpected: ${key} [${shape.join(', ')}]`)
      continue
    }
    if (newHead && isOf(head, name)) {
      ignored.push(key)
      continue
    }
    const twin = keyOf.get(name)
    if (twin !== undefined) problems.push(`${key} and ${twin} are both ${name}`)
    take(name, key)
  }
  return { keyOf, stands, unused, ignored, problems, take }
}

/** A head module is made new only as a whole: half a head in the file is a damaged file. */
function isInside(name: string, module: string, found: readonly string[]): boolean {
  const prefix = `${module}.`
  return name.startsWith(prefix) && !found.some((other) => other.startsWith(prefix))
}

function labelHint(head: Head, name: string): string {
  return isOf(head, name) ? '; give `labels` as many names as the checkpoint has classes, leave it out, or ask for a newHead' : ''
}

function missingHint(name: string, { architecture: { baseName, keys } }: Wanted): string {
  const unused = keys.unused.some((module) => name.startsWith(`${baseName}.${module}.`))
  return unused ? "; newHead: true makes it new, to be trained with every adapter, and pooling: 'mean' does without it" : ''
}

function isOf(head: Head, name: string): boolean {
  return head.modules.some((module) => name.startsWith(`${module}.`))
}
