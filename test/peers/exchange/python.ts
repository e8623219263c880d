// The Python process of the exchange: requests go in as they come, answers are handed to whoever asked.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { peerScript } from '../python.ts'
import type { Recipe } from './recipe.ts'

export interface Answer {
  /** PEFT or transformers cannot do it themselves; their reason. */
  readonly refused?: string
  /** The script failed. */
  readonly error?: string
  readonly trace?: string
  /** What does not fit in files that were read. */
  readonly problems?: readonly string[]
  /** The adapter_config.json that was written or read, and the keys of the file that was written. */
  readonly config?: Readonly<Record<string, unknown>>
  readonly file?: readonly string[]
}

export interface Peers {
  ask(what: 'make' | 'check', recipe: Recipe, folder: string): Promise<Answer>
  stop(): void
}

export function startPeers(python: string): Peers {
  const child = spawn(python, [peerScript('random_models.py')], { stdio: ['pipe', 'pipe', 'pipe'] })
  const waiting = new Map<number, (answer: Answer) => void>()
  let [last, noise, ended] = [0, '', false]
  child.stderr.on('data', (chunk: Buffer) => (noise = (noise + chunk.toString()).slice(-4000)))
  child.on('close', (code) => {
    ended = true
    for (const answer of waiting.values()) answer({ error: `the Python process ended with ${code}: ${noise}` })
  })
  createInterface({ input: child.stdout }).on('line', (line) => {
    const answer = JSON.parse(line) as Answer & { readonly id: number }
    waiting.get(answer.id)?.(answer)
    waiting.delete(answer.id)
  })
  return {
    ask: (what, recipe, folder) =>
      new Promise((resolve) => {
        const id = ++last
        if (ended) resolve({ error: `the Python process has ended: ${noise}` })
        if (ended) return
        waiting.set(id, resolve)
        child.stdin.write(`${JSON.stringify({ id, do: what, recipe, folder })}\n`)
      }),
    stop: () => child.stdin.end(),
  }
}
