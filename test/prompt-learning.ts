// The tests that prefix-tuning and prompt tuning share: the numbers of HF PEFT in the files that golden/make_prefix.py
// and golden/make_prompt.py wrote.

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import type { Task } from '../src/base/architecture.ts'
import { attach } from '../src/base/adapter/attach.ts'
import { adaptersOf, detach } from '../src/base/adapter/attached.ts'
import type { Adapter } from '../src/base/adapter/adapter.ts'
import type { Batch } from '../src/base/batch.ts'
import { valueAndGrads } from '../src/base/autodiff/grads.ts'
import { loadModel } from '../src/base/checkpoint/load.ts'
import type { Method } from '../src/base/method.ts'
import type { Model } from '../src/base/model.ts'
import { loadAdapter } from '../src/load-adapter.ts'
import { AdamW } from '../src/training/adamw.ts'
import { goldenPath, largestDifference, readGolden, valuesOf, type Golden } from './golden.ts'
import { shownByGolden, type Capability, type Shown } from './parity.ts'

/** PEFT's tensors under one prefix of a golden file, by PEFT's names. */
export type Peft = (key: string) => { readonly shape: readonly number[]; readonly values: ArrayLike<number> }

export interface PeftCase {
  readonly folder: string
  readonly task: Task
  /** Folder of the model. @default 'lora/base' */
  readonly base?: string
  readonly method: () => Method
  /** What PEFT has for one of our tensors. */
  readonly peft: (name: string, peft: Peft) => ArrayLike<number>
  /** The golden tensor that our logits have to be equal to. @default 'logits' */
  readonly logits?: string
}

const models: Model[] = []

afterEach(() => {
  for (const model of models.splice(0)) {
    for (const adapter of adaptersOf(model)) detach(adapter)
    model.dispose()
  }
})

/** Of logits and loss. A language model's logits are ten times as large: float32 itself moved them by up to 1e-5 (float32_error). */
const toleranceOf = ({ task }: PeftCase): number => (task === 'causal-lm' ? 5e-5 : 1e-5)

const shows = ({ folder, base = 'lora/base' }: PeftCase, what: Capability, tolerance?: number): Shown =>
  shownByGolden(folder, base, [what], tolerance)

/** How far logits are from theirs; of a language model's, at tokens that are no padding. */
function distance(model: Model, batch: Batch, golden: Golden, key: string): number {
  const counts = model.parts.task === 'causal-lm' ? golden.numbers('attention_mask') : undefined
  return largestDifference(tf.tidy(() => valuesOf(model.forward(batch))), golden.numbers(key), counts)
}

interface Opened {
  readonly model: Model
  readonly golden: Golden
  readonly batch: Batch
  readonly peft: (group: string) => Peft
}

async function open({ folder, task, base = 'lora/base' }: PeftCase): Promise<Opened> {
  const golden = await readGolden(`${folder}/golden.safetensors`)
  const model = await loadModel(goldenPath(base), { task })
  models.push(model)
  return {
    model,
    golden,
    batch: golden.batch('input_ids', 'attention_mask', undefined, 'labels'),
    peft: (group) => (key) => ({ shape: golden.shape(`${group}/${key}`), values: golden.numbers(`${group}/${key}`) }),
  }
}

/** The adapter with the values PEFT started from. */
async function openAtStart(row: PeftCase): Promise<Opened & { readonly adapter: Adapter }> {
  const opened = await open(row)
  const adapter = attach(opened.model, row.method())
  for (const [name, variable] of Object.entries(adapter.trainable)) {
    const values = Float32Array.from(row.peft(name, opened.peft('start')))
    tf.tidy(() => variable.assign(tf.tensor(values, variable.shape)))
  }
  return { ...opened, adapter }
}

/** The logits of the adapter PEFT saved, of the adapter at PEFT's start, and of what is saved here and loaded again. */
export function sameLogits(row: PeftCase): void {
  describe(`the outputs of HF PEFT: ${row.folder}`, () => {
    const expected = row.logits ?? 'logits'
    const tolerance = toleranceOf(row)

    it('with the adapter PEFT saved, and without it', shows(row, 'load', tolerance), async () => {
      const { model, golden, batch } = await open(row)
      const adapter = await loadAdapter(model, goldenPath(`${row.folder}/adapter`))
      expect(distance(model, batch, golden, expected)).toBeLessThan(tolerance)
      detach(adapter)
      expect(distance(model, batch, golden, 'base_logits')).toBeLessThan(tolerance)
    })

    it('with the tensors PEFT trained', async () => {
      const { model, golden, batch } = await openAtStart(row)
      expect(distance(model, batch, golden, expected)).toBeLessThan(tolerance)
    })

    it('and the same file, but for what its metadata tell of the task, when what PEFT saved is saved again', shows(row, 'save'), async () => {
      const { model } = await open(row)
      const adapter = await loadAdapter(model, goldenPath(`${row.folder}/adapter`))
      expect(adapter.origin.warnings).toEqual([])
      const folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
      try {
        await adapter.save(folder)
        const [saved, theirs] = await Promise.all([folder, goldenPath(`${row.folder}/adapter`)].map(async (of) => tensorsIn(await readFile(join(of, 'adapter_model.safetensors')))))
        expect([saved?.header, saved?.data.equals(theirs?.data ?? Buffer.of())]).toEqual([theirs?.header, true])
        const [ours, original] = await Promise.all([folder, goldenPath(`${row.folder}/adapter`)].map(readConfig))
        // how it was trained is not in the file any more, and PEFT lists each head twice
        const folded = original?.['prefix_projection'] === true ? ['prefix_projection', 'encoder_hidden_size'] : []
        const changed = [...folded, 'peft_version', 'auto_mapping', 'modules_to_save']
        const shared = Object.fromEntries(Object.entries(original ?? {}).filter(([key]) => !changed.includes(key)))
        const modules = row.task === 'causal-lm' ? null : ['classifier']
        expect(ours).toMatchObject({ ...shared, modules_to_save: modules, base_model_name_or_path: goldenPath(row.base ?? 'lora/base') })
      } finally {
        await rm(folder, { recursive: true })
      }
    })

    it('also when its trained tensors are folded into a file here', shows(row, 'save', tolerance), async () => {
      const { model, golden, batch, adapter } = await openAtStart(row)
      const folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
      try {
        await adapter.save(folder)
        detach(adapter)
        await loadAdapter(model, folder)
        expect(distance(model, batch, golden, expected)).toBeLessThan(tolerance)
      } finally {
        await rm(folder, { recursive: true })
      }
    })
  })
}

async function readConfig(folder: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(folder, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
}

/** Loss, every gradient, and 20 steps. */
export function sameTraining(row: PeftCase): void {
  describe(`the training of HF PEFT: ${row.folder}`, () => {
    it('loss and every gradient', shows(row, 'train', 1e-4), async () => {
      const { model, golden, batch, adapter, peft } = await openAtStart(row)
      const { value, grads } = valueAndGrads(() => model.loss(batch), adapter.trainable)
      expect(largestDifference(valuesOf(value), golden.numbers('loss'))).toBeLessThan(toleranceOf(row))
      for (const [name, grad] of Object.entries(grads)) {
        expect(largestDifference(valuesOf(grad), row.peft(name, peft('grad'))), name).toBeLessThan(1e-4)
      }
      const theirs = golden.names.filter((key) => key.startsWith('grad/')).reduce((sum, key) => sum + golden.numbers(key).length, 0)
      expect(Object.values(grads).reduce((sum, { size }) => sum + size, 0)).toBe(theirs)
      tf.dispose([value, ...Object.values(grads)])
    })

    it('the loss curve and values of 20 AdamW steps', shows(row, 'train', 1e-4), async () => {
      const { model, golden, batch, adapter, peft } = await openAtStart(row)
      const optimizer = new AdamW(adapter.trainable, { learningRate: 0.01, weightDecay: 0.01 })
      const losses: number[] = []
      for (let step = 0; step < 20; step++) {
        const { value, grads } = valueAndGrads(() => model.loss(batch), adapter.trainable)
        losses.push(valuesOf(value)[0] ?? NaN)
        optimizer.step(grads)
        tf.dispose([value, ...Object.values(grads)])
      }
      optimizer.dispose()
      expect(largestDifference(losses, golden.numbers('train/loss'))).toBeLessThan(1e-4)
      for (const [name, variable] of Object.entries(adapter.trainable)) {
        expect(largestDifference(valuesOf(variable), row.peft(name, peft('train/final'))), name).toBeLessThan(1e-4)
      }
    })
  })
}

/** Columns of a matrix. */
export function columns({ shape, values }: ReturnType<Peft>, start: number, width: number): number[] {
  const [rows = 0, all = 0] = shape
  return Array.from({ length: rows * width }, (_, i) => values[Math.floor(i / width) * all + start + (i % width)] ?? NaN)
}

/** A safetensors file: its header without the metadata, and the bytes behind it. */
function tensorsIn(file: Buffer): { readonly header: string; readonly data: Buffer } {
  const end = 8 + Number(file.readBigUInt64LE())
  const header = JSON.parse(file.toString('utf8', 8, end)) as Readonly<Record<string, unknown>>
  return { header: JSON.stringify(Object.entries(header).filter(([key]) => key !== '__metadata__')), data: file.subarray(end) }
}
