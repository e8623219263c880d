// Whether workers are about to train the same: what one does otherwise than the others would end in another result, or in waiting.

import { createHash } from 'node:crypto'
import type { Variable } from '@tensorflow/tfjs-core'
import { nativeSources } from '../base/engine/load-native.ts'
import { read } from '../base/engine/read.ts'
import { nativeState } from '../base/engine/native.ts'
import { engineVersion, libraryVersion } from '../base/engine/version.ts'
import { InputError } from '../errors.ts'
import { areBatches } from './batches.ts'
import { withClassNumbers } from './class-names.ts'
import { differencesOf, rowsHash, type Settings } from './settings.ts'
import type { CompleteOptions, TrainerOptions } from './trainer-options.ts'
import { gather, type Workers } from './workers.ts'

/** @throws InputError on all of them, where one differs from the first, with each difference */
export async function checkAgreement(
  workers: Workers, options: CompleteOptions<TrainerOptions>, trainable: Readonly<Record<string, Variable>>, settings: Settings,
): Promise<void> {
  const { model, evaluate, evaluateEvery, checkpoints, nonFinite } = options
  const own: Settings = {
    ...versions(),
    ...settings,
    evaluate: evaluate === undefined ? 'none' : areBatches(evaluate) ? 'batches' : rowsHash(withClassNumbers(model, evaluate)),
    evaluateEvery: evaluateEvery ?? 'every epoch', nonFinite,
    checkpoints: checkpoints === undefined ? 'none' : String(checkpoints.every ?? 'every epoch'),
    'numbers of the model': await digestOf([...model.parts.params].map(([name, weight]) => [name, () => weight.float32()])),
    'numbers at the start': await digestOf(Object.entries(trainable).map(([name, variable]) => [name, () => variable])),
  }
  const told = await gather(workers, own)
  const problems = told.flatMap((theirs, rank) => differencesOf(theirs, told[0] ?? own).map((difference) => `worker ${rank} and worker 0: ${difference}`))
  if (problems.length > 0) throw new InputError('The workers would not train the same. Start all with one program, on the same files:', problems)
}

/** What computes: others round otherwise, and the weights would drift apart. */
function versions(): Settings {
  const native = nativeState()
  return {
    'tfjs-peft': libraryVersion(),
    node: process.version,
    tensorflow: engineVersion(),
    kernels: native.loaded ? `${native.instructionSet} of ${nativeSources().hash}` : 'composed',
  }
}

async function digestOf(tensors: readonly (readonly [name: string, make: Parameters<typeof read>[0]])[]): Promise<string> {
  const hash = createHash('sha256')
  for (const [name, make] of tensors) {
    const values = await read(make)
    hash.update(`${name} ${values.length}\n`).update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  }
  return `#${hash.digest('hex').slice(0, 16)}`
}
