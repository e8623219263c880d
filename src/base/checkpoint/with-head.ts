import { checkKind } from '../awaited.ts'
import { nameInBody } from '../body.ts'
import { checkAlive, Model } from '../model.ts'
import { checkNames, type Names } from '../options.ts'
import { checkTaskAndLabels } from '../tasks/labels.ts'
import type { Task } from '../tasks/task.ts'
import { modelOf } from './create.ts'
import { readModel, type LoadOptions } from './load.ts'

/** What `withHead` takes: what the model is for, as `loadModel` has it. */
export interface WithHeadOptions extends Pick<LoadOptions, 'labels' | 'problemType' | 'pooling' | 'normalize' | 'newHead' | 'seed'> {
  readonly task: Task
}

const NAMES: Names<WithHeadOptions> = { task: true, labels: true, problemType: true, pooling: true, normalize: true, newHead: true, seed: true }

/**
 * Another model on the same body: it shares the frozen weights of the one that it is made from, and has a head of its own, for another task or for other
 * classes. The head is that of the checkpoint where it has one for the task, else new, as with `loadModel`. What is attached to one model is not attached
 * to the other; `shareAdapter` has one adapter in both. A shared weight takes its memory once, and is freed with the last model that has it: each model is
 * disposed by itself, in any order.
 *
 * @throws InputError when the model was disposed, has no such task, or its vocabulary has grown since it was loaded; CheckpointError as `loadModel`
 * @example
 * const tagger = await withHead(model, { task: 'token-classification', labels: ['noun', 'verb', 'other'] })
 * tagger.dispose()
 */
export async function withHead(model: Model, options: WithHeadOptions): Promise<Model> {
  checkNames('withHead', options, NAMES)
  checkKind('model', model)
  checkTaskAndLabels('withHead', options.task, options.labels)
  checkAlive(model, 'withHead')
  const { source, folder, config, architecture, dropout, merged, params, initialized } = model.parts
  const { newHead = false, normalize, ...created } = options
  const read = { ...created, newHead, ...(normalize === undefined ? {} : { normalize }) }
  const { parts } = folder === '' ? modelOf(architecture, config, created, model) : await readModel(source, folder, read, model)
  const isFresh = (name: string): boolean => {
    const there = nameInBody(name, parts, model.parts)
    return there === undefined || !params.has(there) || initialized.includes(there)
  }
  return new Model({
    ...parts, initialized: parts.initialized.filter(isFresh),
    ...(merged === undefined ? {} : { merged }), ...(dropout === undefined ? {} : { dropout }),
  })
}
