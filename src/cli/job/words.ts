// What mlx-lm, Axolotl and transformers call a setting of a job: who knows them is told where it is here.

import { nearTo } from '../../base/options.ts'

const ALSO_CALLED: Readonly<Record<string, string>> = {
  // mlx-lm
  iters: 'training.maxSteps', adapter_path: 'output', fine_tune_type: 'method.name', num_layers: 'method.layers', steps_per_eval: 'training.evaluateEvery',
  val_batches: 'data.evaluate', max_seq_length: 'data.maxLength', grad_checkpoint: 'training.gradientCheckpointing', resume_adapter_file: 'from', lora_parameters: 'method',
  scale: 'method.alpha', keys: 'method.targets', lr_schedule: 'training.schedule', grad_accumulation_steps: 'training.accumulate', save_every: 'training.saveEvery',
  // Axolotl
  base_model: 'model', datasets: 'data.train', val_set_size: 'data.evaluate', output_dir: 'output', sequence_len: 'data.maxLength', adapter: 'method.name',
  lora_r: 'method.rank', lora_alpha: 'method.alpha', lora_dropout: 'method.dropout', lora_target_modules: 'method.targets', micro_batch_size: 'training.batchSize',
  num_epochs: 'training.epochs', gradient_accumulation_steps: 'training.accumulate', lr_scheduler: 'training.schedule', lora_model_dir: 'from', load_in_8bit: 'dtype',
  load_in_4bit: 'dtype', eval_steps: 'training.evaluateEvery', save_steps: 'training.saveEvery', early_stopping_patience: 'training.best.patience', lora_modules_to_save: 'method.train',
  // transformers and PEFT
  r: 'method.rank', target_modules: 'method.targets', modules_to_save: 'method.train', num_train_epochs: 'training.epochs', max_steps: 'training.maxSteps',
  per_device_train_batch_size: 'training.batchSize', warmup_ratio: 'training.warmup', warmup_steps: 'training.warmup', lr_scheduler_type: 'training.schedule', lr: 'training.learningRate',
  label_smoothing_factor: 'training.labelSmoothing', model_name_or_path: 'model', train_file: 'data.train', validation_file: 'data.evaluate', torch_dtype: 'dtype', max_length: 'data.maxLength',
}

const letters = (text: string): string => text.replaceAll(/[_-]/g, '').toLowerCase()

/** The path of the setting that a name of another program, or of another section, stands for. @param paths all there are */
export function meantBy(name: string, paths: readonly string[] = []): string | undefined {
  const last = (path: string): string => path.split('.').at(-1) ?? path
  return ALSO_CALLED[name] ?? paths.find((path) => letters(last(path)) === letters(name)) ?? nearTo(name, paths.map(last)).map((near) => paths.find((path) => last(path) === near))[0]
}
