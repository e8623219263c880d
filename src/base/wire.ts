import type { Site } from './sites.ts'
import type { Need } from './survey.ts'

/** A tensor on its way to or from an adapter's file. */
export interface NamedTensor {
  readonly shape: readonly number[]
  readonly values: Float32Array
}

export type NamedTensors = ReadonlyMap<string, NamedTensor>

/** What a file's settings may depend on. */
export interface WireContext {
  /** The sites the adapter has taken, and all the model has. */
  readonly sites: readonly Site[]
  readonly all: readonly Site[]
  /** Parameters the method itself trains as copies, and all the model has. */
  readonly copies: readonly string[]
  readonly params: ReadonlyMap<string, Need>
}

/** One method's part of an adapter's files, in HF PEFT's words; those words are used nowhere else. */
export interface Wire {
  /** `peft_type` in adapter_config.json. */
  readonly type: string
  /** Whose files they are: HF PEFT's, or AdapterHub's for what PEFT does not have. @default 'peft' */
  readonly format?: 'peft' | 'adapter-hub'
  /** Every field of adapter_config.json that is the method's; one that nobody knows is reported, and kept. */
  readonly fields?: readonly string[]
  /** The method's fields of adapter_config.json, as they are written. */
  readonly config: (context: WireContext) => Readonly<Record<string, unknown>>
  /** From this library's names, `<site>.<short name>`, to the keys of the file and back. */
  readonly toFile: (tensors: NamedTensors, context: WireContext) => NamedTensors
  readonly fromFile: (tensors: NamedTensors, context: WireContext) => NamedTensors
}

/** PEFT wraps the model twice; module paths in its files start so. */
const MODULE_PREFIX = 'base_model.model.'

/**
 * Keys of methods that PEFT attaches to modules: `base_model.model.<site>.<suffix>`, and parameters trained as copies
 * under their own names.
 *
 * @param suffixes short name to what stands for it in the file
 * @example const { toFile, fromFile } = moduleKeys({ A: 'lora_A.weight', B: 'lora_B.weight' })
 */
export function moduleKeys(suffixes: Readonly<Record<string, string>>): Pick<Wire, 'toFile' | 'fromFile'> {
  const rename = (tensors: NamedTensors, name: (old: string) => string): NamedTensors =>
    new Map([...tensors].map(([old, tensor]) => [name(old), tensor]))
  const pairs = Object.entries(suffixes).map(([short, suffix]) => [`.${short}`, `.${suffix}`] as const)
  return {
    toFile: (tensors) =>
      rename(tensors, (name) => {
        const pair = pairs.find(([short]) => name.endsWith(short))
        return MODULE_PREFIX + (pair === undefined ? name : name.slice(0, -pair[0].length) + pair[1])
      }),
    fromFile: (tensors) =>
      rename(tensors, (key) => {
        if (!key.startsWith(MODULE_PREFIX)) return key // no place has such a name: reported as unexpected
        const path = key.slice(MODULE_PREFIX.length)
        const pair = pairs.find(([, suffix]) => path.endsWith(suffix))
        return pair === undefined ? path : path.slice(0, -pair[1].length) + pair[0]
      }),
  }
}
