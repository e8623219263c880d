// Options that a function does not have are refused, with the one that may have been meant: JavaScript would leave them unread.

import { afterAll, beforeAll, expect, it } from 'vitest'
import * as advanced from '../src/advanced.ts'
import type { Adapter } from '../src/base/adapter/adapter.ts'
import type { Tokenizer } from '../src/base/tokenizer/tokenizer.ts'
import * as main from '../src/index.ts'
import type { Model } from '../src/base/model.ts'
import { InputError } from '../src/errors.ts'
import { BATCH, closeModel, tinyModel } from './manage/models.ts'

let model: Model
let tokenizer: main.Tokenizer
beforeAll(async () => {
  model = await tinyModel()
  tokenizer = await main.loadTokenizer('test/golden/tokenizer/words')
})
afterAll(() => closeModel(model))

const rows = { ids: [[1, 2], [3, 4]], labels: [0, 1] }

const calls: readonly (readonly [what: string, call: (options: never) => unknown])[] = [
  ...(['lora', 'adalora', 'dora', 'ia3', 'bottleneck', 'prefix', 'prompt', 'pTuning', 'fullFineTuning', 'layerNormTuning'] as const)
    .map((name) => [name, (options: never) => main[name](options)] as const),
  ['bottleneck', (options) => main.houlsby(options)],
  ['attach', (options) => main.attach(model, main.lora(), options)],
  ['merge', (options) => main.merge(model, [], options)],
  ['combine', (options) => main.combine(model, [], options)],
  ['exportGguf', (options) => main.exportGguf(model, 'somewhere.gguf', options)],
  ['exportOnnx', (options) => main.exportOnnx(model, 'somewhere', options)],
  ['loadModel', (options) => main.loadModel('somewhere', options)],
  ['createModel', (options) => main.createModel({}, options)],
  ['withHead', (options) => main.withHead(model, options)],
  ['shareAdapter', (options) => main.shareAdapter({} as main.Adapter, model, options)],
  ['loadAdapted', (options) => main.loadAdapted('somewhere', options)],
  ['startFromLoftQ', (options) => main.startFromLoftQ({} as main.Adapter, options)],
  ['loadAdapter', (options) => main.loadAdapter(model, 'somewhere', options)],
  ['classify', (options) => main.classify(model, tokenizer, ['a'], options)],
  ['regress', (options) => main.regress(model, tokenizer, ['a'], options)],
  ['classifyImages', (options) => main.classifyImages(model, main.createImageProcessor({ image_processor_type: 'ViTImageProcessor' }), [], options)],
  ['classifyZeroShot', (options) => main.classifyZeroShot(model, tokenizer, main.createImageProcessor({ image_processor_type: 'ViTImageProcessor' }), [], options)],
  ['extractEntities', (options) => main.extractEntities(model, tokenizer, ['a'], options)],
  ['answer', (options) => main.answer(model, tokenizer, [], options)],
  ['similar', (options) => main.similar(model, tokenizer, 'a', ['b'], options)],
  ['encode', (options) => tokenizer.encode(['a'], options)],
  ['encodeWords', (options) => tokenizer.encodeWords([['a']], options)],
  ['alignLabels', (options) => main.alignLabels([0], [1], options)],
  ['generate', (options) => main.generate(model, [1], options)],
  ['predict', (options) => main.predict(model, rows, options)],
  ['predictTokens', (options) => main.predictTokens(model, rows, options)],
  ['predictSpans', (options) => main.predictSpans(model, rows, options)],
  ['embed', (options) => main.embed(model, rows, options)],
  ['perplexity', (options) => main.perplexity(model, rows, options)],
  ['Trainer', (options) => new main.Trainer(options)],
  ['joinWorkers', (options) => main.joinWorkers(options)],
  ['trainTasks', (options) => main.trainTasks(options).next()],
  ['readExamples', (options) => main.readExamples({ rows: async function* () { /* none */ } }, options)],
  ['streamBatches', (options) => main.streamBatches({ rows: async function* () { /* none */ } }, options)],
  ['prepareBatches', (options) => main.prepareBatches(rows, options)],
  ['diagonalFisher', (options) => main.diagonalFisher(model, {}, rows, options)],
  ['chooseStrength', (options) => main.chooseStrength({}, options)],
  ['ewc', (options) => main.ewc(options)],
  ['l2Sp', (options) => main.l2Sp({}, options)],
  ['rankBudget', (options) => main.rankBudget({} as main.Adapter, options)],
  ['lwf', (options) => main.lwf(options)],
  ['synapticIntelligence', (options) => main.synapticIntelligence({}, options)],
  ['contrastive', (options) => main.contrastive(options)],
  ['coSent', (options) => main.coSent(options)],
  ['csv', (options) => main.csv('x.csv', options)],
  ['json', (options) => main.json('x.json', options)],
  ['jsonLines', (options) => main.jsonLines('x.jsonl', options)],
  ['parquet', (options) => main.parquet('x.parquet', [], options)],
  ['progress', (options) => main.progress(options)],
  ['evaluate', (options) => main.evaluate(model, rows, options)],
  ['perplexity', (options) => main.perplexity(model, rows, options)],
  ['push', (options) => main.push('somewhere', 'me/it', options)],
  ['hubFile', (options) => advanced.hubFile('me/it', 'config.json', options)],
  ['trainableTokens', (options) => main.trainableTokens(options)],
  ['growVocabulary', (options) => main.growVocabulary(model, tokenizer, ['<a>'], options)],
  ['withTokens', (options) => tokenizer.withTokens(['<a>'], options)],
  ['loadTokenizer', (options) => main.loadTokenizer('somewhere', options)],
  ['loadImageProcessor', (options) => main.loadImageProcessor('somewhere', options)],
  ['createImageProcessor', (options) => main.createImageProcessor({}, options)],
  ['corruptSpans', (options) => main.corruptSpans(options)],
  ['maskTokens', (options) => main.maskTokens(options)],
  ['packTokens', (options) => main.packTokens([], options)],
  ['generateText', (options) => main.generateText(model, {} as Tokenizer, 'a text', options)],
  ['soup', (options) => main.soup(model, [], options)],
  ['greedySoup', (options) => advanced.greedySoup(model, [], options)],
  ['sweepAlpha', (options) => main.sweepAlpha({} as Adapter, options)],
  ['interpolate', (options) => main.interpolate({} as Adapter, 0.5, options)],
  ['attachLike', (options) => advanced.attachLike({} as Adapter, {}, options)],
  ...(['constant', 'linear', 'cosine', 'cosineWithRestarts', 'polynomial', 'inverseSqrt', 'wsd'] as const)
    .map((name) => [name, (options: never) => advanced[name](options)] as const),
  ['forward', (options) => model.forward(BATCH, options)],
  ['loss', (options) => model.loss(BATCH, options)],
  ['Trainer: best', (best) => new main.Trainer({ model, train: rows, best })],
  ['Trainer: checkpoints', (checkpoints) => new main.Trainer({ model, train: rows, checkpoints })],
]

it.each(calls)('%s refuses an option that nobody reads', async (what, call) => {
  const error: unknown = await Promise.resolve().then(() => call({ anythingElse: 1 } as never)).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(InputError)
  expect((error as InputError).message).toMatch(new RegExp(`^${what}: options that it does not have:\n  - 'anythingElse': it has `))
})

it.each<[Readonly<Record<string, unknown>>, (options: never) => unknown, readonly string[]]>([
  [{ r: 64, target_modules: ['q_proj'], lora_alpha: 16 }, main.lora, [
    "'r': did you mean rank?", "'target_modules': did you mean targets?", "'lora_alpha': did you mean alpha?"]],
  [{ num_virtual_tokens: 8 }, main.prompt, ["'num_virtual_tokens': did you mean virtualTokens?"]],
  [{ reduction_factor: 4, activaton: 'relu' }, main.bottleneck, ["'reduction_factor': did you mean reductionFactor?", "'activaton': did you mean activation?"]],
  [{ ewc_lambda: 10 }, main.ewc, ["'ewc_lambda': did you mean strength?"]],
  [{ lr: 1, num_train_epochs: 3, gradient_checkpointing: true, learningrate: 1 }, (options: never) => new main.Trainer(options), [
    "'lr': did you mean learningRate?", "'num_train_epochs': did you mean epochs?", "'gradient_checkpointing': did you mean gradientCheckpointing?",
    "'learningrate': did you mean learningRate?"]],
])('%j is answered with the names that were meant', (options, call, problems) => {
  expect(() => call(options as never)).toThrow(expect.objectContaining({ problems }) as Error)
})
