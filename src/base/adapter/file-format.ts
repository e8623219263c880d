import type { Task } from '../architecture.ts'
import type { EmbeddingSite, LinearSite, Site, ParameterSpec, ParamOf } from '../sites.ts'
import type { Named } from './module-names.ts'
import type { Ties } from '../ties.ts'

/** A tensor on its way to or from an adapter's file. */
export interface NamedTensor {
  readonly shape: readonly number[]
  readonly values: Float32Array
}

/** The tensors of a file by their names in it. */
export type NamedTensors = ReadonlyMap<string, NamedTensor>

/** What a file's settings may depend on. */
export interface FormatContext {
  /** The sites the adapter has taken, and all the model has. */
  readonly sites: readonly Site[]
  readonly all: readonly Site[]
  /** Heads and tables that are one tensor with a table, and are adapted by what the adapter has there. */
  readonly followers: readonly { readonly site: LinearSite | EmbeddingSite; readonly owner: EmbeddingSite }[]
  /** Parameters the method itself trains as copies, and all the model has. */
  readonly copies: readonly string[]
  readonly params: ReadonlyMap<string, ParameterSpec>
  /** Parameters of the model that are one tensor with another. */
  readonly ties: Ties
  /** Other names of parameters in files. */
  readonly alsoCalled: Readonly<Record<string, string>>
  /** Every module of the model, outer ones too, those included that the task does not use. */
  readonly modules: readonly Named[]
  readonly task: Task
  /** A parameter of the model. */
  readonly param: ParamOf
}

/** The fields of a method's settings by what is done with them; a test holds them against PEFT's own class. */
export interface MethodFields {
  /** Read and kept to. */
  readonly done: readonly string[]
  /** Refused unless they ask for nothing: the values with which they do, beside null. */
  readonly off: Readonly<Record<string, readonly unknown[]>>
  /** Without effect on what is computed. */
  readonly idle: readonly string[]
}

/** Every field of a method. */
export function namesOf({ done, off, idle }: MethodFields): readonly string[] {
  return [...done, ...Object.keys(off), ...idle]
}

/** One method's part of an adapter's files, in HF PEFT's words; those words are used nowhere else. */
export interface FileFormat {
  /** `peft_type` in adapter_config.json. */
  readonly type: string
  /** Whose files they are: HF PEFT's, AdapterHub's for what PEFT does not have, or this library's alone. @default 'peft' */
  readonly kind?: 'peft' | 'adapter-hub' | 'own'
  /** Every field of adapter_config.json that is the method's; one that nobody knows is reported, and kept. */
  readonly fields?: MethodFields
  /** What a reader of the file should know, where the method's options came from one. */
  readonly warnings?: (context: FormatContext) => readonly string[]
  /** Modules whose trained copies PEFT does not compute with beside this method, and why. */
  readonly idleModules?: (all: readonly Site[]) => readonly { readonly module: string; readonly because: string }[]
  /**
   * The method's fields of adapter_config.json, as they are written.
   *
   * @param tensors what is saved, by this library's names; left out where the settings alone are asked for
   */
  readonly config: (context: FormatContext, tensors?: NamedTensors) => Readonly<Record<string, unknown>>
  /** PEFT's class of the settings has no `modules_to_save`. @default false */
  readonly withoutCopies?: boolean
  /** Every bias of the base is in the file, those that the task does without too. @default false */
  readonly everyBias?: boolean
  /**
   * From this library's names, `<site>.<short name>`, to the keys of the file and back.
   *
   * @param inFull modules that PEFT trains in full, none inside another
   */
  readonly toFile: (tensors: NamedTensors, context: FormatContext, inFull: readonly string[]) => NamedTensors | Promise<NamedTensors>
  readonly fromFile: (tensors: NamedTensors, context: FormatContext) => NamedTensors
}

/** Whether the checkpoint keeps the weights of these sites as (in, out): PEFT's `fan_in_fan_out`. */
export function isTransposed({ sites, params }: FormatContext): boolean {
  return sites.some((site) => site.kind === 'linear' && params.get(site.weight)?.transposed === true)
}

/** A matrix the other way round. */
export function turned({ shape, values }: NamedTensor): NamedTensor {
  const [rows = 0, columns = 0] = shape.slice(-2)
  const size = rows * columns
  const place = (i: number): number => i - (i % size) + (i % rows) * columns + Math.floor((i % size) / rows)
  return { shape: [...shape.slice(0, -2), columns, rows], values: values.map((_, i) => values[place(i)] ?? 0) }
}

/** PEFT wraps the model twice; module paths in its files start so. */
export const MODULE_PREFIX = 'base_model.model.'

/** What stands in a file's key for a tensor's short name. */
export type Suffixes = Readonly<Record<string, string>>

/** How the keys of a file are made of a site's path and a tensor's short name. */
export interface ModuleKeys {
  /** Suffixes at a site, or everywhere. */
  readonly at: Suffixes | ((site: Site) => Suffixes)
  /** The path of a site where it is not the site's name. */
  readonly path?: (site: Site, context: FormatContext) => string
  /** The path of a copied parameter where it is not the parameter's own. */
  readonly copy?: (name: string, context: FormatContext) => string
}

/**
 * Keys of methods that PEFT attaches to modules: `base_model.model.<site>.<suffix>`, and parameters trained as copies
 * under their own names.
 *
 * @example const { toFile, fromFile } = moduleKeys({ at: { A: 'lora_A.weight', B: 'lora_B.weight' } })
 */
export function moduleKeys({ at, path = ({ name }) => name, copy = (name) => name }: ModuleKeys): Record<'toFile' | 'fromFile', FileFormat['fromFile']> {
  const pairs = (context: FormatContext): (readonly [name: string, key: string])[] => [
    ...context.sites.flatMap((site) =>
      Object.entries(typeof at === 'function' ? at(site) : at).map(
        ([short, suffix]) => [`${site.name}.${short}`, `${MODULE_PREFIX}${path(site, context)}.${suffix}`] as const,
      ),
    ),
    ...context.copies.map((name) => [name, MODULE_PREFIX + copy(name, context)] as const),
  ]
  const rename = (tensors: NamedTensors, names: ReadonlyMap<string, string>, other: (name: string) => string): NamedTensors =>
    new Map([...tensors].map(([old, tensor]) => [names.get(old) ?? other(old), tensor]))
  return {
    toFile: (tensors, context) => rename(tensors, new Map(pairs(context)), (name) => MODULE_PREFIX + name),
    // A key without the prefix stays as it is: no place has such a name, and it is reported as unexpected.
    fromFile: (tensors, context) =>
      rename(tensors, new Map(pairs(context).map(([name, key]) => [key, name])), (key) =>
        key.startsWith(MODULE_PREFIX) ? key.slice(MODULE_PREFIX.length) : key,
      ),
  }
}
