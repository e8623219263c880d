import { createRequire } from 'node:module'
import { totalmem } from 'node:os'
import * as tf from '@tensorflow/tfjs-core'
import { EngineError } from '../../errors.ts'
import { loadNative } from './load-native.ts'
import { tensorflow } from './tensorflow.ts'

/**
 * Makes a tfjs backend ready: the one the program has already chosen, otherwise the TensorFlow runtime of
 * `@tensorflow/tfjs-node-gpu`. Every loader of this library calls it; calling it again costs nothing.
 *
 * @throws EngineError when no engine can be loaded; `npx tfjs-peft setup` installs one, `npx tfjs-peft doctor` explains
 * @example
 * await loadEngine()
 */
export async function loadEngine(): Promise<void> {
  if (failure !== undefined) throw failure
  const chosen = Object.keys(tf.engine().registryFactory).length > 0 // by the program
  if (!chosen) requireTensorFlow()
  await tf.ready()
  loadNative(tensorflow())
}

/** Why TensorFlow could not be loaded in this process: tfjs has other backends registered then, which nobody chose. */
let failure: EngineError | undefined

function requireTensorFlow(): void {
  prepareProcess()
  try {
    createRequire(import.meta.url)('@tensorflow/tfjs-node-gpu') // an import would go through all of tfjs for its names first
  } catch (cause) {
    failure = new EngineError(
      'No TensorFlow engine: @tensorflow/tfjs-node-gpu could not be loaded. Run `npx tfjs-peft setup`; ' +
        `\`npx tfjs-peft doctor\` says more. (${cause instanceof Error ? firstLine(cause.message) : String(cause)})`,
      [],
      { cause },
    )
    throw failure
  }
}

/** Must run before the native library is loaded: it reads its settings once, at load. */
function prepareProcess(): void {
  // tfjs-node 4.22 calls a function that Node 23 removed.
  const util = createRequire(import.meta.url)('node:util') as Record<string, unknown>
  util['isNullOrUndefined'] ??= (value: unknown): boolean => value === null || value === undefined
  // The runtime's start-up notes are no news to a user of this library. Two lines on oneDNN come while the library is being loaded,
  // before it reads this.
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2'
  // A pool for the tensors, which the runtime has by itself only on processors it uses oneDNN on. Without one the system's
  // allocator scatters what layers keep among what they free, and a step takes half as much memory again.
  process.env['TF_CPU_ALLOCATOR_USE_BFC'] ??= 'true'
  process.env['TF_CPU_BFC_MEM_LIMIT_IN_MB'] ??= String(Math.floor(Math.min(totalmem(), process.constrainedMemory() || Infinity) / 2 ** 20)) // else 64 GB, whatever there is
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? text
}
