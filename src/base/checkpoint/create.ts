import type { Architecture, ConfigJson, Pooling } from '../architecture.ts'
import { loadEngine } from '../engine/engine.ts'
import { checkTaskAndLabels, labelsOf, problemOf, requireLabels } from '../tasks/labels.ts'
import { checkPacked } from './foreign-folder.ts'
import { freshWeight, headOf, traceOf } from './load.ts'
import { sharedOf } from '../body.ts'
import { Model } from '../model.ts'
import { MODEL_FILES } from './model-files.ts'
import { architectureOf } from '../models/auto.ts'
import type { Site } from '../sites.ts'
import { isVector, type ProblemType, type Task } from '../tasks/task.ts'
import { specsOf, tiesAmong } from '../ties.ts'
import { checkNames, type Names } from '../options.ts'

/** What `createModel` takes. */
export interface CreateOptions {
  /** What the model is for. @default 'causal-lm' */
  readonly task?: Task
  /** Names of the classes. @default those of the configuration */
  readonly labels?: readonly string[]
  /** Sequence classification: what the outputs are, as `loadModel` takes it. @default as `loadModel` */
  readonly problemType?: ProblemType
  /** How a row becomes one vector. @default 'pooler' for sequence classification, 'mean' for sentence embedding */
  readonly pooling?: Pooling
  /** Decides the weights; each tensor's depend on the seed and its name alone. @default 0 */
  readonly seed?: number
}

/** Families that shrink the projections into the residual stream at the start, as section 2.3 of the GPT-2 report says. */
const SCALED_RESIDUALS: ReadonlySet<unknown> = new Set(['gpt2'])

const NAMES: Names<CreateOptions> = { task: true, labels: true, problemType: true, pooling: true, seed: true }

/**
 * A model with random weights, to be trained from scratch: `attach(model, fullFineTuning())`, and `merge` at the end.
 * Weights and embeddings are drawn from N(0, `initializer_range`²), biases are 0 and norms 1, as transformers makes them;
 * GPT-2's projections into the residual stream are divided by √(2 · layers).
 *
 * Differs from transformers: a BERT's padding row is drawn like every other.
 *
 * @param config as in a config.json of the Hub
 * @throws CheckpointError when the configuration is not of a known model or lacks something, InputError when the model has no such task
 * @example
 * const small = await createModel({ model_type: 'gpt2', vocab_size: 500, n_positions: 32, n_embd: 16, n_layer: 2, n_head: 2 }, { seed: 1 })
 * console.log(small.parts.params.size)
 * small.dispose()
 */
export async function createModel(config: ConfigJson, options: CreateOptions = {}): Promise<Model> {
  checkNames('createModel', options, NAMES)
  await loadEngine()
  checkPacked(config, 'The configuration')
  return modelOf(architectureOf(config), config, options)
}

/** A model of any family, with random weights. @param body a model of the same configuration, whose weights it shares. Default: none */
export function modelOf(architecture: Architecture, config: ConfigJson, options: CreateOptions = {}, body?: Model): Model {
  const { task = 'causal-lm', seed = 0 } = options
  const { pooling = task === 'sentence-embedding' ? 'mean' : 'pooler' } = options
  checkTaskAndLabels('createModel', task, options.labels)
  if (options.labels === undefined) requireLabels(config, task)
  const labels = options.labels ?? labelsOf(config, task)
  const problem = problemOf(config, task, labels.length, { asked: options.problemType })
  const head = headOf(architecture, task, { labels: labels.length, pooling })
  const { sites, specs: all } = traceOf(architecture, head, task)
  const ties = tiesAmong(all, architecture.ties)
  const specs = specsOf(all, ties)
  const residual = SCALED_RESIDUALS.has(config['model_type']) ? residualWeights(sites) : new Set<string>()
  const shared = sharedOf(body, { architecture, task }, specs)
  const params = new Map([...specs].map(([name, spec]) => {
    const own = shared.get(name)
    if (own !== undefined) return [name, own.clone()]
    const std = architecture.initializerRange / (residual.has(name) ? Math.sqrt(residual.size) : 1)
    return [name, freshWeight(name, spec, std, seed)]
  }))
  return new Model({
    files: MODEL_FILES,
    source: `a new ${String(config['model_type'])}`, folder: '', companions: [], config, task, problem, labels, ...(isVector(task) ? { pooling } : {}), architecture, head, sites, specs, params,
    generation: { file: 'the configuration', json: config }, initialized: [...specs.keys()], unused: new Map(), ignored: [], ties, notes: [],
  })
}

/** Two for each layer. */
function residualWeights(sites: readonly Site[]): ReadonlySet<string> {
  return new Set(sites.flatMap((site) =>
    site.kind === 'linear' && (site.role === 'attention-output' || site.role === 'down') ? [site.weight] : []))
}
