import { disable } from '../../base/adapter/attached.ts'
import { closeModel, open, OPEN_FLAGS } from '../opened.ts'
import { METHOD_NAMES, type MethodName } from '../job/methods.ts'
import { parsePlaces, UsageError, wholeNumber } from '../usage.ts'
import { prefixed } from '../../training/shown-cost.ts'

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 23 ? 1 : 0)} MiB`

/** Says what a model or an adapter is, which methods fit it, and what a step would take. */
export async function inspectCommand(args: string[]): Promise<number> {
  const { values, places: [source = ''] } = parsePlaces('inspect', args, {
    ...OPEN_FLAGS, method: { type: 'string' }, 'batch-size': { type: 'string' }, 'max-length': { type: 'string' }, json: { type: 'boolean' },
  }, ['folder or Hub id'])
  const method = values.method ?? 'lora'
  const isMethod = (name: string): name is MethodName => (METHOD_NAMES as readonly string[]).includes(name)
  if (!isMethod(method)) throw new UsageError(`inspect: --method: expected one of ${METHOD_NAMES.join(', ')}, got '${method}'`)
  const { estimateStep, fits, siteGroups } = await import('../inspect.ts')
  const { model, adapter } = await open(source, values, { fallback: 'feature-extraction', readers: false })
  try {
    const { parts, limits } = model
    const [rows, length] = [wholeNumber('batch-size', values['batch-size']) ?? 32, wholeNumber('max-length', values['max-length']) ?? 128]
    const params = [...parts.params.values()]
    const count = params.reduce((sum, { size }) => sum + size, 0)
    const held = [...new Set(params.map(({ kind }) => kind.name))].join(', ')
    const what = {
      source, model: parts.source, family: String(parts.config['model_type']), task: parts.task, labels: model.labels, parameters: count, held,
      ...(adapter === undefined ? {} : { adapter: adapter.summary() }),
    }
    const sites = siteGroups(parts.sites)
    if (adapter !== undefined) disable(adapter) // what could be in its place
    const fitting = fits(model)
    const step = fitting.find((each) => each.method === method)?.trainable === undefined ? undefined : { method, rows, ...estimateStep(model, method, rows, length) }
    if (values.json === true) {
      console.log(JSON.stringify({ ...what, sites, methods: fitting, step }, undefined, 2))
      return 0
    }
    console.log(`${source}: ${what.family} for ${what.task}${adapter === undefined ? '' : `, with a ${adapter.method.name} on ${parts.source}`}`)
    console.log(`parameters  ${count} (${megabytes(params.reduce((sum, { bytes }) => sum + bytes, 0))} as ${held})${limits?.maxLength === undefined ? '' : `, at most ${limits.maxLength} tokens`}`)
    if (model.labels.length > 0) console.log(`labels      ${model.labels.slice(0, 20).join(', ')}${model.labels.length > 20 ? `, and ${model.labels.length - 20} more` : ''}`)
    if (adapter !== undefined) console.log(`adapter     ${adapter.summary().sites} modules, ${adapter.summary().trainable} parameters`)
    console.log('\nPlaces, by the names that targets take')
    for (const { name, kind, count: times, shape } of sites) console.log(`  ${kind.padEnd(9)} ${name.padEnd(28)} ${String(times).padStart(4)} × ${shape}`)
    console.log('\nMethods, with their defaults')
    for (const { method: name, trainable, problem = '' } of fitting) console.log(`  ${name.padEnd(16)} ${trainable === undefined ? problem : `${trainable} parameters trained (${(100 * trainable / count).toFixed(2)} %)`}`)
    if (step !== undefined) {
      console.log(`\nA step of ${method}, ${rows} rows of ${step.length} tokens, reckoned from one of 2 rows on this machine now: an estimate`)
      console.log(`  time      ${step.seconds < 1 ? `${(step.seconds * 1000).toFixed(0)} ms` : `${step.seconds.toFixed(1)} s`}, ${prefixed(step.operations)}FLOP`)
      console.log(`  memory    ${megabytes(step.weights + step.kept + step.trained)}: weights ${megabytes(step.weights)}, kept for the backward pass ${megabytes(step.kept)}, trained tensors with gradients and moments ${megabytes(step.trained)}`)
    }
    return 0
  } finally {
    closeModel(model)
  }
}
