import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bottleneck } from '../../src/adapters/bottleneck.ts'
import { houlsby, parallel, pfeiffer, scaledParallel } from '../../src/adapters/presets.ts'
import { attach } from '../../src/base/adapter/attach.ts'
import { adaptersOf, detach, rename, skipLayers } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import { valueAndGrads } from '../../src/base/autodiff/grads.ts'
import { openSafetensors } from '../../src/base/checkpoint/safetensors.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { merge } from '../../src/base/adapter/merge.ts'
import type { Method } from '../../src/base/method.ts'
import type { Model } from '../../src/base/model.ts'
import { CheckpointError, InputError, TargetError, TrainingError } from '../../src/errors.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath, valuesOf } from '../golden.ts'
import { show, shownByGolden } from '../parity.ts'

const temporary = temporaryFolder()
let model: Model

beforeEach(async () => {
  model = await loadModel(goldenPath('lora/base'), { task: 'sequence-classification' })
})

afterEach(() => {
  detachAll(model)
  model.dispose()
})

function detachAll(from: Model): void {
  for (const adapter of adaptersOf(from)) detach(adapter)
}

const batch = { ids: Int32Array.of(3, 7, 9, 4), labels: Int32Array.of(2), batch: 1, length: 4 }

/** A tensor as it starts; the adapter stays attached. */
function start(method: Method, name: string): Float32Array {
  return valuesAt(attach(model, method, { seed: 3 }), name)
}

function valuesAt({ trainable }: Adapter, name: string): Float32Array {
  const variable = trainable[name]
  if (variable === undefined) throw new Error(`no '${name}' among ${Object.keys(trainable).join(', ')}`)
  return valuesOf(variable)
}

async function names(path: string): Promise<readonly string[]> {
  const file = await openSafetensors(path)
  await file.close()
  return [...file.entries.keys()]
}

describe('the presets start as AdapterHub starts them', () => {
  const [DOWN, UP] = ['bert.encoder.layer.0.output.down', 'bert.encoder.layer.0.output.up']

  it('houlsby: at both sublayers, width 32 / 16, N(0, 0.02)', () => {
    const values = start(houlsby({ reductionFactor: 0.05 }), DOWN) // a wide one, so that its spread can be measured
    expect(Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length)).toBeCloseTo(0.02, 3)
    detachAll(model)
    const adapter = attach(model, houlsby())
    expect(adapter.sites).toHaveLength(6)
    expect(adapter.trainable['bert.encoder.layer.2.attention.output.down']?.shape).toEqual([2, 32])
  })

  it('pfeiffer: behind the feed-forward parts alone', () => {
    expect(attach(model, pfeiffer()).sites.map(({ name }) => name)).toEqual([0, 1, 2].map((i) => `bert.encoder.layer.${i}.output`))
  })

  it('parallel: width 32 / 2, up as zeros, down within 1 / √32', () => {
    const adapter = attach(model, parallel({ reductionFactor: 0.1 }))
    const down = valuesAt(adapter, DOWN)
    expect(Math.max(...down)).toBeGreaterThan(0.17)
    expect(Math.max(...down.map(Math.abs))).toBeLessThanOrEqual(1 / Math.sqrt(32))
    expect(valuesAt(adapter, UP).every((x) => x === 0)).toBe(true)
  })

  it('scaledParallel: one scaling a layer, from 1 on', () => {
    expect(start(scaledParallel(), 'bert.encoder.layer.1.output.scaling')).toEqual(Float32Array.of(1))
  })

  it('truncated: N(0, 0.01), nothing beyond two standard deviations', () => {
    const values = start(bottleneck({ init: 'truncated', reductionFactor: 0.05 }), DOWN)
    expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(0.02)
    expect(Math.max(...values.map(Math.abs))).toBeGreaterThan(0.0195)
    expect(Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length)).toBeCloseTo(0.0088, 3) // of the cut normal
  })
})

describe('what cannot be', () => {
  it('is named all at once', () => {
    expect(() => bottleneck({ parts: [], reductionFactor: { 0: 0, default: 4 }, scaling: NaN, dropout: 1 })).toThrow(
      new InputError('bottleneck: the options cannot be used:', [
        "parts: expected 'attention', 'feed-forward' or both, got none",
        'reductionFactor: expected a number above 0, got 0',
        'scaling: expected a number, got NaN',
        'dropout: expected a number in [0, 1), got 1',
      ]),
    )
  })

  it('layers that the model does not have', () => {
    expect(() => attach(model, pfeiffer({ skipLayers: [1, 3, 9] }))).toThrow(
      new TargetError('The adapter does not fit the model:', ['skipLayers: layer 3 does not exist', 'skipLayers: layer 9 does not exist']),
    )
    expect(() => attach(model, pfeiffer({ skipLayers: [0, 1, 2] }))).toThrow(/nothing is left to train/)
  })

  it('a reduction that leaves layers out, and an activation that nobody knows, when it is attached', () => {
    expect(() => attach(model, pfeiffer({ reductionFactor: { 0: 4 }, activation: 'gelu2', skipLayers: [7] }))).toThrow(
      new TargetError('The adapter does not fit the model:', [
        'skipLayers: layer 7 does not exist',
        "activation: expected one of gelu, gelu_python, gelu_10, gelu_new, gelu_pytorch_tanh, gelu_python_tanh, gelu_fast, gelu_accurate, quick_gelu, relu, " +
          "relu2, leaky_relu, silu, swish, mish, tanh, sigmoid; got 'gelu2'",
        "reductionFactor has neither the layer of 'bert.encoder.layer.1.output', 'bert.encoder.layer.2.output' nor a default; add default: 16",
      ]),
    )
  })

  it('to merge it', () => {
    const adapter = attach(model, pfeiffer())
    expect(() => merge(model, adapter)).toThrow("merge: bottleneck at 'bert.encoder.layer.0.output' cannot be folded into a weight.")
  })

  it('to train layers that are left out, or to leave out what it does not have', () => {
    const adapter = attach(model, pfeiffer({ skipLayers: [2] }))
    expect(() => skipLayers(adapter, [0, 2])).toThrow(new InputError("skipLayers: adapter 'default' has nothing in layer 2."))
    skipLayers(adapter, [0])
    expect(() => valueAndGrads(() => model.loss(batch), adapter.trainable)).toThrow(TrainingError)
    skipLayers(adapter, [])
    const { value, grads } = valueAndGrads(() => model.loss(batch), adapter.trainable)
    tf.dispose([value, ...Object.values(grads)])
  })
})

describe('the files of AdapterHub', () => {
  const CASES = [
    ...['double_seq_bn', 'seq_bn', 'par_bn', 'scaled_par_bn', 'mixed'].map((name) => [name, 'lora/base', 'sequence-classification'] as const),
    ['encoder', 'lora/base', 'feature-extraction'],
    ['gpt2', 'gpt2/causal_lm', 'causal-lm'],
    ['llama', 'llama/causal_lm', 'causal-lm'],
    ['distilbert', 'distilbert/masked_lm', 'masked-lm'],
  ] as const

  it.for(CASES)('are the same, key for key and bit for bit, when loaded and saved again: %s', async ([name, base, task], { task: test }) => {
    show(test, shownByGolden(`adapters/${name}`, base, ['save']))
    const [folder, original] = [temporary(name), goldenPath(`adapters/${name}/adapter`)]
    const on = await loadModel(goldenPath(base), { task })
    const adapter = await loadAdapter(on, original, { name: 'golden' })
    expect(adapter.origin.warnings).toEqual([])
    await adapter.save(folder)
    detachAll(on)
    on.dispose()
    for (const file of ['adapter.safetensors', ...(task === 'sequence-classification' ? ['model_head.safetensors'] : [])]) {
      const [ours, theirs] = await Promise.all([folder, original].map((path) => openSafetensors(join(path, file))))
      if (ours === undefined || theirs === undefined) throw new Error('unreachable')
      expect([...ours.entries.keys()].sort()).toEqual([...theirs.entries.keys()].sort())
      for (const key of theirs.entries.keys()) expect((await ours.read(key)).data).toEqual((await theirs.read(key)).data)
      await Promise.all([ours.close(), theirs.close()])
    }
    const [ours, theirs] = await Promise.all([folder, original].map(async (path) => JSON.parse(await readFile(join(path, 'adapter_config.json'), 'utf8')) as Record<string, unknown>))
    expect(theirs).toMatchObject({ ...ours, model_name: theirs?.['model_name'] })
  })

  it('have a scaling that Python reads as a float', async () => {
    const folder = temporary('float')
    await attach(model, parallel()).save(folder)
    expect(await readFile(join(folder, 'adapter_config.json'), 'utf8')).toContain('"scaling": 4.0')
  })

  it('carry the name the adapter has when it is saved', async () => {
    const folder = temporary('name')
    const adapter = attach(model, pfeiffer())
    rename(adapter, 'mails')
    await adapter.save(folder)
    expect(await names(join(folder, 'adapter.safetensors'))).toContain('bert.encoder.layer.0.output.adapters.mails.adapter_up.weight')
    rename(adapter, 'v1.0')
    await expect(adapter.save(folder)).rejects.toThrow("save: AdapterHub allows no '.' in the name of an adapter, got 'v1.0'; rename it.")
  })

  it('lose the head of an earlier save when the new one has none', async () => {
    const folder = temporary('head')
    const withHead = attach(model, pfeiffer())
    await withHead.save(folder)
    detach(withHead)
    await attach(model, pfeiffer(), { train: [] }).save(folder)
    detachAll(model)
    expect((await loadAdapter(model, folder)).copies).toEqual([])
  })

  it('say what they have that is not computed here, all at once', async () => {
    const folder = temporary('unsupported')
    await cp(goldenPath('adapters/seq_bn/adapter'), folder, { recursive: true })
    await change(join(folder, 'adapter_config.json'), (json) => {
      Object.assign(json['config'] as object, { phm_layer: true, use_gating: true, residual_before_ln: 'post_add', init_weights: 'zeros' })
    })
    await expect(loadAdapter(model, folder)).rejects.toThrow(
      new CheckpointError(`${join(folder, 'adapter_config.json')} cannot be used as a bottleneck adapter:`, [
        'use_gating: expected false, got true, which is not supported',
        'phm_layer: expected false, got true, which is not supported',
        'residual_before_ln: expected true, got "post_add", which is not supported',
        `init_weights: expected 'bert', 'houlsby' or 'mam_adapter', got "zeros"`,
      ]),
    )
  })

  it('do not load as another kind of adapter', async () => {
    const folder = temporary('other')
    await cp(goldenPath('adapters/seq_bn/adapter'), folder, { recursive: true })
    await change(join(folder, 'adapter_config.json'), (json) => Object.assign(json['config'] as object, { architecture: 'reft' }))
    await expect(loadAdapter(model, folder)).rejects.toThrow("this is AdapterHub's ReFT, whose files are not read here; of AdapterHub's methods, bottleneck adapters are.")
  })

  it('say everything that does not fit the model, at once', async () => {
    const folder = temporary('strict')
    await cp(goldenPath('adapters/seq_bn/adapter'), folder, { recursive: true })
    await change(join(folder, 'adapter_config.json'), (json) => Object.assign(json['config'] as object, { reduction_factor: 8, leave_out: [2] }))
    const error: unknown = await loadAdapter(model, folder).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(CheckpointError)
    const { problems } = error as CheckpointError
    expect(problems).toContain('unexpected: bert.encoder.layer.2.output.adapters.adapter_down.0.weight')
    expect(problems).toContain('bert.encoder.layer.0.output.down: expected [4, 32], the file has [2, 32]')
    expect(problems).toHaveLength(4 + 2 * 3) // all of layer 2, and down, its bias and up of the two others
  })

  it('ask for safetensors in place of pickles, and for a head this library has', async () => {
    const folder = temporary('pickle')
    await cp(goldenPath('adapters/seq_bn/adapter'), folder, { recursive: true })
    await change(join(folder, 'head_config.json'), (json) => Object.assign(json, { config: { head_type: 'classification' } }))
    await expect(loadAdapter(model, folder)).rejects.toThrow("a head of AdapterHub's own kind")
    await cp(join(folder, 'adapter_config.json'), join(folder, 'old', 'adapter_config.json'))
    await writeFile(join(folder, 'old', 'pytorch_adapter.bin'), '')
    await expect(loadAdapter(model, join(folder, 'old'))).rejects.toThrow(
      'the adapter has no adapter.safetensors. It has pytorch_adapter.bin: load it in Python and save it with use_safetensors=True.',
    )
  })
})

async function change(path: string, edit: (json: Record<string, unknown>) => void): Promise<void> {
  const json = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
  edit(json)
  await writeFile(path, JSON.stringify(json))
}
