// The event files of a training, read by TensorBoard.

import { execFileSync } from 'node:child_process'
import { expect, inject, it } from 'vitest'
import { attach, loadModel, lora, Trainer, type TrainerEvent } from '../../src/index.ts'
import { tensorBoard } from '../../src/advanced.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { goldenPath } from '../golden.ts'
import { peerScript } from './python.ts'

const temporary = temporaryFolder()

it('TensorBoard reads every measurement of a training at its step', async () => {
  const model = await loadModel(goldenPath('bert/base'), { task: 'sequence-classification', labels: ['a', 'b'] })
  attach(model, lora())
  const rows = { ids: Array.from({ length: 12 }, (_, i) => [2, 3 + i, 4]), labels: Array.from({ length: 12 }, (_, i) => i % 2) }
  const events: TrainerEvent[] = []
  const watchers = [await tensorBoard(temporary('run')), { onEvent: (event: TrainerEvent) => void events.push(event) }]
  await new Trainer({ model, train: rows, evaluate: rows, batchSize: 4 }).fit({ watchers })
  model.dispose()

  const printed = execFileSync(inject('python'), [peerScript('read_tensorboard.py'), temporary('run')], { encoding: 'utf8' })
  const read = JSON.parse(printed) as Record<string, [step: number, value: number][]>
  const steps = events.filter((event) => event.type === 'step')
  expect(read['step/loss']).toEqual(steps.map(({ step, loss }) => [step, Math.fround(loss)]))
  expect(read['step/learning_rate']).toEqual(steps.map(({ step, learningRate }) => [step, Math.fround(learningRate)]))
  expect(read['step/tokens']).toEqual([[1, 12], [2, 12], [3, 12]])
  expect(read['evaluate/accuracy']?.map(([step]) => step)).toEqual([3])
})
