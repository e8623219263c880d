// Models as ONNX, beside Optimum's export of the same and what onnxruntime's own quantiser makes of either: size, time and how far the numbers go.
//
//   npm run bench:onnx                     writes bench/results/<kind of processor>/onnx.json and the table in docs/export.md; on a machine that does nothing else
//   npm run bench:onnx -- --rounds 3       a short run, which is no result
//
// All run in onnxruntime-node, as transformers.js does, and take turns: all of a model in each round, in one process. A text is read in one pass (8 of
// 128 tokens), or 32 tokens are written one by one behind 128, each from the keys and values before. Weights are random: a time does not depend on them; by
// how much 8 and 4 bits change the numbers is compared between quantisers of the same weights.

import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import * as ort from 'onnxruntime-node'
import { exportOnnx, loadModel, type Task } from 'tfjs-peft'
import { writeSection } from './doc-section.ts'
import { table } from './markdown.ts'
import { machineNow, median, path, peersPython } from './process.ts'
import { saveTimes } from './processors.ts'
import { randomModelFolder } from './random-model.ts'

const MODELS: readonly (readonly [shape: string, title: string, task: Task, theirs: string])[] = [
  ['minilm', 'MiniLM, reads', 'feature-extraction', 'feature-extraction'], ['gpt2', 'GPT-2, writes', 'causal-lm', 'text-generation-with-past'],
]
const [BATCH, LENGTH, WRITTEN, FULL] = [8, 128, 32, 15]

interface Row {
  readonly model: string
  readonly weights: string
  readonly by: string
  readonly megabytes: number
  readonly ms: number
  /** Length of the difference from the numbers of float32 weights by the same exporter, of the length of these. */
  readonly off: number
}

const { values } = parseArgs({ options: { rounds: { type: 'string', default: String(FULL) } } })
const rounds = Number(values.rounds)
const python = peersPython('onnx')
const out = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
const rows: Row[] = []
try {
  for (const [shape, title, task, theirs] of MODELS) rows.push(...await measured(title, await files(shape, task, theirs)))
} finally {
  await rm(out, { recursive: true })
}
const section = table(['model', 'weights', 'by', 'MB', 'ms', 'off'], rows.map(({ model, weights, by, megabytes, ms, off }) => [model, weights, by, megabytes.toFixed(0), ms.toFixed(1), off === 0 ? '' : `${(100 * off).toFixed(2)} %`])).join('\n')
console.log(section)
if (rounds === FULL) {
  await saveTimes('onnx', { machine: machineNow(), rows })
  await writeSection('export', 'bench:onnx', section)
}

interface File {
  readonly weights: string
  readonly by: string
  readonly path: string
}

/** The first of each maker is the one of float32. */
async function files(shape: string, task: Task, theirs: string): Promise<File[]> {
  const [source, own, peer] = [await randomModelFolder(shape), join(out, shape), join(out, `${shape}-optimum`)]
  const model = await loadModel(source, { task })
  for (const dtype of ['fp32', 'fp16', 'q8', 'q4'] as const) await exportOnnx(model, own, { dtype })
  model.dispose()
  const tool = (...args: readonly string[]): void => { execFileSync(python, [path('peers/onnx_export.py'), ...args], { stdio: ['ignore', 'ignore', 'pipe'] }) }
  tool('export', source, peer, theirs)
  await mkdir(join(out, 'made'), { recursive: true })
  const [ours, optimum] = [join(own, 'onnx', 'model.onnx'), join(peer, 'model.onnx')]
  const made = (name: string): string => join(out, 'made', `${shape}-${name}.onnx`)
  tool('q8', ours, made('q8'))
  tool('q8', optimum, made('optimum-q8'))
  tool('q4', optimum, made('optimum-q4'))
  return [
    { weights: 'fp32', by: 'exportOnnx', path: ours }, { weights: 'fp32', by: 'Optimum', path: optimum },
    { weights: 'fp16', by: 'exportOnnx', path: join(own, 'onnx', 'model_fp16.onnx') },
    { weights: 'q8', by: 'exportOnnx', path: join(own, 'onnx', 'model_quantized.onnx') }, { weights: 'q8', by: "exportOnnx, onnxruntime's quantiser", path: made('q8') },
    { weights: 'q8', by: "Optimum, onnxruntime's quantiser", path: made('optimum-q8') },
    { weights: 'q4', by: 'exportOnnx', path: join(own, 'onnx', 'model_q4.onnx') }, { weights: 'q4', by: "Optimum, onnxruntime's quantiser", path: made('optimum-q4') },
  ]
}

interface Tried {
  readonly file: File
  readonly session: ort.InferenceSession
  readonly times: number[]
  numbers: Float32Array
}

async function measured(model: string, all: readonly File[]): Promise<Row[]> {
  const tried = await Promise.all(all.map(async (file): Promise<Tried[]> => {
    const session = await ort.InferenceSession.create(file.path, { logSeverityLevel: 3 }).catch((error: unknown) => { console.log(`${model}, ${file.weights} by ${file.by}: ${(error as Error).message}`) })
    return session === undefined ? [] : [{ file, session, times: [], numbers: new Float32Array() }]
  }))
  const opened = tried.flat()
  for (let round = -1; round < rounds; round++) {
    for (const each of round % 2 === 0 ? opened : [...opened].reverse()) {
      const begun = performance.now()
      each.numbers = await answer(each.session)
      if (round >= 0) each.times.push(performance.now() - begun)
    }
  }
  await Promise.all(opened.map(({ session }) => session.release()))
  return await Promise.all(opened.map(async ({ file: { weights, by, path: place }, times, numbers }) => {
    const first = opened.find(({ file }) => file.weights === 'fp32' && file.by.split(',')[0] === by.split(',')[0])?.numbers ?? numbers
    const [size, off] = [first, numbers.map((value, i) => value - (first[i] ?? NaN))].map((each) => Math.sqrt(each.reduce((sum, value) => sum + value * value, 0))) as [number, number]
    return { model, weights, by, megabytes: await bytesOf(place) / 1e6, ms: median(times), off: off / size }
  }))
}

/** With the weights beside it. */
async function bytesOf(file: string): Promise<number> {
  const beside = await stat(join(dirname(file), `${file}_data`)).then(({ size }) => size, () => 0)
  return (await stat(file)).size + beside
}

/** One pass over texts, or the passes that write some tokens behind one. @returns the numbers of the last */
async function answer(session: ort.InferenceSession): Promise<Float32Array> {
  const pasts = session.inputMetadata.flatMap((input) => (input.isTensor && input.name.startsWith('past_key_values.') ? [[input.name, input.shape] as const] : []))
  const batch = pasts.length === 0 ? BATCH : 1
  const ints = (length: number, of: (i: number) => number): ort.Tensor => new ort.Tensor('int64', BigInt64Array.from({ length: batch * length }, (_, i) => BigInt(of(i % length))), [batch, length])
  let past: Record<string, ort.Tensor> = Object.fromEntries(pasts.map(([name, [, heads, , size]]) => [name, new ort.Tensor('float32', new Float32Array(), [1, Number(heads), 0, Number(size)])]))
  let numbers: Float32Array = new Float32Array()
  for (let seen = 0, step = LENGTH; seen < LENGTH + (pasts.length === 0 ? 0 : WRITTEN); seen += step, step = 1) {
    const all: Record<string, ort.Tensor> = {
      input_ids: ints(step, (i) => 7 + ((seen + i) * 31) % 1000), attention_mask: ints(seen + step, () => 1), token_type_ids: ints(step, () => 0), position_ids: ints(step, (i) => seen + i), ...past,
    }
    const results = await session.run(Object.fromEntries(session.inputNames.map((name) => [name, all[name] as ort.Tensor])))
    numbers = (results[session.outputNames[0] ?? ''] as ort.TypedTensor<'float32'>).data
    past = Object.fromEntries(pasts.map(([name]) => [name, results[name.replace('past_key_values', 'present')] as ort.Tensor]))
    if (pasts.length === 0) break
  }
  return numbers.slice()
}
