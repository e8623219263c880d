import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import type { Adapter } from '../../base/adapter/adapter.ts'
import { tensorsAt } from '../../base/adapter/attached.ts'
import { checkAwaited } from '../../base/awaited.ts'
import { baseNameOf } from '../../base/checkpoint/base-name.ts'
import { MLX_WEIGHTS, mlxTensors, type MlxPair } from '../../base/checkpoint/mlx-adapter.ts'
import { writeTensors } from '../../base/checkpoint/named-tensors.ts'
import { read } from '../../base/engine/read.ts'
import { writeAtomic } from '../../base/files/atomic.ts'
import { replaceFiles } from '../../base/files/folder-save.ts'
import type { LowRank } from '../../base/method.ts'
import { checkAlive } from '../../base/model.ts'
import { layerOf, type LinearSite } from '../../base/sites.ts'
import { InputError } from '../../errors.ts'

/** What layers are called in models of mlx-lm. */
const LAYERS = /^model\.layers\.\d+\./

/**
 * Writes a LoRA of a causal LM as mlx-lm keeps adapters: adapter_config.json and adapters.safetensors, for `mlx_lm.generate --adapter-path` and what
 * else reads them on Apple's machines. `loadAdapter` reads such folders too.
 *
 * @throws InputError for an adapter that does more than to add B A to products, and for models whose layers mlx-lm calls otherwise; CheckpointError when
 *   the files cannot be written; what the folder held is there then
 * @example
 * const chat = attach(decoder, lora({ rank: 4 }), { name: 'chat' })
 * await exportMlxAdapter(chat, 'chat-mlx').catch((error) => console.log(error.message.split(':')[0])) // of a GPT-2
 * detach(chat)
 */
export async function exportMlxAdapter(adapter: Adapter, folder: string): Promise<void> {
  checkAwaited('adapter', adapter)
  const { model, method: { name: method, lowRank }, sites, copies, brought, name } = adapter
  checkAlive(model, 'exportMlxAdapter')
  const places = sites.filter((site) => site.kind === 'linear')
  const others = [...sites.filter((site) => site.kind !== 'linear').map((site) => site.name), ...copies, ...brought]
  if (lowRank === undefined || others.length > 0) {
    throw new InputError(`exportMlxAdapter: adapter '${name}' does more than to add B A to products (${lowRank === undefined ? `what ${method} does` : others.join(', ')}), which is all that is written here. ` +
      'Fold it into the model, merge(model, adapter).save(folder), which mlx_lm.convert reads.')
  }
  const strange = places.filter((site) => !LAYERS.test(site.name) && site.name !== 'lm_head')
  if (model.parts.task !== 'causal-lm' || strange.length > 0) {
    throw new InputError(`exportMlxAdapter: expected a causal LM whose layers are model.layers.N, as mlx-lm calls them; this is a model for '${model.parts.task}'${strange.length === 0 ? '' : ` with ${strange[0]?.name ?? ''}`}. ` +
      'Fold the adapter into the model, merge(model, adapter).save(folder), which mlx_lm.convert reads.')
  }
  const pairs = await Promise.all(places.map((site) => pairAt(site, () => lowRank(site, tensorsAt(adapter, site)))))
  const { tensors, rank, scale } = mlxTensors(pairs)
  const layers = Math.max(...model.parts.sites.map((site) => layerOf(site.name) ?? 0)) + 1
  const first = Math.min(layers, ...places.map((site) => layerOf(site.name) ?? layers))
  const config = {
    fine_tune_type: 'lora', model: baseNameOf(model).name, num_layers: layers - first,
    lora_parameters: { keys: [...new Set(places.map((site) => site.name.replace(LAYERS, '')))], rank, scale, dropout: 0 },
  }
  await replaceFiles(folder, async (into) => {
    await writeTensors(join(into, MLX_WEIGHTS), tensors)
    await writeAtomic(join(into, 'adapter_config.json'), `${JSON.stringify(config, null, 2)}\n`)
    return undefined
  })
}

/** As it is now: training may go on. */
async function pairAt(site: LinearSite, update: () => LowRank): Promise<MlxPair> {
  const { shapes: [a, b], scale } = tf.tidy(() => { const { A, B, scale: own } = update(); return { shapes: [A.shape, B.shape], scale: own } })
  const [A, B] = await Promise.all([read(() => update().A), read(() => update().B)])
  return { place: site.name, A: { shape: a ?? [], values: A }, B: { shape: b ?? [], values: B }, scale }
}
