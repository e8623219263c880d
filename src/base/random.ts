import { sha256 } from '@noble/hashes/sha2.js'
import { InputError } from '../errors.ts'

/** A source of uniformly distributed 32-bit unsigned integers; each call gives the next one. */
export type RandomStream = () => number

const TWO_32 = 2 ** 32

/**
 * A random stream that depends on the seed and the path alone, so that what one site draws does not depend on
 * which other sites drew before it.
 *
 * The generator is xoshiro128** (Blackman and Vigna, 2018): passes BigCrush, period 2^128 - 1, and its 32-bit
 * arithmetic is exact in JavaScript. Its state is the SHA-256 of seed and path, so related paths share nothing.
 *
 * @param seed an integer; 0 is a seed like any other
 * @param path names and integers that say what is drawn; `1` and `'1'` differ
 * @throws InputError when the seed or a number of the path is not a safe integer
 * @example
 * const a = kaimingUniform(randomStream(7, 'encoder.layer.0.query', 'lora_A'), 8 * 384, 384)
 */
export function randomStream(seed: number, ...path: readonly (string | number)[]): RandomStream {
  const parts = [seed, ...path]
  const wrong = parts.filter((part) => typeof part === 'number' && !Number.isSafeInteger(part))
  if (wrong.length > 0) {
    throw new InputError(`randomStream: expected integers as seed and in the path, got ${wrong.join(', ')}. ` +
      'Round the seed, or pass the value as a string.')
  }
  // JSON keeps the borders between parts and tells a number from a string
  const digest = new DataView(sha256(new TextEncoder().encode(JSON.stringify(parts))).buffer)
  let a = digest.getUint32(0, true)
  let b = digest.getUint32(4, true)
  let c = digest.getUint32(8, true)
  let d = digest.getUint32(12, true)
  return () => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0
    const t = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= t
    d = rotateLeft(d, 11)
    return result
  }
}

/**
 * Draws from the uniform distribution on [low, high), rounded to 32-bit floats.
 *
 * @throws InputError when `count` is not a natural number
 * @example
 * const mask = uniform(randomStream(7, 'dropout', step, site), 1024, 0, 1)
 */
export function uniform(stream: RandomStream, count: number, low: number, high: number): Float32Array {
  const values = new Float32Array(checkCount('uniform', count))
  for (let i = 0; i < count; i++) values[i] = low + (high - low) * (stream() / TWO_32)
  return values
}

/**
 * Draws from the normal distribution (Box-Muller; the largest draw is 6.7 standard deviations away).
 *
 * @throws InputError when `count` is not a natural number
 * @example
 * const rows = normal(randomStream(7, 'prompt'), 20 * 384, 0, 0.02)
 */
export function normal(stream: RandomStream, count: number, mean: number, std: number): Float32Array {
  const values = new Float32Array(checkCount('normal', count))
  for (let i = 0; i < count; i += 2) {
    const radius = std * Math.sqrt(-2 * Math.log((stream() + 1) / TWO_32)) // + 1 keeps 0 out of the logarithm
    const angle = 2 * Math.PI * (stream() / TWO_32)
    values[i] = mean + radius * Math.cos(angle)
    values[i + 1] = mean + radius * Math.sin(angle) // a write past the end of a typed array is ignored
  }
  return values
}

/**
 * Draws from U(-1/sqrt(fanIn), 1/sqrt(fanIn)), which is what PEFT's `kaiming_uniform_(a=sqrt(5))` comes to.
 *
 * @param fanIn width of the input the weight multiplies, at least 1
 * @throws InputError when `count` is not a natural number or `fanIn` is less than 1
 * @example
 * const loraA = kaimingUniform(randomStream(7, 'query', 'lora_A'), 8 * 384, 384)
 */
export function kaimingUniform(stream: RandomStream, count: number, fanIn: number): Float32Array {
  if (!(fanIn >= 1)) throw new InputError(`kaimingUniform: expected fanIn of at least 1, got ${fanIn}.`)
  const bound = 1 / Math.sqrt(fanIn)
  return uniform(stream, count, -bound, bound)
}

/**
 * Draws an integer from 0 to `below` - 1, each exactly equally likely.
 *
 * @param below from 1 to 2^32
 * @throws InputError when `below` is out of range
 * @example
 * const row = int(randomStream(7, 'sample'), vocabularySize)
 */
export function int(stream: RandomStream, below: number): number {
  if (!Number.isInteger(below) || below < 1 || below > TWO_32) {
    throw new InputError(`int: expected a bound from 1 to ${TWO_32}, got ${below}.`)
  }
  const limit = TWO_32 - (TWO_32 % below) // draws from here on would favour the small remainders
  let draw = stream()
  while (draw >= limit) draw = stream()
  return draw % below
}

/**
 * Draws an order of 0 .. n - 1 in which every order is equally likely (Fisher-Yates).
 *
 * @throws InputError when `n` is not a natural number
 * @example
 * const order = permutation(randomStream(7, 'shuffle', epoch), rows.length)
 */
export function permutation(stream: RandomStream, n: number): Int32Array {
  const order = Int32Array.from({ length: checkCount('permutation', n) }, (_, i) => i)
  for (let i = n - 1; i > 0; i--) {
    const j = int(stream, i + 1)
    const swapped = order[i] as number // i and j are below n
    order[i] = order[j] as number
    order[j] = swapped
  }
  return order
}

function rotateLeft(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits))
}

function checkCount(caller: string, count: number): number {
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new InputError(`${caller}: expected a natural number of draws, got ${count}.`)
  }
  return count
}
