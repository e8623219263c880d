import type { ConfigJson } from '../architecture.ts'
import type { Model } from '../model.ts'
import { classNameOf } from '../tasks/task.ts'

/** The names in config.json of types in safetensors. */
const NAMES: Readonly<Record<string, string>> = { F64: 'float64', F32: 'float32', BF16: 'bfloat16', F16: 'float16' }

/** Numbers that some configuration class in transformers takes with a point in them alone: 2.0, not 2. */
export const WITH_POINT: readonly string[] = [
  'attention_dropout', 'attention_probs_dropout_prob', 'attn_logit_softcapping', 'classifier_dropout', 'decoder_layerdrop', 'encoder_layerdrop',
  'final_logit_softcapping', 'hidden_dropout_prob', 'init_std', 'initializer_cutoff_factor', 'initializer_factor', 'initializer_range', 'layer_norm_eps', 'layer_norm_epsilon', 'norm_eps',
  'rms_norm_eps', 'router_aux_loss_coef', 'router_jitter_noise', 'swiglu_alpha', 'swiglu_limit',
]
const WITHOUT_POINT = new RegExp(`^( {2}"(?:${WITH_POINT.join('|')})": -?\\d+)(?=,?$)`, 'gm')

/** The text of a config.json. */
export function configText(config: ConfigJson): string {
  return `${JSON.stringify(config, null, 2).replace(WITHOUT_POINT, '$1.0')}\n`
}

/**
 * config.json of a model as it is saved.
 *
 * @param dtypes the types of the tensors in its file: one name stands for all, and a reader that rounds to it changes nothing
 */
export function savedConfig({ parts: { config, labels, architecture, task, problem, params } }: Model, dtypes: readonly string[]): ConfigJson {
  const [first = 'F32', ...others] = new Set(dtypes)
  const dtype = (others.length === 0 ? NAMES[first] : undefined) ?? 'float32'
  return {
    ...config,
    architectures: [classNameOf(architecture, task)],
    ...(problem === undefined ? {} : { problem_type: problem }),
    ...(labels.length === 0 ? {} : labelFields(labels)),
    ...(labels.length > 0 && 'num_labels' in config ? { num_labels: labels.length } : {}),
    ...(Object.keys(architecture.ties).some((name) => params.has(name)) ? { tie_word_embeddings: false } : {}),
    dtype,
    ...('torch_dtype' in config ? { torch_dtype: dtype } : {}),
  }
}

function labelFields(labels: readonly string[]): ConfigJson {
  return {
    id2label: Object.fromEntries(labels.map((label, id) => [id, label])),
    label2id: Object.fromEntries(labels.map((label, id) => [label, id])),
  }
}
