// P-tuning: rows in front of the token embeddings that come out of a small network, which is trained with them.
//
//   P = MLP(E) = W₃ relu(W₂ relu(W₁ E + b₁) + b₂) + b₃,  E (virtualTokens, D)
//   P = W₂ relu(W₁ BiLSTM(E) + b₁) + b₂,  read over the virtual tokens in order
//
// Liu et al. 2021, arXiv:2103.10385. The networks and their starts are those of PEFT's PromptEncoder; saving folds them
// away. Differs from the paper: the rows all stand in front of the text. Differs from PEFT as prompt tuning does.

import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import { InputError, shown } from '../errors.ts'
import { NO_VALUES, type InitContext, type Inits, type Method, type SiteTensors } from '../base/method.ts'
import { activation } from '../base/ops/activation.ts'
import { linear } from '../base/ops/linear.ts'
import { kaimingUniform, normal, type RandomStream } from '../base/random.ts'
import type { SequenceSite } from '../base/sites.ts'
import { biLstm, lstmInits } from './lstm.ts'
import { promptRows } from './prompt.ts'
import { checkTokens, virtualRows } from './virtual-rows.ts'
import { P_TUNING_FIELDS, promptFormat } from './file-format.ts'
import { checkNames, type Names } from '../base/options.ts'
import type { PTuningOptions, PTuningConfig } from './options.ts'

const NAMES: Names<PTuningOptions> = { virtualTokens: true, encoder: true, hiddenSize: true, layers: true, pooling: true }

/**
 * P-tuning: prompt tuning whose rows a small network makes (Liu et al. 2021, arXiv:2103.10385).
 *
 * @throws InputError with everything that is wrong with the options
 * @example const adapter = attach(model, pTuning({ virtualTokens: 10, encoder: 'lstm', hiddenSize: 128 }))
 */
export function pTuning(options: PTuningOptions = {}): Method {
  checkNames('pTuning', options, NAMES)
  const config = configOf(options)
  const rows = (own: SiteTensors): Tensor2D => encode(config, own)
  const init = ({ size }: SequenceSite, context: InitContext): Inits => startOf(config, size, context)
  return virtualRows({ name: 'pTuning', virtualTokens: config.virtualTokens, init, rows, pooling: config.pooling, format: formatOf(config, rows) })
}

/** P-tuning as it is in a file: the rows its network gave, trained on as they are. */
export function foldedPTuning(options: PTuningOptions): Method {
  const config = configOf(options)
  const shape = (width: number): readonly number[] => [config.virtualTokens, width]
  return virtualRows({
    name: 'pTuning',
    virtualTokens: config.virtualTokens,
    init: ({ size }, { fresh }) => ({ prompt: { shape: shape(size), values: fresh ? new Float32Array(config.virtualTokens * size) : NO_VALUES } }),
    rows: promptRows,
    pooling: config.pooling,
    format: formatOf(config, promptRows),
  })
}

function configOf(options: PTuningOptions): PTuningConfig {
  const config: PTuningConfig = { virtualTokens: 20, encoder: 'mlp', layers: 2, pooling: 'text', ...options }
  checkTokens('pTuning', config.virtualTokens)
  const { hiddenSize = 1, layers } = config
  const problems = Object.entries({ hiddenSize, layers })
    .filter(([, value]) => !Number.isInteger(value) || value < 1)
    .map(([name, value]) => `${name}: expected an integer of at least 1, got ${shown(value)}`)
  if (problems.length > 0) throw new InputError('pTuning: the options cannot be used:', problems)
  return config
}

function formatOf({ virtualTokens, encoder, hiddenSize, layers, pooling }: PTuningConfig, rows: (own: SiteTensors) => Tensor2D): ReturnType<typeof promptFormat> {
  return promptFormat({
    type: 'P_TUNING',
    virtualTokens,
    pooling,
    fields: P_TUNING_FIELDS,
    values: (width) => ({
      encoder_reparameterization_type: encoder.toUpperCase(),
      encoder_hidden_size: hiddenSize ?? width,
      encoder_num_layers: layers,
      encoder_dropout: 0,
    }),
    rows,
  })
}

/** Widths of the linear layers, first input to last output. */
function widths({ encoder, hiddenSize }: PTuningConfig, D: number): readonly number[] {
  const H = hiddenSize ?? D
  return encoder === 'mlp' ? [D, H, H, D] : [2 * H, 2 * H, D] // an LSTM gives both directions
}

function startOf(config: PTuningConfig, D: number, { draw }: InitContext): Inits {
  const { virtualTokens: P, encoder, hiddenSize: H = D, layers } = config
  const sizes = widths(config, D)
  return {
    embedding: { shape: [P, D], values: normal(draw('embedding'), P * D, 0, 1) },
    ...(encoder === 'lstm' ? lstmInits(D, H, layers, draw) : {}),
    ...Object.assign({}, ...sizes.slice(1).map((out, i) => linearInits(`linear${i + 1}`, sizes[i] ?? 0, out, draw))) as Inits,
  }
}

/** torch's Linear: U(±1/√in). */
function linearInits(name: string, inSize: number, outSize: number, draw: (name: string) => RandomStream): Inits {
  return {
    [`${name}Weight`]: { shape: [outSize, inSize], values: kaimingUniform(draw(`${name}Weight`), outSize * inSize, inSize) },
    [`${name}Bias`]: { shape: [outSize], values: kaimingUniform(draw(`${name}Bias`), outSize, inSize) },
  }
}

function encode(config: PTuningConfig, own: SiteTensors): Tensor2D {
  const embedding = own['embedding'] as Tensor2D // these names: as made by startOf
  const count = widths(config, embedding.shape[1]).length - 1
  let x = config.encoder === 'lstm' ? biLstm(embedding, own, config.layers) : embedding
  for (let i = 1; i <= count; i++) {
    x = linear(i === 1 ? x : activation('relu', x), own[`linear${i}Weight`] as Tensor2D, own[`linear${i}Bias`] as Tensor1D)
  }
  return x
}
