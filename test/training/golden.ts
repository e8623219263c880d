import { fileURLToPath } from 'node:url'
import { toFloat32 } from '../../src/base/checkpoint/dtype.ts'
import { openSafetensors } from '../../src/base/checkpoint/safetensors.ts'

export interface GoldenTensor {
  readonly shape: readonly number[]
  readonly values: Float32Array
}

/** The tensors of test/golden/training.safetensors under `prefix`, which is cut from their names. */
export async function readGolden(prefix: string): Promise<(name: string) => GoldenTensor> {
  const file = await openSafetensors(fileURLToPath(new URL('../golden/training.safetensors', import.meta.url)))
  try {
    const tensors = new Map<string, GoldenTensor>()
    for (const { name, shape } of file.entries.values()) {
      if (name.startsWith(prefix)) tensors.set(name.slice(prefix.length), { shape, values: toFloat32(await file.read(name)) })
    }
    return (name) => {
      const tensor = tensors.get(name)
      if (tensor === undefined) throw new Error(`no ${prefix}${name} in training.safetensors`)
      return tensor
    }
  } finally {
    await file.close()
  }
}
