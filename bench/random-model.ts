// Checkpoints with random weights, to time models that cannot be fetched: a model's cost does not depend on its values.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ConfigJson } from '../src/base/architecture.ts'
import { toInput } from '../src/base/batch.ts'
import { loadEngine } from '../src/base/engine.ts'
import { writeSafetensors, type TensorToWrite } from '../src/base/io/safetensors.ts'
import { architectureOf } from '../src/base/models/auto.ts'
import { normal, randomStream } from '../src/base/random.ts'
import { takeInventory } from '../src/base/survey.ts'

const BERT_BASE = {
  model_type: 'bert', architectures: ['BertModel'], vocab_size: 30522, hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12,
  intermediate_size: 3072, hidden_act: 'gelu', max_position_embeddings: 512, type_vocab_size: 2, layer_norm_eps: 1e-12,
  // Off on both sides: random numbers are no part of what is compared.
  hidden_dropout_prob: 0, attention_probs_dropout_prob: 0, initializer_range: 0.02,
}

/** The shapes of models that are timed; MiniLM is all-MiniLM-L6-v2's. */
export const SHAPES: Readonly<Record<string, ConfigJson>> = {
  'bert-base': BERT_BASE,
  minilm: { ...BERT_BASE, hidden_size: 384, num_hidden_layers: 6, intermediate_size: 1536 },
}

/** Writes config.json and model.safetensors, the pooler included; the same each time. */
export async function writeRandomModel(folder: string, config: ConfigJson): Promise<void> {
  await loadEngine()
  await mkdir(folder, { recursive: true })
  const architecture = architectureOf(config)
  const head = architecture.heads['sequence-classification']?.({ labels: 2, pooling: 'pooler' })
  const tiny = { ids: new Int32Array(2), batch: 1, length: 2 }
  const { needs } = takeInventory((pass) => {
    const encoded = architecture.encode(pass.at(architecture.baseName), toInput(tiny, architecture))
    head?.run(pass, encoded)
  })
  const tensors: TensorToWrite[] = [...needs]
    .filter(([name]) => name.startsWith(`${architecture.baseName}.`))
    .map(([name, { shape, init }]) => ({
      name: name.slice(architecture.baseName.length + 1),
      dtype: 'F32',
      shape,
      data: () => {
        const size = shape.reduce((product, n) => product * n, 1)
        return init === 'normal' ? normal(randomStream(0, name), size, 0, 0.02) : new Float32Array(size).fill(init === 'ones' ? 1 : 0)
      },
    }))
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' })
  await writeFile(join(folder, 'config.json'), JSON.stringify(config))
}
