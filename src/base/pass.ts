import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, Tensor1D, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core'
import type { Memory, SharedTensors } from './generate/cache.ts'
import { isDifferentiable } from './autodiff/tape.ts'
import type { Batch } from './batch.ts'
import { float32Weight } from './engine/float32.ts'
import { inFloat32, type FrozenWeight } from './engine/frozen-weight.ts'
import { keptLayers, keptTower, placesBetween, placesIn, type KeptLayers } from './kept-rows.ts'
import { runLayers } from './layers.ts'
import { add } from './ops/algebra.ts'
import { attend } from './ops/attention.ts'
import { dropout } from './ops/dropout.ts'
import { groupedLinear } from './ops/experts.ts'
import { linear } from './ops/linear.ts'
import { lookup } from './ops/lookup.ts'
import { layerNorm, rmsNorm } from './ops/norm.ts'
import { widerBorders } from './ops/packed.ts'
import { checkPositions } from './packed-rows.ts'
import { randomStream } from './random.ts'
import type { AttentionOptions, ExpertsOptions, LayersOptions, LinearOptions, ResidualOptions, SequenceOptions } from './pass-options.ts'
import { inTower, type Grouped, type Join, type ParameterSpec, type Sequence, type Tower } from './sites.ts'
import type { Around, Handlers, PassState } from './pass-state.ts'
import type { AttentionCall } from './ops/attention-call.ts'

export type { Around, Handlers, PassState }

/**
 * One forward pass, seen from one place of the model. A model is written in its verbs: each fetches the parameters
 * it needs by the name it is called with, and is a place where attached methods step in. Activations are
 * (B·T, D): one row for each token.
 */
export class Pass {
  readonly #state: PassState
  /** Where this pass stands, as a dotted module path. */
  readonly path: string

  constructor(state: PassState, path = '') {
    this.#state = state
    this.path = path
  }

  /** The same pass, one module deeper. @param tower what is below it is one of the model's towers. Default: as here */
  at(name: string, { tower }: { readonly tower?: Tower } = {}): Pass {
    const { tracer, kept } = this.#state
    const inside = tower === undefined ? {} : { ...(tracer === undefined ? {} : { tracer: inTower(tracer, tower) }), ...(kept === undefined ? {} : { kept: keptTower(kept) }) }
    return new Pass({ ...this.#state, ...inside }, this.#full(name))
  }

  /**
   * The same modules, used once more in this pass: their places are known, and what is drawn at them is drawn anew.
   *
   * @param turn how often they were used before
   */
  again(turn: number): Pass {
    const { tracer, turn: outer = 0 } = this.#state
    if (turn === 0) return this
    return new Pass({ ...this.#state, turn: outer + turn, ...(tracer === undefined ? {} : { tracer: { ...tracer, site: () => undefined } }) }, this.path)
  }

  get training(): boolean { return this.#state.training }

  /** Whether layers run again in the backward pass. */
  get gradientCheckpointing(): boolean { return this.#state.gradientCheckpointing === true }

  /** Whether layers that do not change may be left out, as what they give is kept. */
  get keepsRows(): boolean { return this.#state.kept !== undefined }

  /** Whether keys and values are kept for later passes. */
  get isCached(): boolean { return this.#state.cache !== undefined }

  /** Whether padding is to be left out. */
  get packs(): boolean { return this.#state.packs === true }

  /** The same pass, over rows that stand one behind the other. */
  between(borders: readonly number[]): Pass {
    return new Pass({ ...this.#state, borders }, this.path)
  }

  /** The same pass, over padded rows. */
  over(batch: Pick<Batch, 'mask' | 'batch' | 'length'>): Pass {
    return this.#state.kept === undefined ? this : new Pass({ ...this.#state, places: placesIn(batch) }, this.path)
  }

  /** A parameter of this module by itself; `spec.shape` is what the checkpoint must hold. */
  param(name: string, spec: ParameterSpec): Tensor {
    const full = this.#full(name)
    if (this.#state.tracer === undefined) return inFloat32(this.#state.param(full))
    this.#state.tracer.param(full, spec)
    return tf.zeros([...spec.shape])
  }

  /** x (N, in) to (N, size) through `name.weight` (size, in) and `name.bias` (size). */
  linear(name: string, x: Tensor2D, size: number, options: LinearOptions = {}): Tensor2D {
    const full = this.#full(name)
    const weight = `${full}.weight`
    const biasName = options.bias === false ? undefined : `${full}.bias`
    const { tracer, param, handlers } = this.#state
    if (tracer !== undefined) {
      const { role, transposed = false } = options
      const kernel = options.kernel === undefined ? {} : { kernel: options.kernel }
      tracer.param(weight, { shape: [size, x.shape[1]], init: 'normal', part: 'weight', ...(transposed ? { transposed } : {}), ...kernel })
      if (biasName !== undefined) tracer.param(biasName, { shape: [size], init: 'zeros', part: 'bias' })
      tracer.site({ kind: 'linear', name: full, inSize: x.shape[1], outSize: size, role, weight, bias: biasName, ...kernel })
      return tf.zeros([x.shape[0], size])
    }
    const plain = (input: Tensor2D): Tensor2D =>
      linear(input, param(weight) as FrozenWeight | Tensor2D, biasName === undefined ? undefined : (inFloat32(param(biasName)) as Tensor1D))
    return this.#around(handlers.linear.get(full), x, plain)
  }

  /** How many numbers `linear` gives for a row: as many as the weight has rows now, which may be another one than the model was read with. */
  outputsOf(name: string): number {
    return this.#state.param(`${this.#full(name)}.weight`).shape[0]
  }

  /** Weight and bias of `linear` where the product is that of a frozen weight alone; undefined where a method steps in, or the weight is trained. */
  frozenProduct(name: string, { bias = true }: Pick<LinearOptions, 'bias'> = {}): { readonly weight: FrozenWeight; readonly bias: Tensor1D | undefined } | undefined {
    const full = this.#full(name)
    const { param, handlers } = this.#state
    const weight = param(`${full}.weight`)
    if (handlers.linear.has(full) || (weight instanceof tf.Tensor && isDifferentiable(weight))) return undefined
    return {
      weight: weight instanceof tf.Tensor ? float32Weight(weight) : weight,
      bias: bias ? (inFloat32(param(`${full}.bias`)) as Tensor1D) : undefined,
    }
  }

  /** Grouped rows (S, in) to (S, size), each through its expert's part of `name` (count, size, in) and of `name_bias` (count, size). */
  experts(name: string, x: Grouped, size: number, { count, pieces, bias = false, transposed = false }: ExpertsOptions): Tensor2D {
    const weight = this.#full(name)
    const biasName = bias ? `${weight}_bias` : undefined
    const { tracer, param, handlers } = this.#state
    if (tracer !== undefined) {
      const inSize = x.rows.shape[1]
      tracer.param(weight, { shape: [count, size, inSize], init: 'normal', part: 'weight', ...(transposed ? { transposed } : {}), ...(pieces === undefined ? {} : { pieces }) })
      if (biasName !== undefined) tracer.param(biasName, { shape: [count, size], init: 'zeros', part: 'bias' })
      tracer.site({ kind: 'experts', name: weight, count, inSize, outSize: size, weight, bias: biasName })
      return tf.zeros([x.rows.shape[0], size])
    }
    const plain = (input: Grouped): Tensor2D =>
      groupedLinear(input, param(weight) as FrozenWeight | Tensor3D, biasName === undefined ? undefined : (inFloat32(param(biasName)) as Tensor2D))
    return this.#around(handlers.experts.get(weight), x, plain)
  }

  /** Rows of the table `name.weight` (count, size) for ids (N). */
  embedding(name: string, ids: Tensor1D, count: number, size: number): Tensor2D {
    const full = this.#full(name)
    const weight = `${full}.weight`
    const { tracer, param, handlers } = this.#state
    if (tracer !== undefined) {
      tracer.param(weight, { shape: [count, size], init: 'normal', part: 'embedding' })
      tracer.site({ kind: 'embedding', name: full, count, size, weight })
      return tf.zeros([ids.shape[0], size])
    }
    return this.#around(handlers.embedding.get(full), ids, (input) => lookup(param(weight) as FrozenWeight | Tensor2D, input))
  }

  /** Layer norm with `name.weight` and, unless it has no bias, `name.bias`, of x or of x + residual. */
  layerNorm(name: string, x: Tensor2D, epsilon: number, residual?: Tensor2D, { bias = true }: { readonly bias?: boolean | undefined } = {}): Tensor2D {
    const size = x.shape[1]
    const gamma = this.param(`${name}.weight`, { shape: [size], init: 'ones', part: 'norm' }) as Tensor1D
    const beta = bias ? (this.param(`${name}.bias`, { shape: [size], init: 'zeros', part: 'norm' }) as Tensor1D) : undefined
    return layerNorm(x, gamma, beta, epsilon, residual)
  }

  /** Root mean square norm with `name.weight`; zero-centred: with that and 1. */
  rmsNorm(name: string, x: Tensor2D, epsilon: number, { zeroCentred = false }: { readonly zeroCentred?: boolean } = {}): Tensor2D {
    const gamma = this.param(`${name}.weight`, { shape: [x.shape[1]], init: zeroCentred ? 'zeros' : 'ones', part: 'norm' }) as Tensor1D
    return rmsNorm(x, gamma, epsilon, { zeroCentred })
  }

  /**
   * What all passes over a text share: what an encoder gives, keys and values of cross attention. Where a cache goes along,
   * `make` runs in the first pass alone, and the cache holds its tensors; what `make` does on its pass is not a part of the cached text.
   *
   * @param name told apart from other places' of this module
   */
  once<T extends SharedTensors>(name: string, make: (pass: Pass) => T): T {
    const { cache, ...state } = this.#state
    return cache === undefined ? make(this) : cache.once(this.#full(name), () => make(new Pass(state, this.path)))
  }

  /**
   * What earlier passes over the text left here; undefined without a cache, and then nothing is left for later ones.
   *
   * @param name told apart from other places' of this module
   */
  memory(name: string): Memory | undefined {
    return this.#state.cache?.memory(this.#full(name))
  }

  /** The attention product (B, T, H, D) of queries, keys and values: of all tokens so far, in cross attention of those given. */
  attention(name: string, call: AttentionCall, { cross = false, window, keysOf }: AttentionOptions = {}): Tensor4D {
    const full = this.#full(name)
    const { tracer, handlers, cache, borders, kept, ownDropout = true } = this.#state
    const [, length, heads, headSize] = call.q.shape
    const source = keysOf === undefined ? full : this.#full(keysOf)
    tracer?.site({ kind: 'attention', name: full, heads, kvHeads: call.k.shape[2], headSize, cross, ...(source === full ? {} : { keysOf: source }) })
    const asked = ownDropout ? call : { ...call, dropout: undefined }
    if (kept !== undefined && (asked.dropout?.rate ?? 0) > 0) kept.draws.any = true
    const whole = cache === undefined || cross ? asked : source === full ? cache.extend(full, asked) : cache.extended(source, asked)
    return this.#around(handlers.attention.get(source), { ...whole, window, borders: borders === undefined ? undefined : widerBorders(borders, length) }, attend)
  }

  /** x + branch(x), with the norms before or after that the model has. */
  residual(name: string, x: Tensor2D, options: ResidualOptions, branch: (input: Tensor2D) => Tensor2D): Tensor2D {
    const { part, preNorm, postNorm, norm: kind = 'layer', epsilon, bias, leaves = () => [] } = options
    const full = this.#full(name)
    const { tracer, handlers } = this.#state
    tracer?.site({ kind: 'residual', name: full, size: x.shape[1], part })
    const normed = (before: string): Tensor2D =>
      kind === 'layer' ? this.layerNorm(before, x, epsilon, undefined, { bias }) : this.rmsNorm(before, x, epsilon, { zeroCentred: kind !== 'rms' })
    const input = preNorm === undefined ? x : normed(preNorm)
    const norm = postNorm === undefined ? undefined : (y: Tensor2D): Tensor2D => this.layerNorm(postNorm, y, epsilon, undefined, { bias })
    const rejoin = (join: Join): Tensor2D =>
      postNorm === undefined
        ? add(join.stream, join.branch)
        : this.layerNorm(postNorm, join.branch, epsilon, join.stream, { bias })
    const [result] = tf.tidy(() => [branch(input), ...leaves()] as const) // what is inside the branch alone is gone before the next begins
    return this.#around(handlers.residual.get(full), { input, branch: result, stream: x, norm }, rejoin)
  }

  /** The rows before positions and layers. */
  sequence(name: string, sequence: Sequence, { maxLength, table, besides }: SequenceOptions): Sequence {
    const full = this.#full(name)
    const { tracer, handlers, cache } = this.#state
    tracer?.site({
      kind: 'sequence', name: full, size: sequence.rows.shape[1], maxLength,
      table: table === undefined ? undefined : `${this.#full(table)}.weight`,
      ...(besides === undefined ? {} : { besides: besides.map((other) => `${this.#full(other)}.weight`) }),
    })
    const begin = (rows: Sequence): Sequence => this.#around(handlers.sequence.get(full), rows, (same) => same)
    const result = cache === undefined ? begin(sequence) : cache.continue(sequence, begin)
    checkPositions(sequence, result, maxLength)
    return result
  }

  /**
   * Runs x through `name.0` … `name.(count − 1)`; what a layer leaves behind is freed when it ends.
   *
   * @param context what the layers use besides their input
   */
  layers(
    name: string, count: number, x: Tensor2D, context: object, layer: (pass: Pass, x: Tensor2D, index: number) => Tensor2D,
    { leaves = () => false }: LayersOptions = {},
  ): Tensor2D {
    const { gradientCheckpointing = false } = this.#state
    const run = (input: Tensor2D, i: number): Tensor2D => layer(this.at(`${name}.${i}`), input, i)
    return runLayers(x, { count, context, layer: run, leaves, gradientCheckpointing, kept: this.#keptLayers(name, x) })
  }

  /** Dropout while training; `name` tells the places of one module apart. */
  dropout<T extends Tensor>(name: string, x: T, rate: number): T {
    const { kept, ownDropout = true } = this.#state
    if (!this.training || rate === 0 || !ownDropout) return x
    if (kept !== undefined) kept.draws.any = true
    return dropout(x, rate, this.seedOf(name))
  }

  /** The random seed of a place: the same for each run of this pass, different from every other place's. */
  seedOf(name: string): readonly [number, number] {
    const { seed, turn = 0 } = this.#state
    const draw = randomStream(seed, turn === 0 ? this.#full(name) : `${this.#full(name)} ${turn}`)
    return [draw() | 0, draw() | 0]
  }

  #full(name: string): string {
    return this.path === '' ? name : `${this.path}.${name}`
  }

  #around<In, Out>(handler: Around<In, Out> | undefined, input: In, plain: (input: In) => Out): Out {
    if (handler === undefined) return plain(input)
    return handler(input, plain, this.#state.ownDropout === false ? new Pass({ ...this.#state, ownDropout: true }, this.path) : this)
  }

  #keptLayers(name: string, x: Tensor2D): KeptLayers | undefined {
    const { kept, borders, places } = this.#state
    return kept === undefined ? undefined : keptLayers(kept, this.#full(name), x, borders === undefined ? places : placesBetween(borders))
  }
}
