import { closeModel, open, OPEN_FLAGS } from '../opened.ts'
import { given, parsePlaces, UsageError } from '../usage.ts'
import type { WeightDtype } from '../../base/engine/frozen-weight.ts'

/** Writes a model with an adapter in its weights. */
export async function mergeCommand(args: string[]): Promise<number> {
  const { values, places: [source = ''] } = parsePlaces('merge', args, { ...OPEN_FLAGS, out: { type: 'string' }, 'out-dtype': { type: 'string' } }, ['folder or Hub id of an adapter'])
  const { out } = values
  if (out === undefined) throw new UsageError('merge: expected --out, the folder of the new model')
  const { merge } = await import('../../base/adapter/merge.ts')
  const { model, adapter } = await open(source, values, { readers: false })
  try {
    if (adapter === undefined) throw new UsageError(`merge: expected an adapter, got the model ${source}`)
    const merged = merge(model, adapter, given({ dtype: values['out-dtype'] as WeightDtype | undefined }))
    await merged.save(out)
    merged.dispose()
    console.log(`${source} merged into ${model.parts.source}: ${out}`)
    return 0
  } finally {
    closeModel(model)
  }
}
