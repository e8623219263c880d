// The names that most programs need, by topic. The others are those of tfjs-peft/advanced.

// Models
export { loadModel, type LoadOptions } from './base/checkpoint/load.ts'
export { createModel } from './base/checkpoint/create.ts'
export { Model } from './base/model.ts'
export { loadTokenizer, type Tokenizer } from './base/tokenizer/tokenizer.ts'
export { growVocabulary } from './grow-vocabulary.ts'
export { alignLabels } from './base/tokenizer/align-labels.ts'
export { generate } from './base/generate/generate.ts'
export { generateText } from './base/generate/text.ts'
export type { Batch } from './base/batch.ts'
export type { Task } from './base/architecture.ts'

// Answers in words
export { classify, regress } from './answers/classify.ts'
export { extractEntities } from './answers/extract-entities.ts'
export { answer } from './answers/answer.ts'
export { similar } from './answers/similar.ts'
export { chat } from './answers/chat.ts'

// Adapters
export { attach } from './base/adapter/attach.ts'
export { adaptersOf, detach, disable, enable } from './base/adapter/attached.ts'
export type { Adapter } from './base/adapter/adapter.ts'
export { loadAdapted } from './load-adapted.ts'
export { loadAdapter } from './load-adapter.ts'
export { merge } from './base/adapter/merge.ts'
export { adapterNamed } from './base/adapter/named.ts'
export { setActive, withAdapters } from './manage/active.ts'
export { forwardPerRow } from './manage/per-row.ts'
export { combine } from './manage/combine.ts'
export { report } from './manage/report.ts'

// Methods
export { lora } from './lora/lora.ts'
export { dora } from './lora/dora.ts'
export { ia3 } from './lora/ia3.ts'
export { bottleneck } from './adapters/bottleneck.ts'
export { houlsby, parallel, pfeiffer, scaledParallel } from './adapters/presets.ts'
export { prefix } from './prefix/prefix.ts'
export { prompt } from './prompt/prompt.ts'
export { pTuning } from './prompt/p-tuning.ts'
export { bitFit } from './selective/bitfit.ts'
export { fullFineTuning } from './selective/full.ts'
export { headOnly } from './selective/head.ts'
export { layerNormTuning } from './selective/layer-norm.ts'
export { trainableTokens } from './selective/trainable-tokens.ts'
export type { Method } from './base/method.ts'

// Interpolation and merging
export { interpolate } from './forgetting/interpolate-adapter.ts'
export { sweepAlpha } from './forgetting/sweep.ts'
export { soup } from './forgetting/soup.ts'
export { mergeModels } from './forgetting/merge-models.ts'

// Guards against forgetting
export { chooseStrength } from './forgetting/choose-strength.ts'
export { diagonalFisher } from './forgetting/fisher.ts'
export { ewc } from './forgetting/ewc.ts'
export { l2Sp } from './forgetting/l2-sp.ts'
export { learnInSequence } from './forgetting/sequence.ts'
export { synapticIntelligence } from './forgetting/synaptic-intelligence.ts'
export { reservoir } from './forgetting/replay.ts'
export { lwf } from './forgetting/lwf.ts'
export type { Guard } from './training/guard.ts'

// Training
export { Trainer } from './training/trainer.ts'
export type { TrainerOptions } from './training/trainer-options.ts'
export { joinWorkers } from './distributed/join-workers.ts'
export type { TrainerEvent } from './training/events.ts'
export { untilInterrupted } from './training/interrupt.ts'
export { progress } from './training/progress.ts'
export { trainTasks } from './training/multi-task.ts'
export { predict } from './training/predict.ts'
export { predictTokens } from './training/predict-tokens.ts'
export { predictSpans } from './training/predict-spans.ts'
export { embed } from './training/embed.ts'
export { evaluate, perplexity } from './training/measure.ts'
export { accuracy, precisionRecallF1 } from './base/tasks/metrics.ts'
export { classificationReport } from './base/tasks/classification-report.ts'
export { contrastive, coSent, cosineSimilarity } from './base/tasks/similarity.ts'
export { maskTokens } from './training/mask-tokens.ts'
export { prepareBatches, type Examples } from './training/batches.ts'
export { packTokens } from './training/packing.ts'
export { readExamples } from './training/read-examples.ts'
export { streamBatches } from './training/stream-batches.ts'

// Data
export { csv } from './data/csv.ts'
export { hubDataset } from './data/hub-dataset.ts'
export { json } from './data/json.ts'
export { jsonLines } from './data/json-lines.ts'
export { parquet } from './data/parquet.ts'

// Files and engine
export { push } from './base/hub/push.ts'
export { PeftError } from './errors.ts'
