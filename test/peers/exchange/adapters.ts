// Random adapters: in the words of PEFT's configuration classes, and in those of this library.

import type { Task } from '../../../src/base/architecture.ts'
import { given, type Draw } from './draw.ts'
import type { Family } from './families.ts'

type Options = Readonly<Record<string, unknown>>

/** What an adapter is made for. */
export interface Place {
  readonly family: Family
  readonly task: Task
  readonly layers: number
  readonly config: Options
}

/** A method and its options, as JSON. */
export interface AdapterRecipe {
  readonly method: string
  readonly options: Options
}

/** Where PEFT saves no head beside a method that has none. */
const isHeadless = ({ task, family }: Place): boolean => (family.decoder && (task === 'causal-lm' || task === 'feature-extraction')) || task === 'seq2seq-lm'

/** Those of PEFT's prefixes; of the families here, the decoders and encoder-decoders. transformers runs none where layers have a memory in place of a cache, nor where the cache of a
 * window of one token holds nothing. */
const hasPrefix = (place: Place): boolean => isHeadless(place) && !('linear_key_head_dim' in place.config) && place.config['sliding_window'] !== 1

/** Virtual rows are no tokens, and so have no row of a table of inputs of each layer: transformers runs none there. PEFT has them for texts, and those that encoder-decoders write. */
const hasPrompt = ({ task, family: { reads }, config }: Place): boolean => task !== 'masked-lm' && (reads === undefined || task === 'seq2seq-lm') && !(Number(config['hidden_size_per_layer_input'] ?? 0) > 0)

/** PEFT finds no table of the words in models of pictures and texts, and of an encoder-decoder with another task one in which nothing is looked up. */
const hasRows = ({ family: { reads }, task }: Place): boolean => reads === undefined || task === 'seq2seq-lm'

const hasHead = (task: Task): boolean => task === 'causal-lm' || task === 'masked-lm' || task === 'seq2seq-lm'

/** Ends of module paths that a weight update can be at: mostly products, now and then tables and the head. */
function places(draw: Draw, { family, task }: Place): string[] {
  const names = draw.some(family.linear, 3)
  if (draw.chance(0.2) && family.embeddings.length > 0) names.push(draw.pick(family.embeddings))
  if (draw.chance(0.15) && hasHead(task)) names.push(family.head)
  if (draw.chance(0.15)) names[0] = `${draw.pick([family.layers])}.0.${deepest(draw, family)}`
  return [...new Set(names)]
}

/** A path from the layer on. */
function deepest(draw: Draw, { linear }: Family): string {
  const full = draw.pick(linear)
  const known: Readonly<Record<string, string>> = {
    query: 'attention.self.query', key: 'attention.self.key', value: 'attention.self.value', dense: 'output.dense',
    q_lin: 'attention.q_lin', k_lin: 'attention.k_lin', v_lin: 'attention.v_lin', out_lin: 'attention.out_lin', lin1: 'ffn.lin1', lin2: 'ffn.lin2',
    c_attn: 'attn.c_attn', c_proj: 'mlp.c_proj', c_fc: 'mlp.c_fc',
    q_proj: 'self_attn.q_proj', k_proj: 'self_attn.k_proj', v_proj: 'self_attn.v_proj', o_proj: 'self_attn.o_proj',
    gate_proj: 'mlp.gate_proj', up_proj: 'mlp.up_proj', down_proj: 'mlp.down_proj',
  }
  return known[full] ?? full
}

/** A regular expression as people write them; `python` adds what only Python's have. */
function pattern(draw: Draw, place: Place, python: boolean): string {
  const { family: { linear, layers: word }, layers } = place
  const names = draw.some(linear, 3).map((name) => name.replaceAll('.', '\\.')).join('|')
  const layer = draw.int(0, layers - 1)
  const kinds = [`.*\\.(${names})`, `.*\\.${word}\\.${layer}\\..*(${names})`, `.*\\.${word}\\.[0-${layer}]\\..*\\.(?:${names})`, `.*(?:${names})$`]
  const pythons = [`(?i).*\\.(${names.toUpperCase()})`, `.*\\.(?P<name>${names})`, `.*\\.(${names})\\Z`, `(?x) .* \\. (${names})`]
  return draw.pick(python && draw.chance(0.25) ? pythons : kinds)
}

function selection(draw: Draw, place: Place, python: boolean): Options {
  const target = draw.int(0, 9)
  const targets = target === 0 ? 'all-linear' : target === 1 ? undefined : target <= 3 ? pattern(draw, place, python) : places(draw, place)
  const drawn = draw.maybe(0.15, () => (draw.chance(0.3) ? pattern(draw, place, python) : [draw.pick(place.family.linear)]))
  const exclude = python && target === 0 ? (place.family.idle ?? drawn) : drawn
  const layers = typeof targets === 'string' ? undefined : draw.maybe(0.25, () => Array.from({ length: place.layers }, (_, i) => i).filter(() => draw.chance(0.6)))
  return { targets, exclude, layers }
}

function byPattern(draw: Draw, { family: { linear, layers: word } }: Place, value: () => number): Readonly<Record<string, number>> {
  const keys = draw.some(linear, 2)
  const decorate = (key: string): string => draw.pick([key, key, `.*\\.${key}`, `${word}\\.0\\..*${key}`, `.*${word}.[01].*${key}`])
  return Object.fromEntries(keys.map((key) => [decorate(key), value()]))
}

function modulesToSave(draw: Draw, { family, task }: Place): string[] | undefined {
  const heads = hasHead(task) || task === 'image-classification' ? [family.head] : []
  return draw.maybe(0.25, () => draw.some([...heads, ...heads, ...family.embeddings.slice(0, 1), draw.pick(family.norms), draw.pick(family.linear)], 2))
}

function peftLora(draw: Draw, place: Place): Options {
  const { targets, exclude, layers } = selection(draw, place, true)
  const embedded = place.family.embeddings[0] ?? ''
  return given({
    r: draw.int(1, 6),
    lora_alpha: draw.pick([1, 4, 8, 16, 2.5]),
    lora_dropout: draw.maybe(0.3, () => 0.1),
    target_modules: targets,
    exclude_modules: exclude,
    layers_to_transform: draw.chance(0.2) && Array.isArray(layers) && layers.length > 0 ? (layers[0] as number) : layers,
    layers_pattern: layers === undefined ? undefined : draw.maybe(0.4, () => draw.pick([place.family.layers, [place.family.layers], ['blocks', place.family.layers]])),
    use_rslora: draw.maybe(0.25, () => true),
    use_dora: draw.maybe(0.2, () => true),
    bias: draw.maybe(0.3, () => draw.pick(['none', 'all', 'lora_only'])),
    rank_pattern: draw.maybe(0.25, () => byPattern(draw, place, () => draw.int(1, 5))),
    alpha_pattern: draw.maybe(0.2, () => byPattern(draw, place, () => draw.int(1, 20))),
    init_lora_weights: draw.maybe(0.3, () => draw.pick([true, false, 'gaussian', 'pissa', 'pissa_niter_4', 'olora', 'orthogonal'])),
    modules_to_save: draw.chance(0.1) && place.task === 'causal-lm' ? [embedded] : modulesToSave(draw, place),
    ensure_weight_tying: draw.maybe(0.15, () => true),
    fan_in_fan_out: draw.maybe(0.1, () => place.family.layers === 'h'),
    lora_bias: draw.maybe(0.03, () => true),
    trainable_token_indices: hasRows(place) ? draw.maybe(0.12, () => tokenRows(draw, place)) : undefined,
  })
}

/** The settings of what reads texts. */
export function textOf(config: Options): Options {
  return (config['text_config'] as Options | undefined) ?? config
}

/** Some ids. */
function ids(draw: Draw, place: Place): number[] {
  const [count, first] = [draw.int(1, 4), draw.int(0, 5)]
  return Array.from({ length: count }, (_, i) => (first + 3 * i) % Number(textOf(place.config)['vocab_size']))
}

/** Rows beside a LoRA; not of a masked LM, whose head PEFT computes without its bias then. */
function tokenRows(draw: Draw, place: Place): Options | readonly number[] | undefined {
  const { family: { embeddings, head }, task } = place
  if (task === 'masked-lm') return undefined
  const [table = ''] = embeddings
  return draw.pick([ids(draw, place), { [table]: ids(draw, place) }, task === 'causal-lm' ? { [head]: ids(draw, place) } : ids(draw, place)])
}

function peftTokens(draw: Draw, place: Place): Options {
  const [table = ''] = place.family.embeddings
  return given({ token_indices: ids(draw, place), target_modules: draw.maybe(0.4, () => [table]) })
}

function ownTokens(draw: Draw, place: Place): Options {
  const [table = ''] = place.family.embeddings
  return given({ indices: ids(draw, place), targets: draw.maybe(0.4, () => [table]) })
}

function peftIa3(draw: Draw, place: Place): Options {
  const { exclude } = selection(draw, place, true)
  const usual = draw.chance(0.3)
  const targets = draw.chance(0.2) ? pattern(draw, place, true) : draw.some(place.family.linear, 4)
  const among = place.family.feedForward.filter((name) => Array.isArray(targets) && targets.includes(name))
  const feedForward = typeof targets === 'string' ? draw.pick([[], pattern(draw, place, true)]) : draw.chance(0.7) ? among : []
  return given({
    target_modules: usual ? undefined : targets,
    feedforward_modules: usual ? undefined : feedForward,
    exclude_modules: exclude,
    modules_to_save: modulesToSave(draw, place),
    init_ia3_weights: draw.maybe(0.2, () => draw.chance(0.5)),
  })
}

function peftNorms(draw: Draw, place: Place): Options {
  const targets = draw.chance(0.2) ? `.*(${draw.some(place.family.norms, 2).join('|')})` : draw.some(place.family.norms, 2)
  return given({
    target_modules: draw.chance(0.3) ? undefined : targets,
    exclude_modules: draw.maybe(0.1, () => [draw.pick(place.family.norms)]),
    modules_to_save: modulesToSave(draw, place),
  })
}

/** PEFT finds the widths of most models by itself, not of DistilBERT, whose settings have other names. */
function promptOptions(draw: Draw, { config: { dim, n_layers, n_heads } }: Place): Options {
  return given({ num_virtual_tokens: draw.int(1, 5), token_dim: dim, num_layers: n_layers, num_attention_heads: n_heads })
}

function peftPTuning(draw: Draw, place: Place): Options {
  const lstm = draw.chance(0.4)
  return given({
    ...promptOptions(draw, place),
    encoder_reparameterization_type: lstm ? 'LSTM' : draw.maybe(0.5, () => 'MLP'),
    encoder_hidden_size: draw.maybe(0.7, () => draw.int(2, 9)),
    encoder_num_layers: lstm ? draw.int(1, 2) : undefined,
    encoder_dropout: draw.maybe(0.2, () => 0.1),
  })
}

function peftPrefix(draw: Draw, place: Place): Options {
  const projected = draw.chance(0.4)
  return given({ ...promptOptions(draw, place), prefix_projection: projected || undefined, encoder_hidden_size: projected ? draw.int(2, 9) : undefined })
}

/** An adapter that PEFT makes. */
export function peftAdapter(draw: Draw, place: Place): AdapterRecipe {
  const kinds: [string, (draw: Draw, place: Place) => Options][] = [
    ['LORA', peftLora], ['LORA', peftLora], ['LORA', peftLora], ['LORA', peftLora], ['IA3', peftIa3], ['LN_TUNING', peftNorms],
  ]
  if (hasPrompt(place)) kinds.push(['PROMPT_TUNING', promptOptions], ['P_TUNING', peftPTuning]) // PEFT has no task of masked words
  if (hasPrefix(place)) kinds.push(['PREFIX_TUNING', peftPrefix])
  if (isHeadless(place)) kinds.push(['TRAINABLE_TOKENS', peftTokens]) // elsewhere PEFT saves no head with tokens
  const [method, options] = draw.pick(kinds)
  return { method, options: options(draw, place) }
}

function ownLora(draw: Draw, place: Place): Options {
  return given({
    ...selection(draw, place, false),
    rank: draw.int(1, 6),
    alpha: draw.pick([1, 4, 8, 16, 2.5]),
    dropout: draw.maybe(0.3, () => 0.1),
    rankStabilized: draw.maybe(0.25, () => true),
    bias: draw.maybe(0.3, () => draw.pick(['none', 'all', 'lora_only'])),
    rankPattern: draw.maybe(0.25, () => byPattern(draw, place, () => draw.int(1, 5))),
    alphaPattern: draw.maybe(0.2, () => byPattern(draw, place, () => draw.int(1, 20))),
    trainableTokens: hasRows(place) ? draw.maybe(0.12, () => tokenRows(draw, place)) : undefined,
    init: draw.maybe(0.4, () => draw.pick(['kaiming', 'gaussian', 'pissa', { kind: 'pissa', iterations: 4 }, 'olora'])),
  })
}

function ownIa3(draw: Draw, place: Place): Options {
  if (draw.chance(0.3)) return {}
  return given({ ...selection(draw, place, false), feedForward: draw.pick([[], place.family.feedForward.slice(0, 1)]) })
}

function ownNorms(draw: Draw, place: Place): Options {
  return given({
    targets: draw.maybe(0.6, () => draw.some(place.family.norms, 2)),
    layers: draw.maybe(0.2, () => [draw.int(0, place.layers - 1)]),
  })
}

function ownPTuning(draw: Draw): Options {
  const encoder = draw.pick(['mlp', 'lstm'])
  return given({ virtualTokens: draw.int(1, 5), pooling: 'all', encoder, hiddenSize: draw.maybe(0.7, () => draw.int(2, 9)), layers: encoder === 'lstm' ? draw.int(1, 2) : undefined })
}

function ownPrefix(draw: Draw): Options {
  return given({ virtualTokens: draw.int(1, 5), reparametrization: draw.maybe(0.4, () => ({ hiddenSize: draw.int(2, 9) })) })
}

/** An adapter that this library makes. */
export function ownAdapter(draw: Draw, place: Place): AdapterRecipe & { readonly train: readonly string[] | undefined } {
  const kinds: [string, (draw: Draw, place: Place) => Options][] = [
    ['lora', ownLora], ['lora', ownLora], ['lora', ownLora], ['dora', ownLora], ['ia3', ownIa3], ['layerNormTuning', ownNorms],
  ]
  if (hasPrompt(place)) kinds.push(['prompt', (d) => ({ virtualTokens: d.int(1, 5), pooling: 'all' })], ['pTuning', ownPTuning])
  if (hasPrefix(place)) kinds.push(['prefix', ownPrefix])
  if (isHeadless(place)) kinds.push(['trainableTokens', ownTokens])
  const [method, options] = draw.pick(kinds)
  const train = modulesToSave(draw, place)
  return { method, options: options(draw, place), train: method === 'trainableTokens' ? undefined : train } // PEFT trains no module in full beside tokens
}
