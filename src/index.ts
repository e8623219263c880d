// The public names, by topic; nothing else.

// Models
export { loadModel, type LoadOptions } from './base/load.ts'
export { Model, type ForwardOptions } from './base/model.ts'
export { loadTokenizer, type Encoded, type EncodeOptions, type Tokenizer } from './base/tokenizer.ts'
export type { Batch } from './base/batch.ts'
export type { Pooling, Task } from './base/architecture.ts'

// Adapters
export { adaptersOf, attach, detach, disable, enable, type Adapter, type AttachOptions, type Summary } from './base/attach.ts'
export { loadAdapter, type LoadAdapterOptions } from './load-adapter.ts'
export { merge } from './base/merge.ts'
export type { Selection } from './base/targets.ts'

// Methods
export { lora, type LoraOptions } from './lora/lora.ts'
export type { Method, Own } from './base/method.ts'
export type { Around, Site } from './base/sites.ts'

// Training
export { Trainer, type EvaluateEvent, type FitOptions, type StepEvent, type TrainerEvent, type TrainerOptions } from './training/trainer.ts'
export { predict, type Predictions } from './training/predict.ts'
export { accuracy, matthews, precisionRecallF1 } from './training/metrics.ts'
export { constant, cosine, linear, type Schedule } from './training/schedules.ts'
export { AdamW, type AdamWOptions, type ParameterGroup } from './training/adamw.ts'
export { prepareBatches, type BatchOptions, type Batches, type Examples } from './training/batches.ts'
export { valueAndGrads, type ValueAndGrads } from './base/grads.ts'

// Files and engine
export { loadEngine } from './base/engine.ts'
export { hubFile, hubSnapshot, type HubOptions, type HubProgress } from './base/io/hub.ts'
export { openSafetensors, writeSafetensors, type SafetensorsFile, type TensorToWrite } from './base/io/safetensors.ts'
export { CheckpointError, EngineError, HubError, InputError, PeftError, TargetError, TrainingError } from './errors.ts'
