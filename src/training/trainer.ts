import type { Variable } from '@tensorflow/tfjs-core'
import { InputError, TrainingError } from '../errors.ts'
import type { Adapter } from '../base/adapter/adapter.ts'
import { countTokens, type Batch } from '../base/batch.ts'
import { holdAttached, viewWith } from '../base/adapter/attached.ts'
import { randomStream } from '../base/random.ts'
import { withLayersDropped } from './adapter-drop.ts'
import { AdamW } from './adamw.ts'
import type { BatchSource, Examples } from './batches.ts'
import { Best, BEST_OPTIONS } from './best.ts'
import type { EndEvent, EvaluateEvent, Measures, StepEvent, TrainerEvent, WarningEvent } from './events.ts'
import { FrozenRows, NEVER_READ } from './frozen-rows.ts'
import { holdFolder } from './hold-folder.ts'
import { listen } from './interrupt.ts'
import { measuresOf } from './measure.ts'
import { explaining, memoryWarning } from './memory.ts'
import { lostOutput, watchOutput } from './output.ts'
import { CHECKPOINT_OPTIONS, keepCheckpoint, resume, type Position } from './resume.ts'
import type { Schedule } from './schedules.ts'
import { settingsOf } from './settings.ts'
import { stopReason } from './stop-reason.ts'
import { checkAgreement } from './agree.ts'
import { startCost } from './cost.ts'
import { sharedSteps, type SharedStep } from './shared-grads.ts'
import { byTheFirst, several } from './workers.ts'
import { gradsOf, updateWith, type TaskStep } from './step.ts'
import { stepGroups, type Group } from './step-groups.ts'
import { checkTrainable, lossOptionsOf, problemsOf, sourceOf, trainableOf, withDefaults, type CompleteOptions, TRAINER_OPTIONS, type TrainerOptions } from './trainer-options.ts'
import { Audience, checkFit, type Watcher } from './watch.ts'
import { nextTurn } from './turn.ts'
import { warningsBefore } from './warnings.ts'
import { watchLosses } from './watch-losses.ts'
import { checkKind } from '../base/awaited.ts'
import { checkNames } from '../base/options.ts'
import { begin } from '../base/underway.ts'

/** What ends a training early. */
export interface RunOptions {
  /** Ends training after the step in progress, with a checkpoint where there are any. @default none */
  readonly signal?: AbortSignal
}

/** Who watches a training, and what ends it early. */
export interface FitOptions extends RunOptions {
  /** Called with everything that happens, in order. @default none */
  readonly onEvent?: (event: TrainerEvent) => void
  /** Progress, logs and the like; each is closed at the end, also when training fails. @default none */
  readonly watchers?: readonly Watcher[]
}

/** Steps in a row that may be skipped: after more of them something is wrong that does not pass. */
const MOST_SKIPPED = 10

/** A step, and why workers have agreed to end the training behind it. */
type Stepped = Readonly<{ event: StepEvent; stopping: string | undefined }>
/** Why the training is to end, as far as this worker knows, the norm of the gradients of the step before, the operations so far, and how workers share a step. */
type Before = Readonly<{ stop: () => string | undefined; norm: number; operations: () => number; share: SharedStep | undefined }>

/** Trains what is attached to a model. */
export class Trainer {
  readonly #options: CompleteOptions<TrainerOptions>
  readonly #source: BatchSource
  readonly #trainable: Readonly<Record<string, Variable>>
  /** Those whose tensors are trained. */
  readonly #adapters: readonly Adapter[]
  /** Factor on the highest learning rate, by the steps done. */
  readonly #multiplier: Schedule
  /** What is kept of layers that do not change, while it runs. */
  #frozen: FrozenRows | undefined
  /** Steps that an earlier run of it has come to. */
  #reached = 0

  /** @throws InputError when nothing is attached, or the rows or settings cannot be used */
  constructor(options: TrainerOptions) {
    checkNames('Trainer', options, TRAINER_OPTIONS)
    if (options.best !== undefined) checkNames('Trainer: best', options.best, BEST_OPTIONS)
    if (options.checkpoints !== undefined) checkNames('Trainer: checkpoints', options.checkpoints, CHECKPOINT_OPTIONS)
    checkKind('model', options.model)
    const problems = problemsOf(options)
    if (problems.length > 0) throw new InputError('Trainer: the options cannot be used:', problems)
    this.#options = withDefaults(options)
    const { model, guards, warmup, schedule } = this.#options
    this.#trainable = trainableOf(model)
    this.#adapters = model.attached.enabled
    for (const guard of guards) guard.check(this.#trainable)
    this.#source = sourceOf(this.#options)
    this.#multiplier = schedule({ totalSteps: this.steps, warmupSteps: Math.ceil(warmup * this.steps) })
  }

  /** Optimiser steps in all. */
  get steps(): number {
    const { maxSteps = Infinity, epochs = maxSteps === Infinity ? 1 : Infinity } = this.#options
    return Math.min(this.#stepsInEpoch * epochs, maxSteps)
  }

  get #stepsInEpoch(): number {
    return Math.ceil(this.#source.count / this.#options.accumulate)
  }

  /**
   * Trains step by step; the last event says how it ended. Leaving the loop stops the training with the weights of the last step. What
   * is attached to the model cannot be changed meanwhile; `predict` with `adapter`, and `withAdapters`, compute with other adapters.
   *
   * @throws TrainingError when the loss or its gradients are not finite, or memory runs out; weights stay those of the step before.
   *   Also, after a checkpoint, when the output of the program cannot be written any more. InputError when the adapter was detached.
   *   CheckpointError when a checkpoint cannot be written, or the folder's are of another training
   * @example for await (const event of trainer.run()) if (event.type === 'step') console.log(event.loss)
   */
  async *run(options: RunOptions = {}): AsyncGenerator<TrainerEvent, void> {
    checkNames('Trainer.run', options, { signal: true })
    const { signal } = options
    const { model, learningRate, weightDecay, groups, checkpoints, evaluate: heldOut, evaluateEvery = this.#stepsInEpoch, guards, maxSeconds, power, distributed, accumulate, cacheFrozen = false } = this.#options
    const workers = several(distributed)
    const begin = performance.now()
    checkTrainable(model, this.#adapters)
    const optimizer = new AdamW(this.#trainable, { learningRate, weightDecay, groups })
    const best = this.#options.best === undefined ? undefined : new Best(this.#options.best, this.#trainable)
    const settings = checkpoints === undefined && workers === undefined ? {} : settingsOf(this.#options, this.steps, this.#trainable)
    const kept = checkpoints === undefined ? undefined : { checkpoints, progress: { optimizer, best, guards, trainable: this.#trainable, settings } }
    const release = signal === undefined ? undefined : listen(signal)
    const output = watchOutput()
    const cost = startCost(power)
    const free = holdAttached(model)
    if (cacheFrozen !== false) this.#frozen = new FrozenRows(cacheFrozen === true ? {} : cacheFrozen)
    let held: Awaited<ReturnType<typeof holdFolder>> | undefined
    try {
      if (workers !== undefined) await checkAgreement(workers, this.#options, this.#trainable, settings)
      if (checkpoints !== undefined) await byTheFirst(workers, async () => { held = await holdFolder(checkpoints.folder) })
      let position: Position = { step: 0, skipped: 0 }
      const found = kept === undefined ? undefined : await resume(kept.checkpoints.folder, kept.progress, workers)
      if (found !== undefined) {
        position = found.position
        yield { type: 'resume', step: position.step, refused: found.refused }
      }
      if (heldOut !== undefined) best?.check(Object.keys(await this.#measures(heldOut, true)))
      const losses = watchLosses()
      const stop = (): string | undefined => stopReason(signal, output.error, performance.now() - begin >= maxSeconds * 1000)
      const reached = this.#reached
      const secondEpoch = position.step % this.#stepsInEpoch === 0 ? position.step + this.#stepsInEpoch : Infinity // of one in whose middle it begins little is known
      let first = true
      let norm = 0
      const share = workers === undefined ? undefined : sharedSteps(workers, this.#trainable)
      for await (const group of stepGroups(this.#source, { accumulate, from: position.step, steps: this.steps, isOver: () => best?.isOver === true })) {
        if (first) yield* await explaining(position.step + 1, () => this.#warnings(group, position, reached))
        first = false
        if (position.step === secondEpoch && this.#frozen !== undefined && !group.batches.some((batch) => this.#frozen?.knows(batch))) {
          await this.#endKeeping()
          yield { type: 'warning', step: position.step, text: NEVER_READ }
        }
        const { event, stopping } = await explaining(position.step + 1, () => this.#step(group, optimizer, position, { stop, norm, operations: cost.operations, share }))
        norm = event.gradNorm
        position = { step: event.step, skipped: event.skipped === true ? position.skipped + 1 : 0 }
        this.#reached = event.step
        cost.see(event)
        losses.see(event.loss, event.penalty)
        yield event
        await nextTurn()
        const isLast = event.step === this.steps
        if (heldOut !== undefined && (isLast || event.step % evaluateEvery === 0)) {
          const measured: EvaluateEvent = { type: 'evaluate', step: event.step, epoch: event.epoch, ...(await this.#measures(heldOut)) }
          best?.see(measured)
          yield measured
        }
        const reason = isLast ? undefined : workers === undefined ? stop() : stopping
        if (kept !== undefined && (isLast || reason !== undefined || event.step % (kept.checkpoints.every ?? this.#stepsInEpoch) === 0)) {
          yield { type: 'checkpoint', step: event.step, path: await byTheFirst(workers, () => keepCheckpoint(kept.checkpoints, kept.progress, position)) }
        }
        if (reason !== undefined) {
          yield { type: 'end', end: 'stopped', step: event.step, steps: this.steps, reason, cost: cost.end() }
          if (output.error !== undefined && signal?.aborted !== true) throw lostOutput(output.error, event.step, checkpoints?.folder)
          return
        }
      }
      best?.apply()
      for (const text of [best?.warning, ...losses.warnings(learningRate)]) if (text !== undefined) yield { type: 'warning', step: position.step, text }
      const early = position.step < this.steps ? { end: 'early', reason: 'no better evaluation' } as const : undefined
      yield { type: 'end', end: 'finished', ...early, step: position.step, steps: this.steps, ...(best?.state === undefined ? {} : { best: best.state }), cost: cost.end() }
    } finally {
      cost.end()
      free()
      optimizer.dispose()
      best?.dispose()
      output.close()
      release?.()
      await this.#endKeeping()
      await held?.release()
    }
  }

  /**
   * Trains to the end, or until it is asked to stop; what it returns says which. Where `onEvent` or a watcher throws, training ends as
   * if it were asked to, with a checkpoint where there are any, and `fit` throws the same. A warning that nobody would hear goes to the console.
   *
   * @throws TrainingError, CheckpointError as `run` does; InputError where a training of the same tensors runs
   * @example
   * const { end, step, steps, reason } = await trainer.fit({ signal: AbortSignal.timeout(60_000) })
   * if (end !== 'stopped') await adapter.save('out/spam-lora')
   * else console.log(`half trained, ${step} of ${steps} steps: ${reason}`)
   */
  async fit(options: FitOptions = {}): Promise<EndEvent> {
    checkNames('Trainer.fit', options, { onEvent: true, watchers: true, signal: true })
    const { onEvent, watchers = [], signal } = options
    checkFit(signal, watchers, onEvent)
    const isFirst = (this.#options.distributed?.rank ?? 0) === 0
    const audience = new Audience(isFirst ? [...(onEvent === undefined ? [] : [{ onEvent }]), ...watchers] : [])
    const release = signal === undefined ? undefined : listen(signal)
    const training = this.run({ signal: AbortSignal.any([...(signal === undefined ? [] : [signal]), audience.signal]) })
    const { aside, end: done } = begin(this.#options.model)
    const isUnheard = isFirst && onEvent === undefined && watchers.length === 0
    let end: EndEvent | undefined
    try {
      for await (const event of training) {
        aside(() => { audience.tell(event) })
        if (isUnheard && event.type === 'warning') console.warn(`Trainer: ${event.text}`)
        if (event.type === 'end') end = event
      }
    } finally {
      done()
      audience.close()
      release?.()
    }
    await audience.settled()
    audience.check()
    return end as EndEvent // it is the last one
  }

  /** What is clear before the first step. */
  async #warnings(group: Group, { step }: Position, reached: number): Promise<WarningEvent[]> {
    const { model, gradientCheckpointing, loss } = this.#options
    const ofMemory = loss !== undefined ? undefined // a loss of one's own is called for the steps alone
      : memoryWarning(model, this.#trainable, group.batches, { training: true, gradientCheckpointing, ...lossOptionsOf(this.#options) })
    const [first] = group.batches
    const ofFrozen = first === undefined ? undefined : await this.#frozen?.survey(model, Object.values(this.#trainable), first)
    const texts = [ofFrozen, ...await warningsBefore(this.#options, this.#source, {
      steps: this.steps, stepsInEpoch: this.#stepsInEpoch, batches: this.#source.count, names: Object.keys(this.#trainable), from: step, reached, multiplier: this.#multiplier,
    }), ofMemory]
    return texts.flatMap((text) => (text === undefined ? [] : [{ type: 'warning' as const, step, text }]))
  }

  async #step({ epoch, batches, waited }: Group, optimizer: AdamW, { step, skipped }: Position, { stop, norm, operations, share }: Before): Promise<Stepped> {
    const [start, before] = [performance.now(), operations()]
    const { model, maxGradNorm, seed, gradientCheckpointing, learningRate: highest, nonFinite, guards, adapterDrop, distributed } = this.#options
    const learningRate = highest * this.#multiplier(step)
    const workers = several(distributed)
    const random = workers === undefined ? randomStream(seed, 'step', step) : randomStream(seed, 'step', step, 'worker', workers.rank)
    const task: TaskStep = {
      model, trainable: this.#trainable, batches, guards,
      options: () => ({ training: true, seed: random(), gradientCheckpointing, ...lossOptionsOf(this.#options) }),
      ...(this.#frozen === undefined ? {} : { prepare: this.#prepare }),
      ...(adapterDrop ? { shallow: withLayersDropped(model, { seed, step }) } : {}),
    }
    if (workers === undefined) for (const batch of batches) await task.prepare?.(batch)
    const asked = workers === undefined ? undefined : stop()
    const { grads, stopping, ...scalars } = share === undefined ? { ...gradsOf(task), stopping: [] } : await share(task, { asks: asked !== undefined, norm })
    const penalties = scalars.penalty === undefined ? [] : [scalars.penalty]
    const { losses: [loss = NaN], penalties: [penalty], norm: gradNorm, isFinite } = await updateWith(
      grads, { tasks: [task], losses: [scalars.loss], penalties, maxGradNorm }, (clipped) => optimizer.step(clipped, learningRate, task.shallow?.idle))
    if (!isFinite && (nonFinite === 'throw' || skipped === MOST_SKIPPED)) {
      throw new TrainingError(
        `Step ${step + 1}: the loss is ${loss} and the norm of its gradients ${gradNorm}, at learning rate ${learningRate}` +
          `${skipped > 0 ? `, for the ${skipped + 1}th time in a row` : ''}. The weights are those of the step before. ` +
          'Try a lower learning rate, or more warm-up.',
      )
    }
    if (!isFinite) for (const guard of guards) guard.afterSkip?.(this.#trainable)
    const event: StepEvent = {
      type: 'step', step: step + 1, steps: this.steps, epoch, loss, learningRate, gradNorm, waited,
      ...(penalty === undefined ? {} : { penalty }), ...(isFinite ? {} : { skipped: true }),
      milliseconds: performance.now() - start,
      tokens: batches.reduce((sum, batch) => sum + countTokens(batch), 0),
      operations: operations() - before, memory: process.memoryUsage.rss(),
    }
    return { event, stopping: stopping.length === 0 ? undefined : asked ?? `worker ${stopping.join()} was asked to` }
  }

  async #endKeeping(): Promise<void> {
    await this.#frozen?.close()
    this.#frozen = undefined
  }

  readonly #prepare = async (batch: Batch): Promise<void> => { await this.#frozen?.prepare(batch) }

  /** @param isTrial a batch is enough */
  async #measures(rows: Examples | BatchSource, isTrial = false): Promise<Measures> {
    const { model, batchSize, loss, measure, distributed } = this.#options
    const given = Object.fromEntries(Object.entries({ loss, measure, distributed }).filter(([, value]) => value !== undefined))
    return await measuresOf('evaluate', viewWith(model, this.#adapters), rows, { batchSize, ...given }, { isTrial, prepare: this.#prepare })
  }
}
