// The Python that has the peers: made or found once for the whole run, handed to the tests.

import { fileURLToPath } from 'node:url'
import type { TestProject } from 'vitest/node'
import { peersPython } from '../../bench/process.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    readonly python: string
    /** The one with AdapterHub's adapters, which pins an older transformers. */
    readonly olderPython: string
  }
}

/** Absolute path of a file in bench/peers. */
export function peerScript(name: string): string {
  return fileURLToPath(new URL(`../../bench/peers/${name}`, import.meta.url))
}

export function setup(project: TestProject): void {
  project.provide('python', peersPython())
  project.provide('olderPython', peersPython('adapters'))
}
