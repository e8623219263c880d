// Times each operation in its fused and its composed form, in turns: `npx tsx bench/kernels.ts [rounds]`.
// Prints the median of forward and of forward with backward, in milliseconds, for the shapes of a training step of
// BERT-base (8 x 128 tokens) and of MiniLM (32 x 128 tokens), for one long sequence and for the next token after it.
// Below, products in int8, and what the registers allow: the most that a processor multiplies with nothing from memory (bench/registers.cc).
// At last products with a weight: of a few rows by the kernel for few and by the one for many, from which `fewRows` of their forms follows,
// and of many rows by that and by TensorFlow.

import { cpus, loadavg } from 'node:os'
import * as tf from '@tensorflow/tfjs-core'
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor4D, Variable } from '@tensorflow/tfjs-core'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BFLOAT16_FORM, bfloat16Tensor } from '../src/base/engine/bfloat16.ts'
import { loadEngine } from '../src/base/engine/engine.ts'
import { tensorflow } from '../src/base/engine/tensorflow.ts'
import { INT8 } from '../src/base/engine/int8.ts'
import { findCompiler } from '../src/setup/compiler.ts'
import { path } from './process.ts'
import { FLOAT32 as FLOAT32_KIND, FLOAT32_FORM } from '../src/base/engine/float32.ts'
import type { FrozenWeight } from '../src/base/engine/frozen-weight.ts'
import { fewRows, manyRows } from '../src/base/engine/tensor-weight.ts'
import { fromFloat32 } from '../src/base/checkpoint/dtype.ts'
import { valueAndGrads } from '../src/base/autodiff/grads.ts'
import { op } from '../src/base/autodiff/tape.ts'
import { nativeInstructionSets, useNative } from '../src/base/engine/native.ts'
import { activation, gated } from '../src/base/ops/activation.ts'
import { attend } from '../src/base/ops/attention.ts'
import { crossEntropy } from '../src/base/ops/cross-entropy.ts'
import { dropout } from '../src/base/ops/dropout.ts'
import { lowRank } from '../src/base/ops/low-rank.ts'
import { layerNorm, rmsNorm } from '../src/base/ops/norm.ts'
import { rope, rotation } from '../src/base/ops/rope.ts'

interface Case {
  readonly shape: readonly number[]
  readonly run: (x: Variable) => Tensor
  /** What else gets a gradient. */
  readonly trained?: Readonly<Record<string, Variable>>
}

const rounds = Number(process.argv[2] ?? 15)

await loadEngine()
const best = nativeInstructionSets()[0]
console.log(`${cpus()[0]?.model ?? ''}, ${cpus().length} processors, load ${loadavg()[0]?.toFixed(1) ?? ''}, TensorFlow ${tensorflow()?.binding.TF_Version ?? 'none'}`)
if (best === undefined) throw new Error('There are no fused kernels here; `npx tfjs-peft doctor` says why.')
console.log(`fused kernels: ${best}\n`)
console.log(row('', 'forward', 'composed', '', 'with backward', 'composed', ''))

for (const [name, { shape, run, trained }] of Object.entries(cases())) {
  const x = tf.variable(tf.randomNormal([...shape]))
  const dy = tf.tidy(() => tf.randomNormal(run(x).shape))
  const forward = (): void => tf.dispose(tf.tidy(() => run(x)))
  const both = (): void => {
    const loss = (y: Tensor): Scalar => op([y], () => tf.sum<Scalar>(tf.mul(y, dy)), (d) => [tf.mul(d, dy)])
    const { value, grads } = valueAndGrads(() => loss(run(x)), { x, ...trained })
    tf.dispose([value, ...Object.values(grads)])
  }
  const [f, b] = [inForms(forward), inForms(both)]
  console.log(row(`${name} [${shape.join(', ')}]`, ...columns(f), ...columns(b)))
  tf.dispose([x, dy])
}

await printInt8()

console.log(`\n${row('(rows, 768) by 12 weights (3072, 768)', 'float32 few', 'many', '', 'bfloat16 few', 'many', '')}`)
const weights = Array.from({ length: 12 }, () => tf.randomNormal<tf.Rank.R2>([3072, 768])) // more than a cache holds
const halves = weights.map((weight) => bfloat16Tensor({ dtype: 'BF16', shape: weight.shape, data: fromFloat32(weight.dataSync<'float32'>(), 'BF16') }) as Tensor2D)
const forms = [[weights, FLOAT32_FORM], [halves, BFLOAT16_FORM]] as const
for (const rows of [1, 2, 4, 8, 10, 12, 16, 24, 32]) {
  const x = tf.randomNormal<tf.Rank.R2>([rows, 768])
  const times = forms.flatMap(([all, form]) => columns(inTurns(over(all, (weight) => fewRows(form, x, weight)), over(all, (weight) => manyRows(form, x, weight, true)))))
  console.log(row(String(rows), ...times))
  x.dispose()
}

console.log(`\n${row('(rows, 768) by 12 weights (3072, 768)', 'float32 kernel', 'TensorFlow', '', 'bfloat16 kernel', 'TensorFlow', '')}`)
for (const rows of [64, 256, 1024, 4096]) {
  const x = tf.randomNormal<tf.Rank.R2>([rows, 768])
  const times = forms.flatMap(([all, form]) => columns(inTurns(over(all, (weight) => manyRows(form, x, weight, true)), over(all, (weight) => form.byRuntime(x, weight, true)))))
  console.log(row(String(rows), ...times))
  x.dispose()
}

/** Products of an int8 weight in float32 and in int8, both ways. */
async function printInt8(): Promise<void> {
  console.log(`\n${row('GOP/s, 1024 rows by a weight (3072, 768)', 'float32', 'int8', '')}`)
  const weight = tf.randomNormal([3072, 768])
  const weights: readonly FrozenWeight[] = [FLOAT32_KIND, INT8].map((kind) => kind.of(weight))
  weight.dispose()
  const [x, dy] = [tf.randomNormal<tf.Rank.R2>([1024, 768]), tf.randomNormal<tf.Rank.R2>([1024, 3072])]
  const works = [(weight: FrozenWeight) => weight.timesTransposed(x), (weight: FrozenWeight) => weight.times(dy)]
  for (const [i, work] of works.entries()) {
    const times = inTurns(...(weights.map((weight) => () => { work(weight).dispose() }) as [() => void, () => void]))
    const speeds = times.map((time) => ((2 * 1024 * 3072 * 768) / time / 1e6).toFixed(0))
    console.log(row(i === 0 ? 'x Wᵀ' : 'dy W', ...speeds, `${(times[0] / times[1]).toFixed(1)}x`))
  }
  for (const weight of weights) weight.dispose()
  tf.dispose([x, dy])
  const folder = mkdtempSync(join(tmpdir(), 'tfjs-peft-registers-'))
  try {
    const program = join(folder, 'registers')
    execFileSync((await findCompiler()) ?? 'g++', ['-O3', '-march=native', '-pthread', path('registers.cc'), '-o', program])
    console.log(`the registers allow, on ${cpus().length} threads: ${execFileSync(program, [String(cpus().length)], { encoding: 'utf8' }).trim().split('\n').join(', ')}`)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function over(weights: readonly Tensor2D[], product: (weight: Tensor2D) => Tensor2D): () => void {
  return () => { for (const weight of weights) product(weight).dispose() }
}

function cases(): Record<string, Case> {
  const ones = (size: number): Tensor1D => tf.ones([size]) // parameters: they outlive the backward pass
  const norm = (size: number): Case['run'] => {
    const [gamma, beta] = [ones(size), tf.zeros<tf.Rank.R1>([size])]
    return (x) => layerNorm(x as unknown as Tensor2D, gamma, beta, 1e-12, x as unknown as Tensor2D)
  }
  const pair = (rows: number, rank: number): Case => {
    const [a, b] = [tf.variable(tf.randomNormal<tf.Rank.R2>([rank, 768])), tf.variable(tf.randomNormal<tf.Rank.R2>([768, rank]))]
    const of = (tensor: Tensor): Tensor2D => tensor as Tensor2D
    return { shape: [rows, 768], run: (x) => lowRank(of(x), of(a), of(b), 2, of(x)), trained: { a, b } }
  }
  const gamma = ones(768)
  const labels = tf.zeros<tf.Rank.R1>([512], 'int32')
  const attention = (x: Tensor, rate: number, causal = false): Tensor => {
    const q = x as Tensor4D
    return attend({ q, k: q, v: q, scale: 1 / Math.sqrt(width(x)), causal, dropout: rate > 0 ? { rate, seed: [1, 2] } : undefined })
  }
  const next = (length: number): Case['run'] => {
    const [k, v] = [tf.randomNormal<tf.Rank.R4>([1, length, 12, 64]), tf.randomNormal<tf.Rank.R4>([1, length, 12, 64])]
    return (x) => attend({ q: x as unknown as Tensor4D, k, v, scale: 1 / 8, causal: true })
  }
  return {
    'layer norm + residual': { shape: [1024, 768], run: norm(768) },
    'layer norm + residual ': { shape: [4096, 384], run: norm(384) },
    'RMS norm': { shape: [1024, 768], run: (x) => rmsNorm(x as unknown as Tensor2D, gamma, 1e-6) },
    gelu: { shape: [1024, 3072], run: (x) => activation('gelu', x) },
    'gelu ': { shape: [4096, 1536], run: (x) => activation('gelu', x) },
    gelu_new: { shape: [1024, 3072], run: (x) => activation('gelu_new', x) },
    'gated silu': { shape: [1024, 3072], run: (x) => gated<Tensor>('silu', x, x) },
    dropout: { shape: [4096, 384], run: (x) => dropout(x, 0.1, [1, 2]) },
    attention: { shape: [8, 128, 12, 64], run: (x) => attention(x, 0) },
    'attention, dropout': { shape: [8, 128, 12, 64], run: (x) => attention(x, 0.1) },
    'attention ': { shape: [32, 128, 12, 32], run: (x) => attention(x, 0) },
    'attention, dropout ': { shape: [32, 128, 12, 32], run: (x) => attention(x, 0.1) },
    'attention  ': { shape: [1, 1024, 12, 64], run: (x) => attention(x, 0) },
    'attention   ': { shape: [2, 1024, 12, 32], run: (x) => attention(x, 0) },
    'attention, causal': { shape: [1, 1024, 12, 64], run: (x) => attention(x, 0, true) },
    'attention, one query of 960 keys': { shape: [1, 1, 12, 64], run: next(960) },
    'y + LoRA of rank 8': pair(1024, 8),
    'y + LoRA of rank 64': pair(1024, 64),
    'y + LoRA of rank 8 ': pair(1, 8),
    'rotary positions': { shape: [1, 1024, 12, 64], run: (x) => rope(x as unknown as Tensor4D, rotation(tf.range(0, 1024), 1, new Float32Array(32).fill(0.1))) },
    'cross entropy': { shape: [512, 30522], run: (x) => crossEntropy(x as unknown as Tensor2D, labels) },
  }
}

function width(x: Tensor): number {
  return x.shape.at(-1) ?? 1
}

/** The fused and the composed form. */
function inForms(work: () => void): readonly [number, number] {
  const as = (form: string | undefined) => (): void => {
    useNative(form)
    work()
  }
  const times = inTurns(as(best), as(undefined))
  useNative(best)
  return times
}

/** Median milliseconds of both; they take turns, so that other work on the machine hits both alike. */
function inTurns(...works: readonly [() => void, () => void]): readonly [number, number] {
  const times: [number[], number[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    for (const [i, work] of works.entries()) {
      work() // whatever the other left cold
      const start = performance.now()
      work()
      times[i]?.push(performance.now() - start)
    }
  }
  return times.map((each) => each.sort((a, b) => a - b)[rounds >> 1] ?? NaN) as [number, number]
}

function columns([fused, composed]: readonly [number, number]): string[] {
  return [fused.toFixed(2), composed.toFixed(2), `${(composed / fused).toFixed(1)}x`]
}

function row(name: string, ...numbers: readonly string[]): string {
  return name.padEnd(42) + numbers.map((text) => text.padStart(14)).join('')
}
