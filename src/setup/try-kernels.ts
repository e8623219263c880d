import * as tf from '@tensorflow/tfjs-core'
import { attach } from '../base/adapter/attach.ts'
import { createModel } from '../base/checkpoint/create.ts'
import { valueAndGrads } from '../base/autodiff/grads.ts'
import { generate } from '../base/generate/generate.ts'
import { lora } from '../lora/lora.ts'
import { AdamW } from '../training/adamw.ts'

const BERT = {
  model_type: 'bert', vocab_size: 8, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16,
  max_position_embeddings: 8, type_vocab_size: 1,
}
const LLAMA = {
  model_type: 'llama', vocab_size: 8, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1, intermediate_size: 16,
  max_position_embeddings: 8, rms_norm_eps: 1e-5, pad_token_id: 0,
}

/**
 * Trains a tiny encoder and a tiny decoder for a step each and lets the decoder write a token, which takes the fused kernels of float32.
 *
 * @throws what the runtime throws when the kernels are not those that this version calls
 */
export async function tryKernels(): Promise<void> {
  const batch = { ids: Int32Array.of(1, 2, 3, 4), labels: Int32Array.of(0, 1), batch: 2, length: 2 }
  for (const config of [BERT, LLAMA]) {
    const model = await createModel(config, { task: 'sequence-classification', labels: ['a', 'b'] })
    const { trainable } = attach(model, lora({ rank: 2, dropout: 0.1, targets: 'all-linear' }))
    const { value, grads } = valueAndGrads(() => model.loss(batch, { training: true }), trainable)
    new AdamW(trainable, { learningRate: 1e-3 }).step(grads)
    tf.dispose([value, grads])
  }
  const writer = await createModel(LLAMA)
  const tokens = generate(writer, batch, { maxNewTokens: 2 })
  while ((await tokens.next()).done !== true);
}
