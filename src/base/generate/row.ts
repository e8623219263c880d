import type { RandomStream } from '../random.ts'
import { randomStream } from '../random.ts'
import { chooseToken } from './sample.ts'
import type { Settings } from './settings.ts'

/** A text that is being continued. */
export class Row {
  readonly tokens: number[]
  /** How many of the tokens were given. */
  readonly prompt: number
  hasEnded: boolean = false
  readonly #settings: Settings
  readonly #stream: RandomStream

  /** @param index tells its random numbers from those of other rows */
  constructor(prompt: readonly number[], index: number, settings: Settings) {
    this.tokens = [...prompt]
    this.prompt = prompt.length
    this.#settings = settings
    this.#stream = randomStream(settings.seed, 'generate', index)
  }

  get newTokens(): readonly number[] {
    return this.tokens.slice(this.prompt)
  }

  /** Goes on by one token. @param scores of all tokens, which are changed */
  choose(scores: Float32Array): number {
    const { rules, ends, maxNewTokens } = this.#settings
    for (const rule of rules) rule(scores, this.tokens, this.prompt)
    const token = chooseToken(scores, this.#settings, this.#stream)
    this.tokens.push(token)
    this.hasEnded = ends(this.tokens) || this.tokens.length - this.prompt >= maxNewTokens
    return token
  }
}
