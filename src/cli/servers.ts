// What servers of language models make of an adapter in PEFT's files: rules as their own sources have them, of the versions that were read.

import { isOther, listed, rankOf, setting, trainedBiases, type AdapterFacts } from './adapter-facts.ts'

/** `refuses`: an error. `ignores`: it computes without, and does not say so. `asks`: it takes it where it is started with an option. */
export type Effect = 'refuses' | 'ignores' | 'asks'

/** What a server does with something that an adapter may have. */
export interface ServerRule {
  readonly effect: Effect
  /** File of the server's source that says so. */
  readonly source: string
  /** What the adapter has of it, in words; undefined where it has nothing. */
  readonly finds: (adapter: AdapterFacts) => string | undefined
  readonly mend: string
}

/** A server, at the version whose sources were read. */
export interface Server {
  readonly title: string
  readonly version: string
  readonly rules: readonly ServerRule[]
}

const MERGE = 'merge the adapter into its base and serve that: merge(adapter), model.save(folder)'
const NOT_LORA = 'only LoRA is served as an adapter; ' + MERGE + ', where the method can be merged'

/** vLLM's --max-lora-rank: by itself, and at most. */
const [VLLM_RANK, VLLM_HIGHEST] = [16, 512] as const
/** Starts that vLLM takes, as they leave the base as it is. */
const VLLM_STARTS = ['gaussian', 'eva', 'orthogonal', 'mica', 'lora_ga']
const VLLM_TENSORS = /\.lora_[AB]\.weight$|\.lora_embedding_[AB]$|\.(score|classifier)\.(weight|bias)$|\.(embed_tokens|lm_head)\.base_layer\.weight$/

const vllm = 'vllm/lora/peft_helper.py'
const sglang = 'sglang/srt/lora/lora.py'
const tgi = 'server/text_generation_server/adapters/lora.py'

export const SERVERS: Readonly<Record<'vllm' | 'sglang' | 'tgi', Server>> = {
  vllm: {
    title: 'vLLM', version: '0.33.0',
    rules: [
      { effect: 'refuses', source: vllm, finds: isOther, mend: NOT_LORA },
      ...['use_dora', 'lora_bias', 'alora_invocation_tokens', 'layer_replication', 'use_bdlora', 'use_qalora'].map((name) => ({ effect: 'refuses', source: vllm, finds: setting(name), mend: MERGE } as const)),
      {
        effect: 'refuses', source: vllm, mend: `${MERGE}. Of a classifier, modules named classifier or score are taken`,
        finds: ({ config }) => listed('modules_to_save', [config['modules_to_save'] ?? []].flat().filter((name) => name !== 'classifier' && name !== 'score')),
      },
      {
        effect: 'refuses', source: vllm, mend: `${MERGE}: such a start changes the base`,
        finds: ({ config: { init_lora_weights: start } }) => (typeof start === 'string' && !VLLM_STARTS.includes(start.toLowerCase()) ? `init_lora_weights: ${start}` : undefined),
      },
      { effect: 'refuses', source: vllm, finds: trainedBiases, mend: MERGE },
      { effect: 'refuses', source: 'vllm/lora/utils.py', finds: (adapter) => listed('tensors that are no LoRA', adapter.tensors.filter((name) => !VLLM_TENSORS.test(name))), mend: MERGE },
      { effect: 'refuses', source: 'vllm/config/lora.py', finds: (adapter) => (rankOf(adapter) > VLLM_HIGHEST ? `rank ${rankOf(adapter)}, more than ${VLLM_HIGHEST}` : undefined), mend: MERGE },
      {
        effect: 'asks', source: 'vllm/config/lora.py', mend: 'start it with --max-lora-rank, the first of 32, 64, 128, 256, 320, 512 that is not below',
        finds: (adapter) => (rankOf(adapter) > VLLM_RANK && rankOf(adapter) <= VLLM_HIGHEST ? `rank ${rankOf(adapter)}, more than ${VLLM_RANK}` : undefined),
      },
    ],
  },
  sglang: {
    title: 'SGLang', version: '0.5.23',
    rules: [
      { effect: 'refuses', source: sglang, finds: isOther, mend: NOT_LORA },
      { effect: 'refuses', source: 'sglang/srt/lora/lora_manager.py', finds: setting('use_dora'), mend: MERGE },
      { effect: 'refuses', source: 'sglang/srt/lora/lora_manager.py', finds: ({ addedTokens }) => listed('added_tokens.json', addedTokens), mend: `${MERGE}. Tokens that the base has are no added ones: take the file away` },
      {
        effect: 'asks', source: 'sglang/srt/lora/lora_manager.py', mend: 'start it with --lora-target-modules, or write their names as a list',
        finds: ({ config: { target_modules: targets } }) => (typeof targets === 'string' && !['all-linear', 'all'].includes(targets) ? `target_modules: ${targets}` : undefined),
      },
      { effect: 'ignores', source: sglang, finds: setting('use_rslora'), mend: 'it multiplies by lora_alpha / r: write lora_alpha times the root of r, and use_rslora false' },
      { effect: 'ignores', source: 'sglang/srt/lora/mem_pool.py', finds: trainedBiases, mend: MERGE },
      ...['rank_pattern', 'alpha_pattern', 'modules_to_save'].map((name) => ({ effect: 'ignores', source: sglang, finds: setting(name), mend: MERGE } as const)),
    ],
  },
  tgi: {
    title: 'TGI', version: 'of commit 45d95bdc',
    rules: [
      { effect: 'refuses', source: tgi, finds: isOther, mend: NOT_LORA },
      ...['use_dora', 'rank_pattern', 'alpha_pattern', 'modules_to_save', 'target_parameters'].map((name) => ({ effect: 'ignores', source: tgi, finds: setting(name), mend: MERGE } as const)),
      { effect: 'ignores', source: tgi, finds: setting('layers_to_transform'), mend: `a kind of module is adapted in all layers or in none; ${MERGE}` },
      { effect: 'ignores', source: tgi, finds: ({ tensors }) => listed('tensors that are no LoRA of a linear module', tensors.filter((name) => !/\.lora_[AB]\.weight$/.test(name))), mend: MERGE },
    ],
  },
}
