import * as tf from '@tensorflow/tfjs-core'
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { BFLOAT16 } from '../../../src/base/engine/bfloat16.ts'
import { FLOAT32 } from '../../../src/base/engine/float32.ts'
import type { WeightKind } from '../../../src/base/engine/frozen-weight.ts'
import { INT8 } from '../../../src/base/engine/int8.ts'
import { NF4 } from '../../../src/base/engine/nf4.ts'
import { vocabularyLoss, type Block, type VocabularyProduct } from '../../../src/base/ops/vocabulary-loss.ts'
import type { Weighting } from '../../../src/base/ops/weighted-cross-entropy.ts'
import { differentiate, eachForm, numbers, relativeDifference, type Differentiated } from './forms.ts'

const [N, D, V] = [7, 32, 96]
const LABELS = Int32Array.of(3, 0, -100, 95, 17, 17, -100)

interface Case extends Pick<VocabularyProduct, 'factor' | 'cap'> {
  readonly bias?: boolean
  readonly weighting?: Weighting
}

const weights = Float32Array.from({ length: V }, (_, c) => (c % 5 === 0 ? 0 : 1 + (c % 3) / 2))
const CASES: Readonly<Record<string, Case>> = {
  plain: {},
  'a bias': { bias: true },
  'scaled logits': { factor: 0.125 },
  'capped logits': { cap: 3 },
  'scaled and capped logits': { factor: 0.5, cap: 2 },
  'smoothed labels': { bias: true, weighting: { smoothing: 0.1, weights: new Float32Array(V).fill(1) } },
  'weighted classes': { weighting: { smoothing: 0, weights } },
  'weighted classes, smoothed labels, capped logits': { bias: true, factor: 0.7, cap: 4, weighting: { smoothing: 0.2, weights } },
}

/** The formula in float64. */
function exact(x: ArrayLike<number>, table: ArrayLike<number>, bias: ArrayLike<number> | undefined, { factor = 1, cap, weighting }: Case, dy: number): Differentiated {
  const at = (values: ArrayLike<number>, i: number): number => values[i] ?? NaN
  const { smoothing, weights: w } = weighting ?? { smoothing: 0, weights: new Float32Array(V).fill(1) }
  const dx = new Float64Array(N * D)
  let loss = 0
  for (let n = 0; n < N; n++) {
    const y = at(LABELS, n)
    if (y === -100) continue
    const raw = Array.from({ length: V }, (_, c) => Array.from({ length: D }, (_, d) => at(x, n * D + d) * at(table, c * D + d)).reduce((a, b) => a + b) + (bias === undefined ? 0 : at(bias, c)))
    const z = raw.map((each) => (cap === undefined ? factor * each : cap * Math.tanh((factor * each) / cap)))
    const logSum = Math.log(z.reduce((sum, each) => sum + Math.exp(each), 0))
    const target = z.map((_, c) => (c === y ? (1 - smoothing) * at(w, y) : 0) + (smoothing / V) * at(w, c))
    const total = target.reduce((a, b) => a + b)
    loss += target.reduce((sum, t, c) => sum + t * (logSum - at(z, c)), 0)
    z.forEach((each, c) => {
      const inner = cap === undefined ? 1 : 1 - (each / cap) ** 2
      const d = dy * factor * inner * (total * Math.exp(each - logSum) - at(target, c))
      for (let k = 0; k < D; k++) dx[n * D + k] = at(dx, n * D + k) + d * at(table, c * D + k)
    })
  }
  return { y: Float32Array.of(loss), grads: { x: Float32Array.from(dx) } }
}

function compare(kind: WeightKind, { bias: hasBias = false, weighting, ...shape }: Case, block: Block | undefined, [most, mostGrad]: readonly [number, number]): void {
  const before = tf.memory().numTensors
  const [x, table, bias] = [numbers([N, D], 1), numbers([V, D], 2), numbers([V], 3)] as [Tensor2D, Tensor2D, Tensor1D]
  const dy = tf.scalar(0.3)
  const weight = kind.of(table)
  const held = tf.tidy(() => weight.float32().dataSync().slice())
  const actual = differentiate((each) => vocabularyLoss(each.x, { weight, bias: hasBias ? bias : undefined, ...shape }, LABELS, weighting, block), { x }, dy)
  const expected = exact(x.dataSync(), held, hasBias ? bias.dataSync() : undefined, { ...shape, ...(weighting === undefined ? {} : { weighting }) }, 0.3)
  expect(relativeDifference(actual.y, expected.y)).toBeLessThan(most)
  for (const [name, grad] of Object.entries(actual.grads)) expect(relativeDifference(grad, expected.grads[name] ?? []), name).toBeLessThan(mostGrad)
  weight.dispose()
  tf.dispose([x, dy, table, bias])
  expect(tf.memory().numTensors).toBe(before)
}

eachForm('the loss of a vocabulary', () => {
  it.each(Object.entries(CASES))('is the formula in float64, in one block and in many: %s', (_, each) => {
    for (const block of [undefined, { rows: 1, words: V }, { rows: N, words: 16 }, { rows: 3, words: 40 }]) compare(FLOAT32, each, block, [1e-6, 1e-6])
  })

  // the products round what they take, which is theirs to say: see their own tests
  it.each([['bfloat16', BFLOAT16, 5e-3], ['int8', INT8, 2e-2], ['nf4', NF4, 1e-5]] as const)('takes a table held as %s', (_, kind, most) => {
    for (const words of [V, 32]) compare(kind, { cap: 5 }, { rows: 2, words }, [most, most])
  })

  it('has the small gradient of labels that are near certain, where products round each row by its largest number', () => {
    const weight = INT8.of(numbers([V, D], 2))
    const table = tf.tidy(() => weight.float32().dataSync().slice())
    const x = Float32Array.from({ length: N * D }, (_, i) => 0.4 * (table[Math.max(0, LABELS[Math.floor(i / D)] ?? 0) * D + (i % D)] ?? NaN))
    const { grads } = differentiate((each) => vocabularyLoss(each.x, { weight }, LABELS, undefined, { rows: N, words: 32 }), { x: tf.tensor2d(x, [N, D]) }, tf.scalar(1))
    const expected = exact(x, table, undefined, {}, 1).grads['x'] ?? []
    const off = Math.max(...[...expected].map((e, i) => Math.abs(e - (grads['x']?.[i] ?? NaN))))
    expect(off / Math.max(...[...expected].map(Math.abs))).toBeLessThan(1e-2)
    weight.dispose()
  })

  it('counts no row without a label, whatever is in it, and is 0 of such rows alone', () => {
    const weight = FLOAT32.of(numbers([V, D], 2))
    const x = tf.concat([tf.fill([1, D], NaN), numbers([1, D], 1)]) as Tensor2D
    const { y, grads } = differentiate(({ x }) => vocabularyLoss(x, { weight }, Int32Array.of(-100, 4)), { x }, tf.scalar(1))
    const alone = differentiate(({ x }) => vocabularyLoss(x, { weight }, Int32Array.of(4)), { x: tf.slice(x, [1, 0]) }, tf.scalar(1))
    expect(relativeDifference(y, alone.y)).toBeLessThan(1e-6)
    expect(relativeDifference((grads['x'] ?? []).slice(D), alone.grads['x'] ?? [])).toBeLessThan(1e-6)
    expect(new Set((grads['x'] ?? []).slice(0, D))).toEqual(new Set([0]))
    const none = differentiate(({ x }) => vocabularyLoss(x, { weight }, Int32Array.of(-100)), { x: tf.slice(x, [1, 0]) }, tf.scalar(1))
    expect([...none.y, ...(none.grads['x'] ?? [])].every((each) => each === 0)).toBe(true)
    weight.dispose()
    tf.dispose(x)
  })

  it('leaves its input as it was', () => {
    const x = numbers([N, D], 1) as Tensor2D
    const before = x.dataSync().slice()
    const weight = FLOAT32.of(numbers([V, D], 2))
    tf.tidy(() => vocabularyLoss(x, { weight, cap: 2 }, LABELS))
    expect(x.dataSync()).toEqual(before)
    weight.dispose()
    x.dispose()
  })
})
