import type { ConfigJson } from '../architecture.ts'

const LAYER_NORMS = 'layer norms with biases'
const SIDE_BY_SIDE = 'both parts of a layer on one input'
const NO_GATE = 'a feed-forward part without a gate'
const PAIRS = 'rotary positions that turn neighbouring numbers as a pair'
const NORMS_FIRST = 'norms before the parts of a layer'
const SHARED_EXPERT = 'an expert that all tokens share'
const LATENT = `attention by compressed keys and values, and ${SHARED_EXPERT}`
const STATE_SPACE = 'layers of state space models'

/** Models that are asked for and are not here: the nearest family, and what their layers have that it has not. */
export const RELATIVES: Readonly<Record<string, readonly [nearest: string, lacks: string]>> = {
  // encoders
  'megatron-bert': ['bert', NORMS_FIRST],
  'bert-generation': ['bert', 'tokens without segments, and attention to earlier tokens alone'],
  rembert: ['bert', 'a head with a table of its own size'],
  mobilebert: ['bert', 'narrow parts within each layer, and norms that only scale and shift'],
  squeezebert: ['bert', 'grouped convolutions in place of products'],
  roformer: ['bert', PAIRS],
  convbert: ['bert', 'convolutions beside attention'],
  nystromformer: ['bert', 'attention by way of landmarks'],
  fnet: ['bert', 'Fourier transforms in place of attention'],
  layoutlm: ['bert', 'the places of words on a page'],
  big_bird: ['bert', 'attention to blocks of tokens'],
  longformer: ['roberta', 'attention to near tokens and to some of the whole text'],
  'roberta-prelayernorm': ['roberta', NORMS_FIRST],
  ibert: ['roberta', 'whole numbers in place of floats'],
  luke: ['roberta', 'entities beside the words'],
  'xlm-roberta-xl': ['xlm-roberta', NORMS_FIRST],
  xmod: ['xlm-roberta', 'parts for each language in every layer'],
  deberta: ['deberta-v2', 'one product for queries, keys and values, and distances that are not gathered in buckets'],
  'modernbert-decoder': ['modernbert', 'attention to earlier tokens alone'],
  eurobert: ['llama', 'attention to both sides'],
  // decoders
  gpt_bigcode: ['gpt2', 'heads that share one key and value'],
  gpt_neo: ['gpt2', 'scores that are not scaled, and layers that attend to near tokens'],
  gptj: ['gpt2', `rotary positions, and ${SIDE_BY_SIDE}`],
  codegen: ['gpt2', `rotary positions, and ${SIDE_BY_SIDE}`],
  opt: ['gpt2', 'positions that begin behind two rows, and products for queries, keys and values apart'],
  bloom: ['gpt2', 'scores that fall with the distance (ALiBi)'],
  mpt: ['gpt2', 'scores that fall with the distance (ALiBi)'],
  gpt_neox: ['llama', `${LAYER_NORMS}, ${NO_GATE}, ${SIDE_BY_SIDE}`],
  phi: ['llama', `${LAYER_NORMS}, ${NO_GATE}, ${SIDE_BY_SIDE}`],
  falcon: ['llama', `${LAYER_NORMS}, ${NO_GATE}, ${SIDE_BY_SIDE}`],
  starcoder2: ['llama', `${LAYER_NORMS}, ${NO_GATE}`],
  stablelm: ['llama', LAYER_NORMS],
  nemotron: ['llama', `${LAYER_NORMS}, ${NO_GATE}`],
  arcee: ['llama', NO_GATE],
  apertus: ['llama', `${NO_GATE}, norms of queries and keys`],
  olmo: ['llama', 'layer norms without weights'],
  cohere: ['llama', `layer norms, ${PAIRS}, ${SIDE_BY_SIDE}`],
  cohere2: ['llama', `layer norms, ${PAIRS}, ${SIDE_BY_SIDE}`],
  glm: ['llama', PAIRS],
  glm4: ['llama', `${PAIRS}, and norms on both sides of a part`],
  ernie4_5: ['llama', PAIRS],
  helium: ['llama', PAIRS],
  llama4_text: ['llama', `attention within chunks, ${PAIRS}, and experts`],
  hunyuan_v1_dense: ['qwen3', 'norms of queries and keys behind their rotation'],
  lfm2: ['qwen3', 'layers of short convolutions'],
  exaone4: ['olmo3', 'norms of each head, and layers without positions'],
  phi4_multimodal: ['phi3', 'pictures and sound, and a LoRA for each in every layer'],
  vaultgemma: ['gemma2', 'layers without norms behind their parts'],
  gemma3n_text: ['gemma3_text', 'several streams, inputs for each layer, and layers that share keys and values'],
  phimoe: ['mixtral', `${LAYER_NORMS}, and another choice of the experts`],
  olmoe: ['mixtral', 'norms of queries and keys'],
  granitemoe: ['granite', 'experts'],
  qwen2_moe: ['qwen3_moe', `${SHARED_EXPERT}, and queries and keys without norms`],
  glm4_moe: ['qwen3_moe', `${SHARED_EXPERT}, and another choice of the others`],
  dots1: ['qwen3_moe', `${SHARED_EXPERT}, and another choice of the others`],
  deepseek_v2: ['mixtral', LATENT],
  deepseek_v3: ['mixtral', LATENT],
  mistral4: ['mixtral', LATENT],
  qwen3_next: ['qwen3_5_text', `experts, ${SHARED_EXPERT}, and recurrent layers with products joined otherwise`],
  qwen3_5_moe_text: ['qwen3_5_text', `experts, and ${SHARED_EXPERT}`],
  mamba: ['qwen3_5_text', STATE_SPACE],
  mamba2: ['qwen3_5_text', STATE_SPACE],
  falcon_h1: ['qwen3_5_text', STATE_SPACE],
  jamba: ['qwen3_5_text', STATE_SPACE],
  bamba: ['qwen3_5_text', STATE_SPACE],
  granitemoehybrid: ['granite', `experts, and ${STATE_SPACE}`],
  // pictures
  deit: ['vit', 'a token for what it learned from a teacher'],
  beit: ['vit', 'distances of patches in place of positions, and factors of what each part gives'],
  dinov2_with_registers: ['dinov2', 'registers beside the class token'],
  // encoder-decoders
  mbart: ['bart', 'norms before each part, and a language that each text begins with'],
  pegasus: ['bart', 'norms before each part, and positions by sines'],
  marian: ['bart', 'positions by sines'],
  m2m_100: ['bart', 'norms before each part, and positions by sines'],
  blenderbot: ['bart', 'norms before each part'],
  led: ['bart', 'attention to near tokens'],
  longt5: ['t5', 'attention to near tokens'],
  switch_transformers: ['t5', 'experts'],
  umt5: ['mt5', 'a table of distances in every layer'],
  t5gemma: ['gemma2', 'an encoder before the decoder'],
}

const PICTURES = ['swin', 'clip_vision_model', 'siglip_vision_model']
const SOUND = ['whisper', 'wav2vec2', 'hubert', 'wavlm']

/**
 * What is said of a configuration that is not supported: sentences, or nothing.
 *
 * @param isSupported whether a model_type is
 */
export function hintFor(json: ConfigJson, isSupported: (type: unknown) => boolean): string {
  const { model_type: type, text_config: inner } = json
  if (typeof inner === 'object' && inner !== null && 'model_type' in inner) {
    if (isSupported(inner.model_type)) {
      return ` Its text model, under text_config, is of model_type ${String(inner.model_type)}, which is supported: save it as a checkpoint of its own with transformers (the page "Which models load" has the lines).`
    }
    const hint = relativeOf(inner.model_type)
    if (hint !== '') return ` Its text model, under text_config, is of model_type ${String(inner.model_type)}.${hint}`
  }
  return relativeOf(type)
}

function relativeOf(type: unknown): string {
  if (typeof type !== 'string') return ''
  if (PICTURES.includes(type)) return ' It takes pictures in a way that is not here.'
  if (SOUND.includes(type)) return ' It takes sound; models here take texts and pictures.'
  const relative = Object.hasOwn(RELATIVES, type) ? RELATIVES[type] : undefined
  return relative === undefined ? '' : ` The nearest family is ${relative[0]}; it lacks ${relative[1]}.`
}
