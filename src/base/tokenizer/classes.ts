import type { FullJson } from './configured.ts'
import { contentOf } from './added.ts'
import { qwen2Pattern } from './pattern.ts'
import type { Step } from './schema.ts'
import type { PostProcessorJson } from './template.ts'

type Config = Readonly<Record<string, unknown>>

/** A class of transformers 5 that takes the vocabulary from tokenizer.json and makes the steps itself. */
interface TokenizerClass {
  /** What its configuration is where the file says nothing; special tokens only where the vocabulary has them. */
  readonly defaults: (json: FullJson) => Config
  readonly steps: (json: FullJson, config: Config) => FullJson
}

const byteLevel = { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true }
const plainBpe = { unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: false, byte_fallback: false, ignore_merges: false }

export const classes: Readonly<Record<string, TokenizerClass | undefined>> = {
  BertTokenizer: {
    defaults: known({ unk_token: '[UNK]', sep_token: '[SEP]', pad_token: '[PAD]', cls_token: '[CLS]', mask_token: '[MASK]' }),
    steps: (json, config) => ({
      ...json,
      normalizer: {
        type: 'BertNormalizer', clean_text: true, handle_chinese_chars: config['tokenize_chinese_chars'] ?? true,
        strip_accents: config['strip_accents'] ?? null, lowercase: config['do_lower_case'] ?? true,
      },
      pre_tokenizer: { type: 'BertPreTokenizer' },
      decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
      model: { ...json.model, unk_token: contentOf(config['unk_token']) ?? '[UNK]', continuing_subword_prefix: '##', max_input_chars_per_word: 100 },
      post_processor: around(json, config) ?? json.post_processor,
    }),
  },
  RobertaTokenizer: {
    defaults: known({ bos_token: '<s>', eos_token: '</s>', sep_token: '</s>', cls_token: '<s>', unk_token: '<unk>', pad_token: '<pad>', mask_token: '<mask>' }),
    steps(json, config) {
      const tokens = around(json, config)
      const blanks = { trim_offsets: config['trim_offsets'] !== false, add_prefix_space: config['add_prefix_space'] === true }
      return { ...bytes(json, config['add_prefix_space']), post_processor: tokens === undefined ? json.post_processor : { ...tokens, ...blanks, type: 'RobertaProcessing' } }
    },
  },
  GPT2Tokenizer: {
    defaults: known({ unk_token: '<|endoftext|>', bos_token: '<|endoftext|>', eos_token: '<|endoftext|>' }),
    steps: (json, config) => bytes(json, config['add_prefix_space']),
  },
  Qwen2Tokenizer: {
    defaults: known({ unk_token: '<|endoftext|>', eos_token: '<|endoftext|>', pad_token: '<|endoftext|>' }),
    steps: (json, config) => ({
      ...bytes(json, false),
      normalizer: { type: 'NFC' },
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Split', pattern: { Regex: qwen2Pattern }, behavior: 'Isolated', invert: false },
          { ...byteLevel, add_prefix_space: config['add_prefix_space'] ?? false, use_regex: false },
        ],
      },
    }),
  },
  LlamaTokenizer: {
    defaults: (json) => ({ padding_side: 'left', ...known({ unk_token: '<unk>', bos_token: '<s>', eos_token: '</s>' })(json) }),
    steps: (json, config) => {
      const prefix = config['add_prefix_space'] ?? true
      const decoders: Step[] = [{ type: 'Replace', pattern: { String: '▁' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }]
      if (prefix === true) decoders.push({ type: 'Strip', content: ' ', start: 1, stop: 0 })
      return {
        ...json,
        normalizer: null,
        pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: prefix === true ? (config['legacy'] === true ? 'always' : 'first') : 'never', split: false },
        decoder: { type: 'Sequence', decoders },
        model: { ...json.model, ...plainBpe, fuse_unk: true, byte_fallback: true },
      }
    },
  },
}

const ofModelType: Readonly<Record<string, string>> = {
  bert: 'BertTokenizer', distilbert: 'BertTokenizer', electra: 'BertTokenizer', roberta: 'RobertaTokenizer', gpt2: 'GPT2Tokenizer', qwen2: 'Qwen2Tokenizer', qwen3: 'Qwen2Tokenizer',
}
const otherNames: Readonly<Record<string, string>> = { DistilBertTokenizer: 'BertTokenizer', ElectraTokenizer: 'BertTokenizer' }
const modelOf: Readonly<Record<string, string>> = { BertTokenizer: 'WordPiece', RobertaTokenizer: 'BPE', GPT2Tokenizer: 'BPE', Qwen2Tokenizer: 'BPE', LlamaTokenizer: 'BPE' }

/** The class transformers 5 takes; undefined for the one that reads tokenizer.json as it stands. */
export function classOf(named: unknown, modelType: unknown, json: FullJson): string | undefined {
  const byModel = typeof modelType === 'string' ? ofModelType[modelType] : undefined
  const full = typeof named === 'string' ? named.replace(/Fast$/, '') : byModel
  const name = modelType === 'qwen2' ? byModel : full === undefined ? undefined : otherNames[full] ?? full
  if (name === undefined || ['PreTrainedTokenizer', 'TokenizersBackend'].includes(name)) return undefined
  if (name === 'LlamaTokenizer' && isByteLevel(json)) return undefined
  return classes[name] !== undefined && json.model.type !== modelOf[name] ? undefined : name
}

function isByteLevel({ pre_tokenizer }: FullJson): boolean {
  const steps = pre_tokenizer === null ? [] : [pre_tokenizer, ...((pre_tokenizer['pretokenizers'] ?? []) as readonly Step[])]
  return steps.some(({ type }) => type === 'ByteLevel')
}

function bytes(json: FullJson, prefix: unknown): FullJson {
  return {
    ...json, normalizer: null, pre_tokenizer: { ...byteLevel, add_prefix_space: prefix ?? false }, decoder: byteLevel,
    model: { ...json.model, ...plainBpe },
  }
}

/** Those of the tokens that there are. */
function known(tokens: Readonly<Record<string, string>>): (json: FullJson) => Config {
  return ({ model, added_tokens }) => Object.fromEntries(Object.entries(tokens).filter(([, token]) =>
    Object.hasOwn(model['vocab'] as object, token) || added_tokens.some(({ content }) => content === token)))
}

/** The class's own special tokens around a text; undefined where the vocabulary has no such tokens. */
function around(json: FullJson, config: Config): (PostProcessorJson & { readonly type: 'BertProcessing' }) | undefined {
  const token = (name: string): readonly [string, number] | undefined => {
    const content = contentOf(config[name])
    const id = json.added_tokens.find((added) => added.content === content)?.id
    return content === undefined || id === undefined ? undefined : [content, id]
  }
  const [cls, sep] = [token('cls_token'), token('sep_token')]
  return cls === undefined || sep === undefined ? undefined : { type: 'BertProcessing', cls, sep }
}
