// Models and adapters that were saved here, run by HF transformers and HF PEFT.

import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, inject } from 'vitest'
import { openSafetensors } from '../../src/advanced.ts'
import { largestDifference } from '../golden.ts'
import { peerScript } from './python.ts'

/** See bench/peers/saved_adapters.py. */
export interface SavedJob {
  readonly name: string
  readonly task: string
  readonly base: string
  readonly adapter?: string
  readonly classes?: number
  readonly words?: number
  readonly strict?: boolean
  readonly ids?: readonly (readonly number[])[]
  /** Rows of channels of rows of numbers. */
  readonly pixels?: unknown
  readonly decoderIds?: readonly (readonly number[])[]
  readonly texts?: readonly string[]
}

/**
 * Expects of Python the numbers that are expected under each name: ids exactly, logits within 1e-5 of their size. Of a prompt, for which
 * PEFT gives logits too, those of the text.
 */
export async function expectOfPython(jobs: readonly SavedJob[], expected: ReadonlyMap<string, ArrayLike<number>>, temporary: (name: string) => string): Promise<void> {
  const [asked, answered] = [temporary('jobs.json'), temporary('out.safetensors')]
  await writeFile(asked, JSON.stringify(jobs))
  await promisify(execFile)(inject('python'), [peerScript('saved_adapters.py'), '--jobs', asked, '--out', answered])
  const file = await openSafetensors(answered)
  const off: string[] = []
  for (const [name, values] of expected) {
    const found = Array.from((await file.read(name)).data as ArrayLike<number | bigint>, Number).slice(name.endsWith(' prompt') ? -values.length : 0)
    const size = Math.max(...Array.from(values, Math.abs))
    const difference = found.length === values.length ? largestDifference(values, found) : NaN
    if (!(difference <= (name.endsWith(' ids') ? 0 : 1e-5 * size))) off.push(`${name}: ${difference} of ${size}`)
  }
  await file.close()
  expect(off).toEqual([])
}
