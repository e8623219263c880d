// Runs llama.cpp: see llama-cpp.ts. Keys and values are kept in float32, so that what differs is not theirs, on one thread:
// several wait for each other without sleeping, for minutes where other programs run.

import process from 'node:process'
import { pathToFileURL } from 'node:url'

const [module, asked] = process.argv.slice(2)
const { getLlama } = await import(pathToFileURL(module).href)
const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: 'error' })
const answers = []
for (const { model: path, lora = [], context: contextSize = 64, ids, count = 0, texts = [] } of JSON.parse(asked)) {
  const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 })
  const adapters = lora.map(({ file, scale }) => ({ filePath: file, scale }))
  const context = await model.createContext({
    contextSize, threads: 1, flashAttention: false, experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32', ...(adapters.length === 0 ? {} : { lora: { adapters } }),
  })
  const sequence = context.getSequence()
  const next = { generateNext: { probabilities: true, options: { temperature: 1, topK: 0, topP: 1, minP: 0 } } }
  const evaluated = await sequence.controlledEvaluate([...ids.slice(0, -1), [ids.at(-1), next]])
  const probabilities = [...evaluated.at(-1).next.probabilities].sort(([a], [b]) => a - b).map(([, probability]) => probability)
  const written = []
  if (count > 0) {
    await sequence.clearHistory()
    for await (const token of sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })) if (written.push(token) === count) break
  }
  answers.push({ probabilities, written, tokens: texts.map((text) => model.tokenize(text)) })
  await context.dispose()
  await model.dispose()
}
process.stdout.write(`${JSON.stringify(answers)}\n`, () => process.exit(0))
