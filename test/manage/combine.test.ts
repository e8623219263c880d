import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { detach } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import type { FrozenWeight } from '../../src/base/engine/frozen-weight.ts'
import { paramOf } from '../../src/base/parameters.ts'
import { saveAdapter } from '../../src/base/checkpoint/adapter-file.ts'
import type { Model } from '../../src/base/model.ts'
import { weightSites } from '../../src/base/adapter/targets.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { dora } from '../../src/lora/dora.ts'
import { ia3 } from '../../src/lora/ia3.ts'
import { lora, type LoraOptions } from '../../src/lora/lora.ts'
import { setActive, withAdapters } from '../../src/manage/active.ts'
import { combine, type CombineKind, type Part } from '../../src/manage/combine.ts'
import { combineValues } from '../../src/manage/rules.ts'
import { bitFit } from '../../src/selective/bitfit.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath, largestDifference, readGolden, valuesOf, type Golden } from '../golden.ts'
import { attachTrained, eachTinyModel, forward } from './models.ts'

const temporary = temporaryFolder()
let model: Model
eachTinyModel((each) => { model = each })

type Matrix = readonly (readonly number[])[]

/** The update of an adapter at a module, s·B A in float64, from its tensors and options alone. */
function deltaOf(adapter: Adapter, site: string, { rank = 8, alpha = 8, rankStabilized = false }: LoraOptions): Matrix | undefined {
  const own = (local: string): Matrix | undefined => {
    const tensor = adapter.trainable[`${site}.${local}`] ?? adapter.frozen[`${site}.${local}`]
    return tensor === undefined ? undefined : (tensor as tf.Tensor2D).arraySync()
  }
  const scale = alpha / (rankStabilized ? Math.sqrt(rank) : rank)
  const [A, B, A0, B0] = ['A', 'B', 'A0', 'B0'].map(own)
  if (A === undefined || B === undefined) return undefined
  const product = (b: Matrix, a: Matrix): Matrix => b.map((row) => (a[0] ?? []).map((_, j) => row.reduce((sum, x, k) => sum + x * (a[k]?.[j] ?? NaN), 0) * scale))
  const delta = product(B, A)
  return A0 === undefined || B0 === undefined ? delta : sumOf([delta, product(B0, A0)], [1, -1])
}

function sumOf(matrices: readonly Matrix[], weights: readonly number[]): Matrix {
  return (matrices[0] ?? []).map((row, i) => row.map((_, j) => matrices.reduce((sum, m, k) => sum + (m[i]?.[j] ?? NaN) * (weights[k] ?? NaN), 0)))
}

/** Different ranks, scales, patterns, targets and starts: what PEFT's add_weighted_adapter has been found wrong on. */
const PARTS: readonly { readonly name: string; readonly options: LoraOptions; readonly weight: number; readonly sizes?: Readonly<Record<string, LoraOptions>> }[] = [
  { name: 'plain', options: { rank: 4, alpha: 8 }, weight: 0.7 },
  { name: 'stabilized', options: { rank: 6, alpha: 3, rankStabilized: true, targets: ['query', 'key'] }, weight: -0.4 },
  {
    name: 'patterns',
    options: { rank: 2, alpha: 4, targets: ['query', 'value'], rankPattern: { value: 3 }, alphaPattern: { value: 5, '0.*query': 1 } },
    weight: 1.3,
    sizes: { value: { rank: 3, alpha: 5 }, '0.attention.self.query': { rank: 2, alpha: 1 } },
  },
  { name: 'from the weight', options: { rank: 3, alpha: 3, init: 'pissa', rankStabilized: true, targets: ['value', 'word_embeddings'] }, weight: 0.5 },
]

function attachParts(): { readonly adapters: readonly Adapter[]; readonly parts: readonly Part[] } {
  const adapters = PARTS.map(({ name, options }) => attachTrained(model, name, lora(options)))
  return { adapters, parts: PARTS.map(({ name, weight }) => ({ adapter: name, weight })) }
}

describe('an exact combination', () => {
  it.each<[CombineKind, number | undefined]>([['cat', undefined], ['svd', 32]])('%s is the weighted sum of the updates, in float64', (kind, rank) => {
    const { adapters, parts } = attachParts()
    const mix = combine(model, parts, { kind, name: 'mix', ...(rank === undefined ? {} : { rank }) })
    for (const { name: site } of weightSites(mix.sites)) {
      const terms = PARTS.map(({ options, sizes, weight }, i) => {
        const own = Object.entries(sizes ?? {}).find(([end]) => site.endsWith(end))?.[1]
        return { delta: deltaOf(adapters[i] as Adapter, site, { ...options, ...own }), weight }
      }).filter((term): term is { delta: Matrix; weight: number } => term.delta !== undefined)
      const expected = sumOf(terms.map(({ delta }) => delta), terms.map(({ weight }) => weight))
      const found = mix.trainable[`${site}.A`]?.shape[0] ?? 0
      const actual = deltaOf(mix, site, { rank: found, alpha: found }) ?? []
      expect(largestDifference(actual.flat(), expected.flat()), site).toBeLessThan(2e-6)
    }
    expect(mix.sites).toHaveLength(3 * 3 + 1)
  })

  it('with weights 1 computes what all of them do together, also after its files', async () => {
    const { parts } = attachParts()
    setActive(model, PARTS.map(({ name }) => name))
    const together = forward(model)
    const mix = combine(model, parts.map(({ adapter }) => ({ adapter })), { kind: 'cat', name: 'mix' })
    expect(forward(model)).toEqual(together) // it is not enabled unless asked
    expect(largestDifference(forward(withAdapters(model, 'mix')), together)).toBeLessThan(5e-6)
    await saveAdapter(mix, temporary('mix'))
    setActive(model, [])
    detach(mix)
    await loadAdapter(model, temporary('mix'), { name: 'again' })
    expect(largestDifference(forward(model), together)).toBeLessThan(5e-6)
  })

  it('cut to a rank is the nearest of that rank', () => {
    const { parts } = attachParts()
    const full = combine(model, parts, { kind: 'cat', name: 'full' })
    const cut = combine(model, parts, { kind: 'svd', rank: 3, name: 'cut' })
    const site = 'bert.encoder.layer.1.attention.self.query'
    const [exact, near] = [full, cut].map((adapter) => {
      const rank = adapter.trainable[`${site}.A`]?.shape[0] ?? 0
      return (deltaOf(adapter, site, { rank, alpha: rank }) ?? []).map((row) => [...row])
    }) as [number[][], number[][]]
    expect(cut.trainable[`${site}.A`]?.shape).toEqual([3, 32])
    // Eckart and Young: what is left has no part along the three directions that were kept
    const left = tf.tidy(() => tf.sub<tf.Tensor2D>(tf.tensor2d(exact), tf.tensor2d(near)))
    expect(largestDifference(tf.tidy(() => valuesOf(tf.matMul(left, tf.tensor2d(near), true, false))), new Float32Array(32 * 32))).toBeLessThan(1e-5)
    left.dispose()
  })

  it('takes heads and biases along as differences from the base', () => {
    const a = attachTrained(model, 'a', lora({ rank: 2, bias: 'lora_only', targets: ['query'] }), { train: ['classifier'] })
    const b = attachTrained(model, 'b', lora({ rank: 2, bias: 'lora_only', targets: ['query', 'key'] }), { train: ['classifier'] })
    const mix = combine(model, [{ adapter: a, weight: 0.5 }, { adapter: b, weight: -2 }], { kind: 'cat', name: 'mix' })
    expect(Object.keys(mix.trainable).filter((name) => mix.copies.includes(name)).sort()).toEqual(Object.keys(b.trainable).filter((name) => b.copies.includes(name)).sort())
    for (const name of mix.copies) {
      const base = valuesOf(model.parts.params.get(name) as FrozenWeight)
      const from = (adapter: Adapter): Float32Array => (adapter.copies.includes(name) ? valuesOf(adapter.trainable[name] as tf.Tensor) : base)
      const expected = base.map((value, i) => value + 0.5 * ((from(a)[i] ?? 0) - value) - 2 * ((from(b)[i] ?? 0) - value))
      expect(largestDifference(valuesOf(mix.trainable[name] as tf.Tensor), expected), name).toBeLessThan(1e-6)
    }
  })
})

describe('a combination gives the numbers of PEFT', () => {
  const KINDS: readonly [string, CombineKind, string, number | undefined, number | undefined][] = [
    ['cat', 'cat', 'abc', undefined, undefined],
    ['svd', 'svd', 'abc', undefined, 16],
    ['svd_cut', 'svd', 'abc', undefined, 3],
    ['linear', 'linear', 'ab', undefined, undefined],
    ['ties', 'ties', 'ab', 0.6, undefined],
    ['magnitude_prune', 'magnitude-prune', 'ab', 0.6, undefined],
    ['ties_svd', 'ties-svd', 'abc', 0.3, 32],
    ['magnitude_prune_svd', 'magnitude-prune-svd', 'abc', 0.3, 32],
  ]
  const WEIGHTS: Readonly<Record<string, number>> = { a: 0.7, b: -0.4, c: 1.3 }

  it.each(KINDS)('%s', async (name, kind, adapters, density, rank) => {
    const golden = await readGolden('lora_family/combined/golden.safetensors')
    for (const adapter of adapters) await loadAdapter(model, goldenPath(`lora_family/combined/${adapter}`), { name: adapter, enabled: false })
    const parts = adapters.split('').map((adapter) => ({ adapter, weight: WEIGHTS[adapter] ?? NaN }))
    combine(model, parts, { kind, name: 'mix', enabled: true, ...(density === undefined ? {} : { density }), ...(rank === undefined ? {} : { rank }) })
    const logits = forward(model, golden.batch('input_ids', 'attention_mask'))
    expect(largestDifference(logits, golden.numbers(`${name}/logits`))).toBeLessThan(1e-5)
  })
})

describe('rules', () => {
  const KEYS = { A: 'lora_A.weight', B: 'lora_B.weight' }

  // The masks PEFT drew stand in for the random stream: 0 keeps, the largest number drops.
  it.each([['dare_linear', 'sum'], ['dare_ties', 'agreeing']] as const)('%s is PEFT’s, with the masks that PEFT drew', async (kind, combineBy) => {
    const golden = await readGolden('lora_family/combined/golden.safetensors')
    const files: Record<string, Golden> = {}
    for (const name of 'ab') files[name] = await readGolden(`lora_family/combined/${name}/adapter_model.safetensors`)
    const site = 'base_model.model.bert.encoder.layer.1.attention.self.query'
    const roots = [Math.sqrt(0.7 * (8 / 4)), Math.sqrt(0.4 * (6 / Math.sqrt(4)))]
    for (const [side, suffix] of Object.entries(KEYS)) {
      const key = `${site}.${suffix}`
      const parts = ['a', 'b'].map((name) => files[name]?.numbers(key) as Float32Array)
      const weights = side === 'A' ? [roots[0] ?? 0, -(roots[1] ?? 0)] : roots
      const draw = (part: number): (() => number) => {
        const mask = golden.numbers(`${kind}/mask/${'ab'[part] ?? ''}/${key}`)
        let at = 0
        return () => (mask[at++] === 1 ? 0 : 2 ** 32 - 1)
      }
      const mixed = combineValues(parts, weights, { prune: 'random', combine: combineBy }, 0.6, draw)
      expect(largestDifference(mixed, golden.numbers(`${kind}/${key}`)), key).toBeLessThan(1e-6)
    }
  })

  it.each<CombineKind>(['dare-linear', 'dare-ties', 'dare-linear-svd', 'dare-ties-svd'])('%s depends on the seed alone', (kind) => {
    attachTrained(model, 'a', lora({ rank: 4 }))
    attachTrained(model, 'b', lora({ rank: 4 }))
    const mixed = (name: string, seed: number): Float32Array => {
      combine(model, [{ adapter: 'a' }, { adapter: 'b' }], { kind, density: 0.5, seed, name, rank: 32 })
      return forward(withAdapters(model, name))
    }
    const first = mixed('one', 1)
    expect(mixed('again', 1)).toEqual(first)
    expect(largestDifference(mixed('two', 2), first)).toBeGreaterThan(1e-4)
  })

  it('keep everything at density 1', () => {
    attachTrained(model, 'a', lora({ rank: 4 }))
    attachTrained(model, 'b', lora({ rank: 4 }))
    const mixed = (kind: CombineKind): Float32Array => {
      combine(model, [{ adapter: 'a' }, { adapter: 'b', weight: -0.5 }], { kind, density: 1, name: kind, rank: 32 })
      return forward(withAdapters(model, kind))
    }
    const exact = mixed('cat')
    for (const kind of ['dare-linear-svd', 'magnitude-prune-svd'] as const) expect(largestDifference(mixed(kind), exact)).toBeLessThan(5e-6)
    expect(mixed('dare-linear')).toEqual(mixed('linear'))
  })
})

describe('DoRA', () => {
  const SITE = 'bert.encoder.layer.1.attention.self.query'
  const OPTIONS: Readonly<Record<string, LoraOptions>> = { linear: { rank: 3, alpha: 6, targets: ['query', 'value'] }, embedding: { rank: 2, alpha: 5, rankStabilized: true, targets: ['word_embeddings', 'query'] } }

  /** m / ‖W + s B A‖ (W + s B A) − W in float64, (out, in). */
  function doraDelta(adapter: Adapter, site: string, options: LoraOptions): Matrix | undefined {
    const update = deltaOf(adapter, site, options)
    if (update === undefined) return undefined
    const stored = (paramOf(model, `${site}.weight`) as tf.Tensor2D).arraySync()
    const weight = site.endsWith('embeddings') ? (stored[0] ?? []).map((_, j) => stored.map((row) => row[j] ?? NaN)) : stored
    const magnitude = valuesOf(adapter.trainable[`${site}.magnitude`] as tf.Tensor)
    return sumOf([weight, update], [1, 1]).map((row, i) => {
      const factor = (magnitude[i] ?? NaN) / Math.hypot(...row)
      return row.map((value, j) => value * factor - (weight[i]?.[j] ?? NaN))
    })
  }

  it('gives its whole change of the weight to the svd kinds, beside LoRA, in float64', () => {
    const first = attachTrained(model, 'first', dora(OPTIONS['linear']))
    const second = attachTrained(model, 'second', dora(OPTIONS['embedding']))
    const plain = attachTrained(model, 'plain', lora({ rank: 2 }))
    const weights = [0.7, -0.4, 1.3]
    const mix = combine(model, [first, second, plain].map((adapter, i) => ({ adapter, weight: weights[i] ?? NaN })), { kind: 'svd', rank: 37, name: 'mix' })
    for (const { name: site } of weightSites(mix.sites)) {
      const deltas = [doraDelta(first, site, OPTIONS['linear'] ?? {}), doraDelta(second, site, OPTIONS['embedding'] ?? {}), deltaOf(plain, site, { rank: 2 })]
      const terms = deltas.flatMap((delta, i) => (delta === undefined ? [] : [{ delta, weight: weights[i] ?? NaN }]))
      const expected = sumOf(terms.map(({ delta }) => delta), terms.map(({ weight }) => weight))
      const found = mix.trainable[`${site}.A`]?.shape[0] ?? 0
      const actual = deltaOf(mix, site, { rank: found, alpha: found }) ?? []
      expect(largestDifference(actual.flat(), expected.flat()), site).toBeLessThan(5e-6)
    }
    expect(mix.sites).toHaveLength(3 * 2 + 1)
  })

  it('computes as a LoRA of full rank what it computed, and less of it the lower the rank', () => {
    attachTrained(model, 'a', dora(OPTIONS['linear']))
    const adapted = forward(withAdapters(model, 'a'))
    const [exact = NaN, near = NaN, far = NaN] = [32, 12, 1].map((rank) => {
      const mix = combine(model, [{ adapter: 'a' }], { kind: 'svd', rank, name: `mix ${rank}` })
      expect(mix.trainable[`${SITE}.A`]?.shape).toEqual([rank, 32])
      return largestDifference(forward(withAdapters(model, mix.name)), adapted)
    })
    expect(exact).toBeLessThan(5e-6)
    expect(near).toBeGreaterThan(exact)
    expect(far).toBeGreaterThan(near)
  })

  it.each<[CombineKind, CombineKind]>([['cat', 'svd'], ['linear', 'svd'], ['ties', 'ties-svd'], ['dare-linear', 'dare-linear-svd']])(
    'is refused by %s, which names %s', (kind, other) => {
      attachTrained(model, 'a', dora(OPTIONS['linear']))
      expect(() => combine(model, [{ adapter: 'a' }], { kind, name: 'mix', density: 0.5 })).toThrow(`take '${other}'`)
    })

  it('has no rank of its own to cut to', () => {
    attachTrained(model, 'a', dora(OPTIONS['linear']))
    expect(() => combine(model, [{ adapter: 'a' }], { kind: 'svd', name: 'mix' })).toThrow("rank: 'svd' needs one: what 'a' changes has none of its own")
  })

  it('and (IA)³ are told apart: where a bias changes, a LoRA cannot follow', () => {
    attachTrained(model, 'a', ia3())
    const tensors = tf.memory().numTensors
    expect(() => combine(model, [{ adapter: 'a' }], { kind: 'svd', rank: 4, name: 'mix' })).toThrow(/^combine: 'a' changes the bias of '.*key', which a LoRA cannot\.$/)
    expect(tf.memory().numTensors).toBe(tensors)
  })
})

describe('what cannot be combined', () => {
  it('is said all at once', () => {
    attachTrained(model, 'lora', lora())
    attachTrained(model, 'dora', dora())
    attachTrained(model, 'biases', bitFit())
    expect(() => combine(model, [{ adapter: 'lora', weight: NaN }, { adapter: 'dora' }, { adapter: 'biases' }], { kind: 'ties', name: 'lora', rank: 0 })).toThrow(
      [
        'combine: these cannot be combined:',
        "  - name: the model already has an adapter 'lora'",
        "  - density: 'ties' needs a share in (0, 1], got undefined",
        '  - rank: expected an integer of at least 1, got 0',
        "  - 'lora': expected a finite weight, got NaN",
        "  - 'dora': this dora does more than add a product B A to weights, which 'ties' cannot keep; take 'ties-svd'",
        "  - 'biases': expected a method that adds a product B A to weights and does nothing else, as LoRA",
      ].join('\n'),
    )
  })

  it('are different ranks element by element', () => {
    attachTrained(model, 'a', lora({ rank: 2, targets: ['query'], layers: [0] }))
    attachTrained(model, 'b', lora({ rank: 3, targets: ['query'], layers: [0] }))
    const count = tf.memory().numTensors
    expect(() => combine(model, [{ adapter: 'a' }, { adapter: 'b' }], { kind: 'linear', name: 'mix' })).toThrow(
      "'bert.encoder.layer.0.attention.self.query': 'linear' needs one rank, these have 2, 3; take 'cat' or 'svd'",
    )
    expect(tf.memory().numTensors).toBe(count)
  })

  it('leaves no tensor behind but those of the new adapter', () => {
    attachTrained(model, 'a', lora({ rank: 2, init: 'pissa' }))
    const count = tf.memory().numTensors
    for (const kind of ['cat', 'svd', 'linear', 'ties-svd'] as const) {
      const mix = combine(model, [{ adapter: 'a' }], { kind, name: 'mix', density: 0.5 })
      expect(tf.memory().numTensors).toBe(count + Object.keys(mix.trainable).length)
      detach(mix)
    }
  })
})
