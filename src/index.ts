// The public names, by topic; nothing else.

// Models
export { loadModel, type LoadOptions } from './base/load.ts'
export { Model, type ForwardOptions } from './base/model.ts'
export { loadTokenizer, type Encoded, type EncodeOptions, type Tokenizer } from './base/tokenizer.ts'
export { generate, type GenerateOptions, type NewTokens } from './base/generate.ts'
export type { Batch } from './base/batch.ts'
export type { Pooling, Task } from './base/architecture.ts'

// Adapters
export { adaptersOf, attach, detach, disable, enable, rename, skipLayers, type Adapter, type AttachOptions, type Summary } from './base/attach.ts'
export { loadAdapter, type LoadAdapterOptions } from './load-adapter.ts'
export { merge, type MergeOptions } from './base/merge.ts'
export { adapterNamed, setActive, withAdapters } from './manage/active.ts'
export { forwardPerRow } from './manage/per-row.ts'
export { combine, type CombineKind, type CombineOptions, type Part } from './manage/combine.ts'
export { report, type Report, type TensorReport } from './manage/report.ts'
export type { Selection } from './base/targets.ts'

// Methods
export { lora, type LoraInit, type LoraOptions } from './lora/lora.ts'
export { dora } from './lora/dora.ts'
export { ia3, type Ia3Options } from './lora/ia3.ts'
export { bottleneck, type BottleneckOptions } from './adapters/bottleneck.ts'
export { houlsby, parallel, pfeiffer, scaledParallel } from './adapters/presets.ts'
export { prefix, type PrefixOptions } from './prefix/prefix.ts'
export { prefixFromText, type PrefixRows } from './prefix/from-text.ts'
export { prompt, type PromptOptions } from './prompt/prompt.ts'
export { pTuning, type PTuningOptions } from './prompt/p-tuning.ts'
export { bitFit } from './overlays/bitfit.ts'
export { fullFineTuning } from './overlays/full.ts'
export { headOnly } from './overlays/head.ts'
export { layerNormTuning } from './overlays/layer-norm.ts'
export type { Method, Own } from './base/method.ts'
export type { Around, Site } from './base/sites.ts'

// Interpolation and merging
export { interpolate } from './forgetting/interpolate-adapter.ts'
export { sweepAlpha, type Scored, type Sweep, type SweepOptions } from './forgetting/sweep.ts'
export { greedySoup, soup, type GreedySoup, type GreedySoupOptions } from './forgetting/soup.ts'
export { greedyChoice, type GreedyChoice } from './forgetting/greedy.ts'
export { attachLike, type NewAdapterOptions } from './forgetting/attach-like.ts'
export { mergeModels } from './forgetting/merge-models.ts'
export { interpolateTensors, type Alpha } from './forgetting/interpolate.ts'
export { averageTensors, fisherAverage, type FisherAverageOptions } from './forgetting/average.ts'
export { addTaskVectors, taskVector, type AddOptions, type WeightedVector } from './forgetting/task-vector.ts'
export { slerp } from './forgetting/slerp.ts'
export type { Tensors } from './forgetting/records.ts'

// Training
export { Trainer, type EvaluateEvent, type FitOptions, type StepEvent, type TrainerEvent, type TrainerOptions } from './training/trainer.ts'
export { eventLog } from './training/event-log.ts'
export { progress, type ProgressOptions } from './training/progress.ts'
export { tensorBoard } from './training/tensorboard.ts'
export type { Watcher } from './training/watch.ts'
export { predict, type Predictions } from './training/predict.ts'
export { accuracy, matthews, precisionRecallF1 } from './training/metrics.ts'
export { constant, cosine, cosineWithRestarts, inverseSqrt, linear, polynomial, wsd, type Schedule } from './training/schedules.ts'
export { loraPlus } from './training/lora-plus.ts'
export { AdamW, type AdamWOptions, type ParameterGroup } from './training/adamw.ts'
export { prepareBatches, type BatchOptions, type Batches, type Examples } from './training/batches.ts'
export { valueAndGrads, type ValueAndGrads } from './base/grads.ts'

// Data
export { datasetOf, mapRows, shuffleRows, splitByHash, type Dataset, type Row } from './data/dataset.ts'
export { csv, type CsvOptions } from './data/csv.ts'
export { hubDataset, type HubDatasetOptions } from './data/hub-dataset.ts'
export { jsonLines } from './data/json-lines.ts'
export { parquet } from './data/parquet.ts'

// Files and engine
export { loadEngine } from './base/engine.ts'
export { hubFile, hubSnapshot, type HubOptions, type HubProgress } from './base/io/hub.ts'
export { openSafetensors, writeSafetensors, type SafetensorsFile, type TensorToWrite } from './base/io/safetensors.ts'
export { CheckpointError, EngineError, HubError, InputError, PeftError, TargetError, TrainingError } from './errors.ts'
