// The program at the other end: llama.cpp, as npm has it built. It is put into the cache the first time, without its builds for GPUs, which take
// hundreds of megabytes, and runs in a process of its own: what it does not like ends it.

import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const VERSION = '3.22.1'

/** What is asked of a file: what it gives for tokens and texts. */
export interface Asked {
  readonly model: string
  readonly lora?: readonly { readonly file: string; readonly scale: number }[]
  /** Tokens of the largest text; llama.cpp takes 256 at least. */
  readonly context?: number
  readonly ids: readonly number[]
  /** How many tokens are written behind them. */
  readonly count?: number
  readonly texts?: readonly string[]
}

export interface Answer {
  /** Of the token behind the ids, by token. */
  readonly probabilities: readonly number[]
  readonly written: readonly number[]
  readonly tokens: readonly (readonly number[])[]
}

/** Its answers, all from one process. */
export async function askLlamaCpp(asked: readonly Asked[]): Promise<readonly Answer[]> {
  const program = fileURLToPath(new URL('llama-cpp-run.mjs', import.meta.url))
  const { stdout } = await promisify(execFile)('node', [program, installed(), JSON.stringify(asked)], { maxBuffer: 1e8 })
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as readonly Answer[]
}

function installed(): string {
  const cache = process.env['TFJS_PEFT_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tfjs-peft')
  const folder = join(cache, `llama-cpp-${VERSION}`)
  const module = join(folder, 'node_modules', 'node-llama-cpp', 'dist', 'index.js')
  if (!existsSync(module)) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
    const build = `@node-llama-cpp/${process.platform === 'darwin' ? 'mac-arm64-metal' : `linux-${process.arch}`}@${VERSION}`
    execFileSync('npm', ['install', '--omit=optional', '--ignore-scripts', `node-llama-cpp@${VERSION}`, build], { cwd: folder, stdio: 'ignore' })
  }
  return module
}
