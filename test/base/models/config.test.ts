// What each family takes from a config.json, and what it refuses.

import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ConfigJson, Task } from '../../../src/base/architecture.ts'
import { createModel } from '../../../src/base/checkpoint/create.ts'
import { labelsOf } from '../../../src/base/tasks/labels.ts'
import { openSafetensors, writeSafetensors } from '../../../src/base/checkpoint/safetensors.ts'
import { loadModel } from '../../../src/base/checkpoint/load.ts'
import { architectureOf, FAMILIES } from '../../../src/base/models/auto.ts'
import { RELATIVES } from '../../../src/base/models/relatives.ts'
import { CheckpointError } from '../../../src/errors.ts'
import { goldenPath } from '../../golden.ts'
import { temporaryFolder } from '../../temporary-folder.ts'

const temporary = temporaryFolder()

const WIDE = { vocab_size: 37, hidden_size: 24, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 40, max_position_embeddings: 64 }
const TYPES: Readonly<Record<string, ConfigJson>> = {
  bert: WIDE,
  roberta: WIDE,
  electra: { ...WIDE, embedding_size: 24 },
  ernie: WIDE,
  modernbert: WIDE,
  distilbert: { vocab_size: 37, dim: 24, n_layers: 2, n_heads: 4, hidden_dim: 40, max_position_embeddings: 64 },
  gpt2: { vocab_size: 37, n_embd: 24, n_layer: 2, n_head: 4, n_positions: 64 },
  llama: WIDE,
  mistral: { ...WIDE, num_key_value_heads: 2 },
  ministral: { ...WIDE, num_key_value_heads: 2 },
  qwen2: { ...WIDE, num_key_value_heads: 2 },
  qwen3: { ...WIDE, num_key_value_heads: 2 },
  phi3: WIDE,
  qwen3_5_text: WIDE,
  ministral3: { ...WIDE, num_key_value_heads: 2 },
  seed_oss: { ...WIDE, num_key_value_heads: 2 },
  smollm3: { ...WIDE, num_key_value_heads: 2 },
  granite: WIDE,
  gemma: { ...WIDE, num_key_value_heads: 2 },
  gemma2: WIDE,
  gemma3_text: WIDE,
  olmo2: WIDE,
  olmo3: WIDE,
}

function problemsOf(type: string, change: ConfigJson): readonly string[] {
  try {
    architectureOf({ model_type: type, ...TYPES[type], ...change }, 'some/config.json')
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error
    expect(error.message.split('\n')[0]).toBe(`some/config.json cannot be used as a ${type} model:`)
    return error.problems
  }
  return []
}

const SIZE = 'expected an integer of at least 1 and of at most 16777216'

describe('a config.json', () => {
  it.each(Object.keys(TYPES))('of %s that says only what it has to is taken', (type) => {
    expect(problemsOf(type, {})).toEqual([])
  })

  it.each<[type: string, change: ConfigJson, problems: readonly string[]]>([
    ['bert', { num_attention_heads: 5 }, ['num_attention_heads: expected a divisor of hidden_size (24), got 5']],
    ['bert', { num_attention_heads: 0, layer_norm_eps: -1e-12, hidden_dropout_prob: 5, attention_probs_dropout_prob: '0.1' }, [
      `num_attention_heads: ${SIZE}, got 0`,
      'hidden_dropout_prob: expected a number of at least 0 and below 1, got 5',
      'layer_norm_eps: expected a number above 0, got -1e-12',
      'attention_probs_dropout_prob: expected a number of at least 0 and below 1, got "0.1"',
    ]],
    ['bert', { hidden_size: 32.5, num_hidden_layers: -1, pad_token_id: 37, tie_word_embeddings: 'true', initializer_range: -1 }, [
      `hidden_size: ${SIZE}, got 32.5`,
      'num_hidden_layers: expected an integer of at least 1 and of at most 10000, got -1',
      'initializer_range: expected a number of at least 0, got -1',
      'tie_word_embeddings: expected true or false, got "true"',
      'pad_token_id: expected an integer of at least -1 and of at most 36 (the vocabulary), got 37',
    ]],
    ['bert', { is_encoder_decoder: true, add_cross_attention: true, pruned_heads: { 0: [1] }, per_layer_config: { 0: {} } }, [
      'is_encoder_decoder: expected false, got true, which is not supported',
      'per_layer_config: expected {}, got {"0":{}}, which is not supported',
      'pruned_heads: expected {}, got {"0":[1]}, which is not supported',
      'add_cross_attention: expected false, got true, which is not supported',
    ]],
    ['roberta', { pad_token_id: '1' }, ['pad_token_id: expected an integer of at least 0 and of at most 36 (the vocabulary), got "1"']],
    ['roberta', { pad_token_id: null }, ['pad_token_id: expected an id, behind which positions begin, got null']],
    ['roberta', { max_position_embeddings: 2 }, ['max_position_embeddings: expected more than pad_token_id + 1 (2), got 2']],
    ['electra', { embedding_size: 0 }, [`embedding_size: ${SIZE}, got 0`]],
    ['ernie', { use_task_id: true }, ['use_task_id: expected false, got true, which is not supported']],
    ['modernbert', { num_attention_heads: 8, local_attention: -1, classifier_pooling: 'last' }, [
      'num_attention_heads: expected heads of an even size, for rotary positions, got 3',
      'local_attention: expected an integer of at least 0, got -1',
      "classifier_pooling: expected 'cls' or 'mean', got \"last\"",
    ]],
    ['distilbert', { n_heads: 5 }, ['n_heads: expected a divisor of dim (24), got 5']],
    ['distilbert', { num_attention_heads: 5 }, ['num_attention_heads: expected a divisor of dim (24), got 5']],
    ['gpt2', { n_head: 3.5, n_inner: 0, activation_function: 'softplus', layer_norm_epsilon: 0 }, [
      `n_head: ${SIZE}, got 3.5`,
      `n_inner: ${SIZE}, got 0`,
      "activation_function: expected 'gelu', 'gelu_python', 'gelu_10', 'gelu_new', 'gelu_pytorch_tanh', 'gelu_python_tanh', 'gelu_fast', 'gelu_accurate', " +
        "'quick_gelu', 'relu', 'relu2', 'leaky_relu', 'silu', 'swish', 'mish', 'tanh' or 'sigmoid', got \"softplus\"",
      'layer_norm_epsilon: expected a number above 0, got 0',
    ]],
    ['llama', { num_attention_heads: 5 }, ['num_attention_heads: expected a divisor of hidden_size (24), got 5']],
    ['llama', { num_key_value_heads: 0 }, [`num_key_value_heads: ${SIZE}, got 0`]],
    ['llama', { num_key_value_heads: 3 }, ['num_key_value_heads: expected a divisor of num_attention_heads (4), got 3']],
    ['llama', { head_dim: 7 }, ['head_dim: expected an even number, for rotary positions, got 7']],
    ['llama', { hidden_size: 28 }, ['head_dim: expected an even number, for rotary positions, got 7']],
    ['llama', { rope_parameters: 'linear' }, ['rope_parameters: expected an object, got "linear"']],
    ['llama', { rope_parameters: [1] }, ['rope_parameters: expected an object, got [1]']],
    ['llama', { rope_scaling: 5 }, ['rope_scaling: expected an object, got 5']],
    ['llama', { rope_parameters: { rope_type: 'mrope' } }, [
      "rope_parameters.rope_type: expected 'default', 'linear', 'dynamic', 'llama3', 'yarn' or 'longrope', got \"mrope\"",
    ]],
    ['llama', { rope_parameters: { rope_type: 'linear', factor: '4', rope_theta: -1 } }, [
      'rope_parameters.rope_theta: expected a number above 0, got -1',
      'rope_parameters.factor: expected a number above 0, got "4"',
    ]],
    ['llama', { rope_scaling: { type: 'yarn' } }, ['rope_scaling.factor: expected a number above 0, got none']],
    ['llama', { rope_scaling: { type: 'longrope', short_factor: [1], long_factor: [1, 1, 0] } }, [
      'rope_scaling.short_factor: expected 3 numbers, half of what is turned of a head, got 1',
      'rope_scaling.long_factor: expected a list of numbers above 0, got [1,1,0]',
    ]],
    ['llama', { rope_parameters: { rope_type: 'llama3', factor: 8, low_freq_factor: 4, high_freq_factor: 4 } }, [
      'rope_parameters.high_freq_factor: expected more than low_freq_factor (4), got 4',
    ]],
    ['llama', { partial_rotary_factor: 0.5 }, ['partial_rotary_factor: expected 1, got 0.5, which is not supported']],
    ['llama', { rope_parameters: { partial_rotary_factor: 0.5 } }, ['rope_parameters.partial_rotary_factor: expected 1, got 0.5, which is not supported']],
    ['qwen2', { rope_parameters: { full_attention: { rope_theta: 5 } } }, [
      'rope_parameters.full_attention: expected none, got {"rope_theta":5}, which is not supported',
    ]],
    ['mistral', { sliding_window: '4' }, ['sliding_window: expected an integer of at least 1, got "4"']],
    ['mistral', { layer_types: ['full_attention', 'full_attention'] }, [
      'layer_types: expected none, got ["full_attention","full_attention"], which is not supported',
    ]],
    ['qwen2', { use_sliding_window: 'true', max_window_layers: '1' }, [
      'use_sliding_window: expected true or false, got "true"',
      'max_window_layers: expected an integer of at least 0, got "1"',
    ]],
    ['qwen3', { use_sliding_window: true, layer_types: ['full_attention'] }, ['layer_types: expected 2, one for each of num_hidden_layers, got 1']],
    ['qwen3', { layer_types: ['conv', 'full_attention'] }, ['layer_types: expected full_attention or sliding_attention, got "conv"']],
    ['ministral', { sliding_window: null, layer_types: ['sliding_attention', 'full_attention'] }, [
      'layer_types: expected no sliding_attention where there is no sliding_window',
    ]],
    ['smollm3', { no_rope_layers: [1] }, ['no_rope_layers: expected 2 or more, one for each of num_hidden_layers, got 1']],
    ['gemma2', { attn_logit_softcapping: -1, query_pre_attn_scalar: 0 }, [
      'query_pre_attn_scalar: expected a number above 0, got 0', 'attn_logit_softcapping: expected a number of at least 0, got -1']],
    ['granite', { logits_scaling: 0 }, ['logits_scaling: expected a number above 0, got 0']],
    ['olmo3', { rope_parameters: { sliding_attention: { rope_type: 'new' } } }, ["rope_parameters.sliding_attention.rope_type: expected 'default', 'linear', 'dynamic', 'llama3', 'yarn' or 'longrope', got \"new\""]],
    ['ministral3', { rope_parameters: { rope_type: 'default' } }, ['rope_parameters.llama_4_scaling_beta: expected a number, got none']],
    ['qwen3_5_text', { layer_types: ['sliding_attention', 'full_attention'], linear_num_key_heads: 3 }, [
      'linear_num_value_heads: expected a multiple of linear_num_key_heads (3), got 32', 'layer_types: expected linear_attention or full_attention, got "sliding_attention"']],
    ['phi3', { rope_scaling: { type: 'linear', factor: 2 }, partial_rotary_factor: 0.2 }, [
      "rope_scaling.type: expected 'default', 'longrope', 'su' or 'yarn', got \"linear\"",
      'rope_scaling.partial_rotary_factor: expected a share that turns an even number of the 6 of a head, got 1',
    ]],
    ['seed_oss', { residual_dropout: 1 }, ['residual_dropout: expected a number of at least 0 and below 1, got 1']],
  ])('of %s with %j is refused', (type, change, problems) => {
    expect(problemsOf(type, change)).toEqual(problems)
  })

  it.each<readonly [config: ConfigJson, said: string]>([
    [{}, 'undefined is not supported.'],
    [{ model_type: 'toString' }, '"toString" is not supported.'],
    [{ model_type: 'ernie4_5' }, '"ernie4_5" is not supported. The nearest family is llama; it lacks rotary positions that turn neighbouring numbers as a pair.'],
    [{ model_type: 'gemma3n_text' }, '"gemma3n_text" is not supported. The nearest family is gemma3_text; it lacks several streams, inputs for each layer, and layers that share keys and values.'],
    [{ model_type: 'deit' }, '"deit" is not supported. The nearest family is vit; it lacks a token for what it learned from a teacher.'],
    [{ model_type: 'whisper' }, '"whisper" is not supported. It takes sound; models here take texts and pictures.'],
    [{ model_type: 'swin' }, '"swin" is not supported. It takes pictures in a way that is not here.'],
    [{ model_type: 'qwen3_5', text_config: { model_type: 'qwen3_5_text' } }, '"qwen3_5" is not supported. Its text model, under text_config, is of model_type qwen3_5_text, which is supported: '
      + 'save it as a checkpoint of its own with transformers (the page "Which models load" has the lines).'],
    [{ model_type: 'qwen3_5_moe', text_config: { model_type: 'qwen3_5_moe_text' } }, '"qwen3_5_moe" is not supported. Its text model, under text_config, is of model_type qwen3_5_moe_text. '
      + 'The nearest family is qwen3_5_text; it lacks experts, and an expert that all tokens share.'],
  ])('of a model that computes otherwise is refused, with the nearest family and what it lacks: %j', (config, said) => {
    expect(() => architectureOf({ ...WIDE, ...config }, 'some/config.json')).toThrow(new CheckpointError(
      `some/config.json: model_type ${said} Supported: ${Object.keys(FAMILIES).join(', ')}.`,
    ))
  })

  it('is told of relatives that are families, for none that is one itself', () => {
    for (const [type, [nearest]] of Object.entries(RELATIVES)) {
      expect(Object.keys(FAMILIES), type).toContain(nearest)
      expect(Object.keys(FAMILIES)).not.toContain(type)
    }
  })

  it('has its model_type in docs/models.md, with the tasks that it loads for', async () => {
    const page = await readFile(join(import.meta.dirname, '../../../docs/models.md'), 'utf8')
    const tasks = new Map([...page.matchAll(/^\| ([a-z-]+) \| (`.*`) \|$/gm)].map(([, kind, names = '']) => [kind, names.replaceAll('`', '').split(', ')]))
    const rows = [...page.matchAll(/^\| `([^`]+)` \| ([a-z-]+) \|/gm)].map(([, type, kind]) => [type, tasks.get(kind)])
    const every = { ...WIDE, hidden_dim: 40, num_key_value_heads: 2, encoder_attention_heads: 2, decoder_attention_heads: 2 }
    expect(rows).toEqual(Object.keys(FAMILIES).map((type) => [type, Object.keys(architectureOf({ ...every, model_type: type }).heads)]))
  })

  it('is saved with a point in the numbers that transformers takes with one alone', async () => {
    const model = await createModel({ model_type: 'modernbert', ...TYPES['modernbert'], initializer_cutoff_factor: 2, norm_eps: 1e-5, mlp_dropout: 0 }, { task: 'masked-lm' })
    const folder = join(temporary('point'), 'model')
    await model.save(folder)
    model.dispose()
    const text = await readFile(join(folder, 'config.json'), 'utf8')
    expect(text.match(/"(initializer_cutoff_factor|norm_eps|mlp_dropout|vocab_size)": [^,\n]*/g)?.sort()).toEqual(
      ['"initializer_cutoff_factor": 2.0', '"mlp_dropout": 0', '"norm_eps": 0.00001', '"vocab_size": 37'])
  })

  it('says so where it is not from a file', async () => {
    await expect(createModel({ model_type: 'gpt2', ...TYPES['gpt2'], n_head: 5 })).rejects.toThrow(
      'The configuration cannot be used as a gpt2 model:\n  - n_head: expected a divisor of n_embd (24), got 5')
  })

  it.each<[change: ConfigJson, problem: string]>([
    [{ num_hidden_layers: 1e9 }, 'num_hidden_layers: expected an integer of at least 1 and of at most 21 (the files have 21 tensors), got 1000000000'],
    [{ vocab_size: 1e12 }, 'vocab_size: expected an integer of at least 1 and of at most 65536 (no tensor in the files is larger), got 1000000000000'],
    [{ intermediate_size: 1e9 }, 'intermediate_size: expected an integer of at least 1 and of at most 65536 (no tensor in the files is larger), got 1000000000'],
    [{ num_attention_heads: 4096, num_key_value_heads: 4096, head_dim: 4096 }, 'head_dim: expected at most 65536 for all heads, got 4096 × 4096'],
  ])('that is larger than the files is refused before anything is made: %j', async (change, problem) => {
    const folder = await altered('llama/causal_lm', change)
    await expect(loadModel(folder, { task: 'causal-lm' })).rejects.toThrow(
      new CheckpointError(`${join(folder, 'config.json')} cannot be used as a llama model:`, [problem]))
  })
})

describe('names of classes', () => {
  const names = (config: ConfigJson, task: Task = 'sequence-classification'): readonly string[] => labelsOf(config, task, 'some/config.json')

  it('are those of the file, or numbered', () => {
    expect(names({ id2label: { 0: 'ham', 1: 'spam' } })).toEqual(['ham', 'spam'])
    expect(names({ num_labels: 3 })).toEqual(['LABEL_0', 'LABEL_1', 'LABEL_2'])
    expect(names({})).toEqual(['LABEL_0', 'LABEL_1'])
    expect(names({}, 'causal-lm')).toEqual([])
  })

  it.each<[config: ConfigJson, problems: readonly string[]]>([
    [{ id2label: ['a', 'b'] }, ['id2label: expected an object, got ["a","b"]']],
    [{ id2label: { 0: 1 } }, ['id2label.0: expected a text, got 1']],
    [{ id2label: { 1: 'a', 2: 'b' } }, ['id2label: expected the ids 0, 1 … up to 1, got "1"']],
    [{ id2label: { 0: 'a', 1: 'b' }, num_labels: 3 }, ['num_labels: expected 2, as id2label has, got 3']],
    [{ num_labels: 2.5 }, ['num_labels: expected an integer of at least 1 and of at most 1048576, got 2.5']],
  ])('that are not one for each class are refused: %j', (config, problems) => {
    expect(() => names(config)).toThrow(new CheckpointError('some/config.json cannot be used as a model for sequence-classification:', problems))
  })

  it('are LABEL_0 and LABEL_1 for a trained head of two classes whose file says nothing', async () => {
    const folder = await altered('relatives/ernie_question_answering', { architectures: ['ErnieForTokenClassification'] })
    const file = await openSafetensors(join(folder, 'model.safetensors'))
    const tensors = await Promise.all([...file.entries.keys()].map(async (name) => ({ name: name.replace('qa_outputs', 'classifier'), ...(await file.read(name)) })))
    await file.close()
    await writeSafetensors(join(folder, 'model.safetensors'), tensors)
    const model = await loadModel(folder, { task: 'token-classification' })
    expect(model.parts.labels).toEqual(['LABEL_0', 'LABEL_1'])
    model.dispose()
  })
})

describe('the config.json of a saved model', () => {
  it.each([['float32', 'float32'], ['bfloat16', 'float32']] as const)('says what its file holds, loaded as %s: %s', async (dtype, saved) => {
    const source = await altered('relatives/seed_oss_causal_lm', { dtype: 'float16', torch_dtype: 'bfloat16' })
    const model = await loadModel(source, { task: 'causal-lm', dtype })
    const folder = temporary(`saved-${dtype}`)
    await model.save(folder)
    model.dispose()
    const file = await openSafetensors(join(folder, 'model.safetensors'))
    const types = new Set([...file.entries.values()].map((entry) => entry.dtype))
    await file.close()
    expect([...types].sort()).toEqual(dtype === 'float32' ? ['F32'] : ['BF16', 'F32'])
    expect(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))).toMatchObject({ dtype: saved, torch_dtype: saved })
  })

  it('has one name for each class, and their number where the file had it', async () => {
    const source = await altered('relatives/ernie_base', { num_labels: 5, id2label: null })
    const model = await loadModel(source, { task: 'sequence-classification', labels: ['a', 'b'] })
    const folder = temporary('saved-labels')
    await model.save(folder)
    model.dispose()
    expect(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))).toMatchObject({
      architectures: ['ErnieForSequenceClassification'], id2label: { 0: 'a', 1: 'b' }, label2id: { a: 0, b: 1 }, num_labels: 2,
    })
  })
})

async function altered(source: string, change: ConfigJson): Promise<string> {
  const folder = temporary(`${source}${JSON.stringify(change)}`.replaceAll(/\W/g, '').slice(0, 60))
  await cp(goldenPath(source), folder, { recursive: true })
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as object
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, ...change }))
  return folder
}
