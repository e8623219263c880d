// What becomes of each field of transformers' GenerationConfig where generation_config.json has it. docs/parity.md prints it.

/** Fields that are done as transformers does them, and the option of `generate` that goes before them. */
export const DONE: Readonly<Record<string, string>> = {
  do_sample: 'temperature',
  temperature: 'temperature',
  top_k: 'topK',
  top_p: 'topP',
  min_p: 'minP',
  typical_p: 'typicalP',
  epsilon_cutoff: 'epsilonCutoff',
  eta_cutoff: 'etaCutoff',
  repetition_penalty: 'repetitionPenalty',
  no_repeat_ngram_size: 'noRepeatNgramSize',
  bad_words_ids: 'badWords',
  sequence_bias: 'sequenceBias',
  min_length: 'minNewTokens',
  min_new_tokens: 'minNewTokens',
  suppress_tokens: 'suppressTokens',
  begin_suppress_tokens: 'beginSuppressTokens',
  forced_bos_token_id: '',
  forced_eos_token_id: '',
  exponential_decay_length_penalty: '',
  remove_invalid_values: '',
  eos_token_id: 'stop',
  stop_strings: 'stopStrings',
}

/** A field with which generation would be another. */
interface Refused {
  /** The values with which it asks for nothing; not being there is one of them. */
  readonly off: readonly unknown[]
  /** What a user can do instead. */
  readonly wayOut: string
}

const SEARCH = 'tokens are chosen one by one, greedily or by drawing'
const SPECULATION = 'tokens are not guessed ahead'

/** Values of `cache_implementation` that hold keys and values as they are. */
const CACHES: readonly string[] = [
  'dynamic', 'static', 'offloaded', 'offloaded_static', 'sliding_window', 'hybrid', 'hybrid_chunked', 'offloaded_hybrid', 'offloaded_hybrid_chunked',
]

/** Fields that are refused with any other value. */
export const REFUSED: Readonly<Record<string, Refused>> = {
  num_beams: { off: [1], wayOut: SEARCH },
  constraints: { off: [], wayOut: SEARCH },
  force_words_ids: { off: [], wayOut: SEARCH },
  penalty_alpha: { off: [0], wayOut: SEARCH },
  dola_layers: { off: [], wayOut: SEARCH },
  num_return_sequences: { off: [1], wayOut: 'give generate a batch with the prompt as often as there are to be answers' },
  top_h: { off: [], wayOut: 'minP and etaCutoff cut by the shape of the distribution too' },
  encoder_repetition_penalty: { off: [1], wayOut: 'repetitionPenalty counts the prompt too' },
  encoder_no_repeat_ngram_size: { off: [0], wayOut: 'noRepeatNgramSize counts the prompt too' },
  guidance_scale: { off: [1], wayOut: 'the model is run once for each token' },
  token_healing: { off: [false], wayOut: 'end the prompt before the token that is cut' },
  watermarking_config: { off: [], wayOut: 'texts are not marked' },
  max_time: { off: [], wayOut: 'leave the loop over generate when the time is over' },
  cache_implementation: { off: CACHES, wayOut: 'keys and values are kept as they are' },
  use_mtp: { off: [false], wayOut: SPECULATION },
  prompt_lookup_num_tokens: { off: [], wayOut: SPECULATION },
  assistant_early_exit: { off: [], wayOut: SPECULATION },
  is_assistant: { off: [false], wayOut: SPECULATION },
}

const LENGTH = 'maxNewTokens goes before it'
const BEAMS = 'for beams alone'
const GUESSES = 'for an assistant model alone'
const OUTPUT = 'what Python is handed back'
const SPEED = 'how fast, not which'

/** Fields that change no token, and why. */
export const IDLE: Readonly<Record<string, string>> = {
  max_length: LENGTH,
  max_new_tokens: LENGTH,
  early_stopping: BEAMS,
  length_penalty: BEAMS,
  num_beam_groups: BEAMS,
  diversity_penalty: BEAMS,
  num_assistant_tokens: GUESSES,
  num_assistant_tokens_schedule: GUESSES,
  assistant_confidence_threshold: GUESSES,
  max_matching_ngram_size: GUESSES,
  assistant_lookbehind: GUESSES,
  target_lookbehind: GUESSES,
  assistant_ensemble_weight: GUESSES,
  speculation_type: GUESSES,
  use_cache: SPEED,
  cache_config: SPEED,
  max_cache_len: SPEED,
  compile_config: SPEED,
  disable_compile: SPEED,
  continuous_batching_config: SPEED,
  prefill_chunk_size: SPEED,
  low_memory: SPEED,
  output_attentions: OUTPUT,
  output_hidden_states: OUTPUT,
  output_scores: OUTPUT,
  output_logits: OUTPUT,
  return_dict_in_generate: OUTPUT,
  renormalize_logits: 'the logarithms of probabilities are drawn from as the logits are',
  pad_token_id: 'rows that have ended get undefined',
  bos_token_id: 'a prompt is never empty',
  decoder_start_token_id: 'for encoder-decoders alone',
  _from_model_config: 'where the file is from',
  transformers_version: 'where the file is from',
}
