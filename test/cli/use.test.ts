import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { convertCommand } from '../../src/cli/commands/convert.ts'
import { evaluateCommand } from '../../src/cli/commands/eval.ts'
import { generateCommand } from '../../src/cli/commands/generate.ts'
import { mergeCommand } from '../../src/cli/commands/merge.ts'
import { predictCommand } from '../../src/cli/commands/predict.ts'
import { checkJob } from '../../src/cli/job/read.ts'
import { close, prepare, run } from '../../src/cli/job/run.ts'
import { runProgram } from './program.ts'
import { writeTiny } from './tiny.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()
const MODEL = 'sentence-transformers/all-MiniLM-L6-v2'

async function train(job: Readonly<Record<string, unknown>>): Promise<void> {
  const prepared = await prepare(checkJob(job, 'the job'), () => undefined)
  await run(prepared, AbortSignal.timeout(60_000))
  close(prepared)
}

beforeAll(async () => {
  process.env['HF_HUB_OFFLINE'] = '1'
  const rows = ['Minutes of the meeting', 'You have won a prize', 'Lunch at noon', 'Cheap pills here'].flatMap((text, i) => [1, 2, 3, 4].map((n) => `${text} ${n},${i % 2 === 0 ? 'ham' : 'spam'}`))
  writeFileSync(temporary('mails.csv'), `text,label\n${rows.join('\n')}\n`)
  writeFileSync(temporary('new.jsonl'), '{"id":7,"body":"You have won a prize 9"}\n{"id":8,"body":"Lunch at noon 9"}\n')
  await train({ model: MODEL, data: { train: temporary('mails.csv'), evaluate: 0.25, text: 'text', label: 'label' }, method: { name: 'lora', targets: ['query', 'value'] }, training: { epochs: 12, batchSize: 4, learningRate: 3e-3 }, output: temporary('spam') })
  await writeTiny(temporary('tiny'), { model_type: 'llama', hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 64 }, 'causal-lm')
  writeFileSync(temporary('chat.jsonl'), [['Rome', 'Italy'], ['Oslo', 'Norway']].map(([city, land]) => JSON.stringify({ messages: [{ role: 'user', content: `Where is ${city ?? ''} ?` }, { role: 'assistant', content: `In ${land ?? ''} , matey !` }] })).join('\n'))
  await train({ model: temporary('tiny'), data: { train: temporary('chat.jsonl'), messages: 'messages', maxLength: 64 }, method: { name: 'lora', targets: 'all-linear', train: ['embed_tokens', 'lm_head'] }, training: { learningRate: 1e-2, maxSteps: 60, batchSize: 8 }, output: temporary('matey') })
}, 120_000)
afterEach(() => void vi.restoreAllMocks())

/** Calls a command in this process. */
async function call(command: (args: string[]) => Promise<number>, ...args: string[]): Promise<string> {
  let output = ''
  vi.spyOn(console, 'log').mockImplementation((text: unknown) => void (output += `${String(text)}\n`))
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => (output += String(text)) !== '')
  expect(await command(args)).toBe(0)
  vi.restoreAllMocks()
  return output
}

describe('a run of train is used by its folder', () => {
  it('eval measures it on the rows that it held out, or on others', async () => {
    expect(await call(evaluateCommand, temporary('spam'))).toMatch(/^rows {8}\d+\naccuracy {4}1\.0000\nf1 {10}1\.0000\nloss {8}0\.\d+\n$/)
    const all = JSON.parse(await call(evaluateCommand, temporary('spam'), '--data', temporary('mails.csv'), '--json')) as Readonly<Record<string, number>>
    expect(all).toMatchObject({ accuracy: 1, f1: 1 })
  })

  it('predict answers rows of other columns, each with what came in', async () => {
    const printed = await call(predictCommand, temporary('spam'), '--data', temporary('new.jsonl'), '--text', 'body')
    const lines = printed.trim().split('\n').map((line) => JSON.parse(line) as { readonly prediction: { readonly probability: number } })
    expect(lines).toMatchObject([{ id: 7, body: 'You have won a prize 9', prediction: { label: 'spam' } }, { id: 8, prediction: { label: 'ham' } }])
    expect(lines[0]?.prediction.probability).toBeGreaterThan(0.5)
    await call(predictCommand, temporary('spam'), '--data', temporary('new.jsonl'), '--text', 'body', '--out', temporary('out.jsonl'))
    expect(readFileSync(temporary('out.jsonl'), 'utf8')).toBe(printed)
  })

  it('predict says which column a row lacks', async () => {
    await expect(predictCommand([temporary('spam'), '--data', temporary('new.jsonl')])).rejects.toThrow(/new\.jsonl: line 1: expected a text in the column 'text', got undefined\. It has id, body; --text names another/)
    await expect(predictCommand([temporary('spam'), '--data', temporary('new.jsonl'), '--txt', 'body'])).rejects.toThrow('predict: there is no --txt, perhaps --text')
  })

  it('merge and convert write what others read', async () => {
    await call(mergeCommand, temporary('spam'), '--out', temporary('whole'))
    expect(await call(evaluateCommand, temporary('whole'), '--data', temporary('mails.csv'), '--text', 'text', '--label', 'label')).toContain('accuracy    1.0000')
    await call(convertCommand, temporary('spam'), '--to', 'onnx', '--out', temporary('onnx'))
    expect(existsSync(temporary('onnx', 'onnx', 'model.onnx'))).toBe(true)
    await expect(convertCommand([temporary('spam'), '--to', 'tflite', '--out', 'x'])).rejects.toThrow(/--to: expected onnx \(.*\), gguf \(.*\), mlx \(.*\), safetensors \(.*\); got tflite/)
    await expect(mergeCommand([temporary('tiny'), '--out', 'x'])).rejects.toThrow('merge: expected an adapter, got the model')
  })
})

describe('a model that writes', () => {
  it('generate continues a text, or answers by the chat template', async () => {
    expect(await call(generateCommand, temporary('matey'), '--prompt', 'Where is Oslo ?', '--chat', '--max-tokens', '8')).toBe(' In Norway , matey !\n')
    expect(await call(generateCommand, temporary('matey'), '--prompt', 'In Italy', '--max-tokens', '2')).not.toBe('\n')
    await expect(generateCommand([temporary('matey')])).rejects.toThrow("expected --prompt 'Once upon a time'")
    await expect(generateCommand([temporary('matey'), '--prompt', 'x', '--temp', 'hot'])).rejects.toThrow("--temp: expected a number, got 'hot'")
  })

  it('predict answers conversations', async () => {
    const lines = (await call(predictCommand, temporary('matey'), '--data', temporary('chat.jsonl'), '--max-tokens', '8')).trim().split('\n')
    expect(lines.map((line) => (JSON.parse(line) as { readonly prediction: { readonly text: string } }).prediction.text)).toEqual([' In Italy , matey !', ' In Norway , matey !'])
  })

  it('chat answers line by line, knows what was said, and ends with its input', async () => {
    const { code, output } = await runProgram(temporary(), ['chat', 'matey', '--max-tokens', '8'], { input: 'Where is Rome ?\n/reset\nWhere is Oslo ?\n' })
    expect(code).toBe(0)
    expect(output).toContain('>  In Italy , matey !\n> >  In Norway , matey !\n> ')
  })
})

it('a folder of neither, or of a training under way, is refused with what to do', async () => {
  mkdirSync(temporary('half', '.checkpoints'), { recursive: true })
  await expect(evaluateCommand([temporary('half')])).rejects.toThrow(/expected a folder with an adapter \(adapter_config\.json\) or a model \(config\.json\); it has neither\. Its training has not come to its end: run the same command again/)
  await expect(evaluateCommand(['./nowhere'])).rejects.toThrow('./nowhere: expected a folder with an adapter or a model; there is none')
  await expect(evaluateCommand([])).rejects.toThrow('eval: expected one folder or Hub id of an adapter or a model, got none')
})
