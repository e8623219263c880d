import { readFile, writeFile } from 'node:fs/promises'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import type { Adapter } from '../../src/base/adapter/adapter.ts'
import { paramOf } from '../../src/base/parameters.ts'
import { saveAdapter } from '../../src/base/checkpoint/adapter-file.ts'
import { openSafetensors, writeSafetensors } from '../../src/base/checkpoint/safetensors.ts'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import type { Model } from '../../src/base/model.ts'
import { loadAdapter } from '../../src/load-adapter.ts'
import { dora } from '../../src/lora/dora.ts'
import { CheckpointError } from '../../src/errors.ts'
import { ia3 } from '../../src/lora/ia3.ts'
import { lora } from '../../src/lora/lora.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath, largestDifference, valuesOf } from '../golden.ts'
import { attachTrained, closeModel, eachTinyModel, forward } from '../manage/models.ts'

const temporary = temporaryFolder()
let model: Model
eachTinyModel((each) => { model = each })

async function savedConfig(folder: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(`${folder}/adapter_config.json`, 'utf8')) as Record<string, unknown>
}

async function savedShapes(folder: string): Promise<Record<string, readonly number[]>> {
  const file = await openSafetensors(`${folder}/adapter_model.safetensors`)
  await file.close()
  return Object.fromEntries([...file.entries].map(([key, { shape }]) => [key, shape]))
}

const QUERY = 'base_model.model.bert.encoder.layer.0.attention.self.query'

describe('what starts from the weight', () => {
  it.each([[false, 2, 12], [true, Math.SQRT2, 6 * Math.SQRT2]])('is saved as a plain LoRA of twice the rank; rank-stabilised: %s', async (rankStabilized, growth, alpha) => {
    const options = { rank: 3, alpha: 6, init: 'pissa', rankStabilized, targets: ['query', 'word_embeddings'], rankPattern: { word_embeddings: 2 }, alphaPattern: { query: 5 } } as const
    const adapter = attachTrained(model, 'a', lora(options), { enabled: true })
    const adapted = forward(model)
    const folder = temporary(`pissa ${rankStabilized}`)
    await saveAdapter(adapter, folder)
    expect(await savedConfig(folder)).toMatchObject({
      r: 6, lora_alpha: alpha, rank_pattern: { word_embeddings: 2 }, alpha_pattern: { query: 5 * growth, word_embeddings: 6 }, init_lora_weights: true, use_dora: false,
    })
    expect(await savedShapes(folder)).toMatchObject({
      [`${QUERY}.lora_A.weight`]: [6, 32],
      [`${QUERY}.lora_B.weight`]: [32, 6],
      'base_model.model.bert.embeddings.word_embeddings.lora_embedding_A': [2, 37], // a plain start there
    })
    detach(adapter)
    const again = await loadAdapter(model, folder)
    expect(largestDifference(forward(model), adapted)).toBeLessThan(1e-5)
    expect(Object.keys(again.frozen)).toEqual([])
  })

  it('of which PEFT’s file has the trained pair alone gets the other from the base', async () => {
    const adapter = await loadAdapter(model, goldenPath('lora_family/pissa/adapter'))
    expect(Object.keys(adapter.frozen)).toHaveLength(2 * adapter.sites.length)
  })
})

describe('what starts from the weight of a language model’s head', () => {
  let decoder: Model
  beforeEach(async () => {
    decoder = await loadModel(goldenPath('llama/causal_lm'), { task: 'causal-lm' })
  })
  afterEach(() => closeModel(decoder))

  it('is read from a file of PEFT, which has what is left of the weight too', async () => {
    const adapter = attachTrained(decoder, 'a', lora({ rank: 2, init: 'olora', targets: ['lm_head'] }), { enabled: true })
    const adapted = forward(decoder)
    const folder = temporary('remainder')
    await saveAdapter(adapter, folder)
    await writeFile(`${folder}/adapter_config.json`, JSON.stringify({ ...(await savedConfig(folder)), r: 2, lora_alpha: 8, init_lora_weights: 'olora' }))
    const tensor = (local: string): { dtype: 'F32'; shape: number[]; data: Float32Array } => {
      const variable = adapter.trainable[`lm_head.${local}`]
      return { dtype: 'F32', shape: variable?.shape ?? [], data: valuesOf(variable as Tensor2D) }
    }
    const [words, width] = [adapter.trainable['lm_head.B']?.shape[0] ?? 0, adapter.trainable['lm_head.A']?.shape[1] ?? 0]
    const remainder = { dtype: 'F32' as const, shape: [words, width], data: new Float32Array(words * width) }
    await writeSafetensors(`${folder}/adapter_model.safetensors`, [
      { name: 'base_model.model.lm_head.lora_A.weight', ...tensor('A') },
      { name: 'base_model.model.lm_head.lora_B.weight', ...tensor('B') },
      { name: 'base_model.model.lm_head.base_layer.weight', ...remainder },
    ])
    detach(adapter)
    await loadAdapter(decoder, folder)
    expect(largestDifference(forward(decoder), adapted)).toBeLessThan(1e-5)
  })

  it('is refused at a head that PEFT had given more words', async () => {
    const folder = temporary('resized start')
    const adapter = attach(decoder, lora({ rank: 2, targets: ['lm_head'] }))
    await saveAdapter(adapter, folder)
    const [A, B] = [adapter.trainable['lm_head.A'], adapter.trainable['lm_head.B']]
    const [words = 0, width = 0] = [B?.shape[0], A?.shape[1]]
    detach(adapter)
    await writeFile(`${folder}/adapter_config.json`, JSON.stringify({ ...(await savedConfig(folder)), init_lora_weights: 'olora' }))
    await writeSafetensors(`${folder}/adapter_model.safetensors`, Object.entries({ 'lora_A.weight': [2, width], 'lora_B.weight': [words + 1, 2], 'base_layer.weight': [words + 1, width] })
      .map(([name, shape]) => ({ name: `base_model.model.lm_head.${name}`, dtype: 'F32' as const, shape, data: new Float32Array(shape.reduce((a, b) => a * b)) })))
    await expect(loadAdapter(decoder, folder)).rejects.toThrow(new CheckpointError('This LoRA cannot be used:', [
      `init_lora_weights: a start from the weight of 'lm_head', which had ${words + 1} rows in PEFT and has ${words} here, cannot be done again; in PEFT, save ` +
        'it as a plain LoRA: save_pretrained(…, path_initial_model_for_weight_conversion=…)',
    ]))
  })

  it('is refused where the head is the table of the words, which PEFT’s start moves too', async () => {
    const tied = await loadModel(goldenPath('gpt2/causal_lm'), { task: 'causal-lm' })
    const folder = temporary('tied start')
    const adapter = attach(tied, lora({ rank: 2, targets: ['lm_head'] }))
    await saveAdapter(adapter, folder)
    detach(adapter)
    await writeFile(`${folder}/adapter_config.json`, JSON.stringify({ ...(await savedConfig(folder)), init_lora_weights: 'pissa' }))
    await expect(loadAdapter(tied, folder)).rejects.toThrow(new CheckpointError('This LoRA cannot be used:', [
      "init_lora_weights: a start from the weight of 'lm_head' changes the table of the words in PEFT, with which it is one tensor; in PEFT, save it as a " +
        'plain LoRA: save_pretrained(…, path_initial_model_for_weight_conversion=…)',
    ]))
    closeModel(tied)
  })

  it('goes with tying where the head is a tensor of its own, and nothing is tied', () => {
    const adapter = attach(decoder, lora({ init: 'olora', ensureWeightTying: true, targets: ['lm_head', 'embed_tokens'] }))
    expect(adapter.sites.map(({ name }) => name)).toEqual(['model.embed_tokens', 'lm_head'])
    detach(adapter)
  })
})

describe('settings', () => {
  it('that nobody knows are reported, kept, and written again', async () => {
    const folder = temporary('unknown')
    await saveAdapter(attach(model, lora()), folder)
    const config = { ...(await savedConfig(folder)), use_magic: { strength: 3 }, peft_version: '0.99' }
    await writeFile(`${folder}/adapter_config.json`, JSON.stringify(config))
    const adapter = await loadAdapter(model, folder, { name: 'again', enabled: false })
    expect(adapter.origin.warnings).toEqual(["adapter_config.json: 'use_magic' is not known; it is kept and has no effect."])
    await saveAdapter(adapter, temporary('kept'))
    expect(await savedConfig(temporary('kept'))).toMatchObject({ use_magic: { strength: 3 } })
  })

  it('of every PEFT file of the family are known', async () => {
    for (const name of ['dora', 'olora', 'ia3', 'layer_norm', 'bias_all']) {
      const adapter = await loadAdapter(model, goldenPath(`lora_family/${name}/adapter`), { name, enabled: false })
      expect(adapter.origin.warnings, name).toEqual([])
    }
  })

  /** Saves a plain LoRA with other settings; what loading it says. */
  async function loadedWith(name: string, settings: Readonly<Record<string, unknown>>): Promise<unknown> {
    const folder = temporary(name)
    const adapter = attach(model, lora({ targets: ['query'] }), { name })
    await saveAdapter(adapter, folder)
    detach(adapter)
    await writeFile(`${folder}/adapter_config.json`, JSON.stringify({ ...(await savedConfig(folder)), ...settings }))
    return loadAdapter(model, folder).catch((error: unknown) => error)
  }

  it('that ask for what is not computed here, or are of another type or out of range, are errors, all at once', async () => {
    const error = await loadedWith('wrong', {
      r: 'x', bias: 'some', lora_bias: true, init_lora_weights: 'pissa_niter_4', lora_dropout: 1, use_dora: 1, lora_alpha: [8],
      rank_pattern: { query: 2.5, '(': 1 }, alpha_pattern: { 'a(?i)b': 2 }, target_modules: ['query', 7], exclude_modules: '(a)\\1', layers_pattern: 'h',
      modules_to_save: 'classifier',
    })
    expect((error as Error).message).toBe(
      [
        `${temporary('wrong')}/adapter_config.json cannot be used as a LoRA:`,
        '  - modules_to_save: expected a list of module names, got "classifier"',
        '  - lora_bias: expected false, got true, which is not supported',
        '  - init_lora_weights: expected true, false, "gaussian", "pissa", "olora", "eva", "orthogonal" or "mica", got "pissa_niter_4", which changed the ' +
          'base weights in a way that cannot be done again; in PEFT, save it as a plain LoRA: save_pretrained(…, path_initial_model_for_weight_conversion=…)',
        '  - r: expected an integer of at least 1, got "x"',
        '  - lora_alpha: expected a number, got [8]',
        '  - lora_dropout: expected a number of at least 0 and below 1, got 1',
        "  - rank_pattern['(']: not a regular expression of Python, or of a kind that is not supported: missing ), unterminated subpattern at position 7",
        "  - alpha_pattern['a(?i)b']: not a regular expression of Python, or of a kind that is not supported: global flags not at the start of the expression at position 9",
        "  - bias: expected 'none', 'all' or 'lora_only', got \"some\"",
        '  - target_modules: expected a list of texts, got ["query",7]',
        '  - layers_to_transform: expected layer numbers beside layers_pattern, got none',
        '  - exclude_modules: not a regular expression of Python, or of a kind that is not supported: a reference back to a group is not supported at position 3',
        "  - rank_pattern['query']: expected an integer, got 2.5",
        '  - use_dora: expected true or false, got 1',
      ].join('\n'),
    )
  })

  it('of layers beside one regular expression are refused, as HF PEFT does', async () => {
    const error = await loadedWith('layers', { target_modules: '.*query', layers_to_transform: [0], layers_pattern: ['layer'] })
    expect((error as Error).message).toBe(
      [
        `${temporary('layers')}/adapter_config.json cannot be used as a LoRA:`,
        '  - layers_to_transform: expected none beside target_modules as one text, as in HF PEFT; name the modules in a list',
        '  - layers_pattern: expected none beside target_modules as one text, as in HF PEFT; name the modules in a list',
      ].join('\n'),
    )
  })

  it('of a rank that no tensor has are compared with the file before there is room for it', async () => {
    const error = await loadedWith('huge', { r: 1_000_000_000 })
    expect((error as Error).message).toContain('query.A: expected [1000000000, 32], the file has [8, 32]')
  })

  it('that name nothing of the model are warnings in a file', async () => {
    const adapter = await loadedWith('idle', {
      target_modules: ['query', 'q_proj'], exclude_modules: ['lm_head'], layers_to_transform: [0, 1, 2, 7], rank_pattern: { k_proj: 4 }, alpha_pattern: { query: 8, '.*query': 9 },
    })
    const file = `${temporary('idle')}/adapter_config.json`
    expect((adapter as Adapter).origin.warnings).toEqual([
      `${file}: target_modules: 'q_proj' fits no module of the model; it has no effect, as in HF PEFT.`,
      `${file}: exclude_modules: 'lm_head' fits no module of the model; it has no effect, as in HF PEFT.`,
      `${file}: layers_to_transform: the model has no layer 7; it has no effect, as in HF PEFT.`,
      `${file}: rank_pattern: 'k_proj' fits no module of the adapter; it has no effect, as in HF PEFT.`,
      `${file}: alpha_pattern: several patterns fit 'bert.encoder.layer.0.attention.self.query' and the first counts, as in HF PEFT, which sorts them when it ` +
        'saves: they may have had another order in training.',
    ])
  })

  it('that take nothing of the model are an error', async () => {
    const error = await loadedWith('nothing', { target_modules: ['q_proj'] })
    expect((error as Error).message).toBe(
      `${temporary('nothing')}/adapter_config.json: target_modules ["q_proj"], with what is excluded and trained in full left out, takes no linear module or ` +
        'embedding of this model, which has word_embeddings, position_embeddings, token_type_embeddings, query, key, value, dense, classifier. ' +
        'Was the adapter made for another model?',
    )
  })

  it('of an unknown type are answered with the known ones', async () => {
    const folder = temporary('unknown-type')
    await saveAdapter(attach(model, lora()), folder)
    await writeFile(`${folder}/adapter_config.json`, JSON.stringify({ peft_type: 'HIRA' }))
    await expect(loadAdapter(model, folder, { name: 'again' })).rejects.toThrow(
      `${folder}/adapter_config.json: peft_type: expected ADALORA, BITFIT, BOTTLENECK, FULL, HEAD, IA3, LN_TUNING, LORA, P_TUNING, PREFIX_TUNING, PROMPT_TUNING, TRAINABLE_TOKENS, ` +
        'got "HIRA", which is not supported. A method of one\'s own is read by { methods: { TYPE: … } }.',
    )
  })

  it('name the modules one by one where PEFT would read a regular expression otherwise', async () => {
    const save = async (name: string, options: Parameters<typeof lora>[0]): Promise<Record<string, unknown>> => {
      const adapter = attach(model, lora(options), { name, enabled: false })
      await saveAdapter(adapter, temporary(name))
      return savedConfig(temporary(name))
    }
    // fits norms too, which PEFT would try to adapt
    expect(await save('norms', { targets: '.*layer\\.1\\.output.*' })).toMatchObject({ target_modules: ['1.output.dense'] })
    // PEFT refuses layers beside a regular expression
    expect(await save('layers', { targets: '.*query', layers: [0, 2] })).toMatchObject({
      target_modules: ['0.attention.self.query', '2.attention.self.query'], layers_to_transform: null,
    })
    expect(await save('fits', { targets: '.*self\\.query' })).toMatchObject({ target_modules: '.*self\\.query' })
  })
})

describe('keys', () => {
  it('are PEFT’s for magnitudes, embeddings and biases', async () => {
    const adapter = attach(model, dora({ rank: 2, targets: ['query', 'word_embeddings'], layers: [0], bias: 'lora_only' }))
    await saveAdapter(adapter, temporary('keys'))
    expect(Object.keys(await savedShapes(temporary('keys'))).sort()).toEqual([
      `${QUERY}.base_layer.bias`, `${QUERY}.lora_A.weight`, `${QUERY}.lora_B.weight`, `${QUERY}.lora_magnitude_vector`,
      'base_model.model.classifier.bias', 'base_model.model.classifier.weight',
    ])
    expect(await savedConfig(temporary('keys'))).toMatchObject({ use_dora: true, bias: 'lora_only', modules_to_save: ['classifier'], target_modules: ['query', 'word_embeddings'] })
  })

  it('of a magnitude may be there a second time, as PEFT writes it of a table that it saves along', async () => {
    const adapter = attachTrained(model, 'trained', dora({ rank: 2, targets: ['word_embeddings'] }), { enabled: true })
    const folder = temporary('twice')
    await saveAdapter(adapter, folder)
    const trained = forward(model)
    detach(adapter)
    const file = await openSafetensors(`${folder}/adapter_model.safetensors`)
    const tensors = await Promise.all([...file.entries].map(async ([name, { shape }]) => ({ name, shape, dtype: 'F32' as const, data: (await file.read(name)).data as Float32Array })))
    await file.close()
    const twice = tensors.flatMap((tensor) => (tensor.name.endsWith('.lora_magnitude_vector') ? [tensor, { ...tensor, name: `${tensor.name}.weight` }] : [tensor]))
    expect(twice).toHaveLength(tensors.length + 1)
    await writeSafetensors(`${folder}/adapter_model.safetensors`, twice, { format: 'pt' })
    await loadAdapter(model, folder)
    expect(forward(model)).toEqual(trained)
  })

  it('of (IA)³ name feed-forward modules apart from the others', async () => {
    await saveAdapter(attach(model, ia3()), temporary('ia3'))
    const ends = ['0', '1', '2'].map((layer) => `${layer}.output.dense`)
    expect(await savedConfig(temporary('ia3'))).toMatchObject({ target_modules: ['key', 'value', ...ends], feedforward_modules: ends })
  })

  it('of the base’s own embedding, which PEFT adds for language models, must be this base’s', async () => {
    const causal = await loadModel(goldenPath('llama/base'), { task: 'causal-lm' }).catch(() => undefined)
    const language = causal ?? (await loadModel(goldenPath('llama/causal_lm'), { task: 'causal-lm' }))
    try {
      const adapter = attach(language, lora({ targets: ['embed_tokens'], rank: 2 }))
      const folder = temporary('embedding')
      await saveAdapter(adapter, folder)
      detach(adapter)
      const file = await openSafetensors(`${folder}/adapter_model.safetensors`)
      const tensors = await Promise.all([...file.entries].map(async ([name, { shape }]) => ({ name, shape, dtype: 'F32' as const, data: (await file.read(name)).data as Float32Array })))
      await file.close()
      const table = paramOf(language, 'model.embed_tokens.weight')
      const extra = { name: 'base_model.model.model.embed_tokens.base_layer.weight', dtype: 'F32' as const, shape: table.shape }
      await writeSafetensors(`${folder}/adapter_model.safetensors`, [...tensors, { ...extra, data: valuesOf(table).slice() }], { format: 'pt' })
      detach(await loadAdapter(language, folder))
      await writeSafetensors(`${folder}/adapter_model.safetensors`, [...tensors, { ...extra, data: valuesOf(table).map((x) => x + 1) }], { format: 'pt' })
      await expect(loadAdapter(language, folder)).rejects.toThrow('unexpected: model.embed_tokens.base_layer.weight')
    } finally {
      closeModel(language)
    }
  })
})
