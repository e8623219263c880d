// The Python that has the peers: made or found once for the whole run, handed to the tests.

import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  export interface ProvidedContext {
    readonly python: string
  }
}

/** Absolute path of a file in bench/peers. */
export function peerScript(name: string): string {
  return fileURLToPath(new URL(`../../bench/peers/${name}`, import.meta.url))
}

export function setup(project: TestProject): void {
  const printed = execFileSync(process.execPath, [peerScript('setup.mjs')], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  project.provide('python', printed.trim())
}
