import type { Model } from '../../base/model.ts'
import type { Adapter } from '../../base/adapter/adapter.ts'
import { closeModel, open, OPEN_FLAGS, type Opened } from '../opened.ts'
import { given, parsePlaces, UsageError } from '../usage.ts'

interface Target {
  readonly what: string
  readonly write: (opened: Opened, out: string, dtype: string | undefined, alone: boolean) => Promise<void>
}

/** Formats by their names. */
const TARGETS: Readonly<Record<string, Target>> = {
  onnx: {
    what: 'a folder for transformers.js and onnxruntime: fp32, fp16, q8, q4',
    write: async ({ model, adapter }, out, dtype) => {
      const { exportOnnx } = await import('../../export/onnx/export-onnx.ts')
      await withMerged(model, adapter, (whole) => exportOnnx(whole, out, given({ dtype: dtype as 'fp32' | undefined })))
    },
  },
  gguf: {
    what: 'a file for llama.cpp, of a model or, with --adapter-only, of a LoRA: F32, F16, BF16, Q8_0, Q4_0',
    write: async ({ model, adapter }, out, dtype, alone) => {
      const { exportGguf } = await import('../../export/gguf/export-gguf.ts')
      if (alone && adapter === undefined) throw new UsageError('convert: --adapter-only: expected an adapter, got a model')
      await exportGguf(alone && adapter !== undefined ? adapter : model, out, given({ dtype: dtype as 'F16' | undefined }))
    },
  },
  mlx: {
    what: 'a folder with the adapter for mlx-lm',
    write: async ({ adapter }, out, dtype) => {
      if (adapter === undefined || dtype !== undefined) throw new UsageError('convert: --to mlx: expected an adapter, and no --to-dtype')
      const { exportMlxAdapter } = await import('../../export/mlx/export-mlx-adapter.ts')
      await exportMlxAdapter(adapter, out)
    },
  },
  safetensors: {
    what: "a folder of transformers': as held, see --dtype",
    write: async ({ model, adapter }, out, dtype) => {
      if (dtype !== undefined) throw new UsageError('convert: --to-dtype: expected none with safetensors, whose weights are written as they are held: --dtype bfloat16')
      await withMerged(model, adapter, (whole) => whole.save(out))
    },
  },
}

/** Writes a model for another program. */
export async function convertCommand(args: string[]): Promise<number> {
  const { values, places: [source = ''] } = parsePlaces('convert', args, {
    ...OPEN_FLAGS, to: { type: 'string' }, out: { type: 'string' }, 'to-dtype': { type: 'string' }, 'adapter-only': { type: 'boolean' },
  }, ['folder or Hub id'])
  const { to = '', out } = values
  const target = Object.hasOwn(TARGETS, to) ? TARGETS[to] : undefined
  if (target === undefined) throw new UsageError(`convert: --to: expected ${Object.entries(TARGETS).map(([name, { what }]) => `${name} (${what})`).join(', ')}; got ${to === '' ? 'none' : to}`)
  if (out === undefined) throw new UsageError('convert: expected --out, where it is written')
  if (values['adapter-only'] === true && to !== 'gguf') throw new UsageError('convert: --adapter-only: expected --to gguf; other programs read the adapter as it is')
  const opened = await open(source, values, { fallback: 'feature-extraction', readers: false })
  try {
    await target.write(opened, out, values['to-dtype'], values['adapter-only'] === true)
    console.log(`${source} as ${to}: ${out}`)
    return 0
  } finally {
    closeModel(opened.model)
  }
}

async function withMerged(model: Model, adapter: Adapter | undefined, write: (whole: Model) => Promise<void>): Promise<void> {
  if (adapter === undefined) {
    await write(model)
    return
  }
  const { merge } = await import('../../base/adapter/merge.ts')
  const merged = merge(model, adapter)
  try {
    await write(merged)
  } finally {
    merged.dispose()
  }
}
