import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { jobFlags } from '../../src/cli/job/flags.ts'
import type { Site } from '../../src/base/sites.ts'
import { methodOf } from '../../src/cli/job/methods.ts'
import { checkJob, readArguments } from '../../src/cli/job/read.ts'
import { readReport } from '../../src/report/html-report.ts'
import { predict } from '../../src/training/predict.ts'
import { loadAdapted } from '../../src/load-adapted.ts'
import { runProgram, type Ended } from './program.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()
const MODEL = 'sentence-transformers/all-MiniLM-L6-v2'
const JOB = {
  model: MODEL, data: { train: 'mails.csv', evaluate: 0.25, text: 'text', label: 'label', maxLength: 16 }, method: { name: 'lora', rank: 4, targets: ['query', 'value'] },
  training: { epochs: 3, batchSize: 8, learningRate: 3e-3 }, output: 'out/spam',
}

const run = (args: readonly string[], look?: (output: string, interrupt: () => void) => void): Promise<Ended> => runProgram(temporary(), args, look === undefined ? {} : { look })

beforeAll(() => {
  mkdirSync(temporary(), { recursive: true })
  const [ham, spam] = [['Minutes of the meeting', 'Lunch at noon', 'The report is attached'], ['You have won a prize', 'Cheap pills here', 'Claim your free gift']]
  const rows = Array.from({ length: 20 }, (_, i) => [`${ham[i % 3] ?? ''} ${i},ham`, `${spam[i % 3] ?? ''} ${i},spam`]).flat()
  writeFileSync(temporary('mails.csv'), `text,label\n${rows.join('\n')}\n`)
  writeFileSync(temporary('job.json'), JSON.stringify(JOB))
})

function messageOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    return (error as Error).message
  }
  return 'nothing was thrown'
}

describe('a job', () => {
  it('has all its problems told at once, each by its path, with what was meant', () => {
    const wrong = { ...JOB, iters: 5, model: 3, method: { name: 'lora', rank: 0, lora_r: 4 }, training: { warmup: 2, batch_size: 8, best: {} }, output: undefined }
    expect(messageOf(() => checkJob(wrong, 'job.json')).split('\n').sort()).toEqual([
      '  - iters: there is no such setting; did you mean training.maxSteps?',
      '  - method.lora_r: there is no such setting; did you mean method.rank?',
      '  - method.rank: expected a number of at least 1, got 0',
      '  - model: expected a text, got 3',
      '  - output: expected a text, got none',
      '  - training.batch_size: there is no such setting; did you mean training.batchSize?',
      '  - training.best.metric: expected a text, got none',
      '  - training.warmup: expected a number of at most 1, got 2',
      'job.json cannot be used:',
    ])
    expect(messageOf(() => checkJob({ ...JOB, method: { name: 'lorax' } }, 'job.json'))).toMatch(/method\.name: expected one of 'lora', 'dora', .*'fullFineTuning', got "lorax"/)
  })

  it('is told what its method has, where a setting is another one\'s', () => {
    expect(messageOf(() => checkJob({ ...JOB, method: { name: 'adalora', rank: 4, init_rank: 3 } }, 'job.json')).split('\n').slice(1)).toEqual([
      '  - method.rank: adalora has no such setting; it has train, targets, exclude, layers, initRank, alpha, dropout, budget',
      '  - method.init_rank: there is no such setting; did you mean method.initRank?',
    ])
  })

  it('is told by flags as well, which count instead of the file', () => {
    const { json, file } = readArguments([temporary('job.json'), '--rank', '16', '--batch_size=4', '--targets', 'key', '--labels', 'ham,spam', '--class-weights', '{"spam":2}', '--gradient-checkpointing', '--evaluate', 'more.csv'])
    expect(file).toBe(temporary('job.json'))
    expect(checkJob(json, 'job.json')).toEqual({
      ...JOB, data: { ...JOB.data, evaluate: 'more.csv', labels: ['ham', 'spam'] }, method: { ...JOB.method, rank: 16, targets: 'key' },
      training: { ...JOB.training, batchSize: 4, classWeights: { spam: 2 }, gradientCheckpointing: true },
    })
  })

  it.each([['--iters', '--max-steps'], ['--adapter-path', '--output'], ['--lora_r', '--rank'], ['--micro-batch-size', '--batch-size'], ['--lernrate', '--learning-rate']])('knows %s of another program, or misspelt, as %s', (name, own) => {
    const message = messageOf(() => readArguments([name, '3']))
    if (name === '--lernrate') expect(message).toContain('there is no --lernrate')
    else expect(message).toContain(`perhaps ${own}`)
  })

  it('takes one module by its name as well, and an expression as one', () => {
    const taken = (targets: string): readonly unknown[] => {
      const { select } = methodOf({ name: 'lora', targets })
      const site = (name: string): Site => ({ kind: 'linear', name, weight: `${name}.weight`, inSize: 2, outSize: 2 }) as Site
      return select(['layer.0.query', 'layer.0.key'].map(site)).map(({ name }) => name)
    }
    expect(taken('query')).toEqual(['layer.0.query'])
    expect(taken('.*\\.(query|key)')).toEqual(['layer.0.query', 'layer.0.key'])
  })

  it('has a flag for every setting, each said in words', () => {
    const flags = [...jobFlags()]
    expect(flags.length).toBeGreaterThan(70)
    expect(flags.filter(([, { description }]) => description === '').map(([name]) => name)).toEqual([])
    expect(new Set(flags.map(([, { path }]) => path.join('.'))).size).toBe(flags.length)
  })
})

describe('train', { timeout: 120_000 }, () => {
  it('says what is wrong and leaves with 2 where it was called wrongly, with 1 where the job is wrong', async () => {
    const calls = [run(['train']), run(['train', 'job.json', '--iters', '3']), run(['train', 'job.json', '--rank', '0']), run(['train', 'nowhere.json']), run(['train', 'job.json', '--data', 'mails.doc'])]
    const [none, flag, job, file, data] = await Promise.all(calls)
    expect(none).toMatchObject({ code: 2, output: expect.stringContaining('train --help lists them') as string })
    expect(flag).toMatchObject({ code: 2, output: expect.stringContaining('perhaps --max-steps') as string })
    expect(job).toMatchObject({ code: 1, output: expect.stringContaining('method.rank: expected a number of at least 1, got 0') as string })
    expect(file).toMatchObject({ code: 1, output: expect.stringContaining('nowhere.json: expected a job') as string })
    expect(data).toMatchObject({ code: 1, output: expect.stringContaining('got mails.doc, which is not there') as string })
  })

  it('is stopped by Ctrl-C with a checkpoint, says how to go on, and goes on by the same command to an adapter that loads', async () => {
    const stopped = await run(['train', 'job.json'], (output, interrupt) => { if (/training 1\//.test(output) && !output.includes('SIGINT')) interrupt() })
    expect(stopped.code).toBe(130)
    expect(stopped.output).toMatch(/stopped {5}after \d+ of 15 steps \(SIGINT\)\. To go on: tfjs-peft train job\.json/)
    const whole = await run(['train', 'job.json'])
    expect(whole.output).toMatch(/resume after step \d+/)
    expect(whole.output).toMatch(/rows {8}34 to train on, \d+ held out; ham \d+, spam \d+/)
    expect(whole.output).toMatch(/cost {8}[\d.]+ s, \d+ tokens, [\d.]+ GFLOP, \d+ MiB/)
    expect(whole).toMatchObject({ code: 0, output: expect.stringContaining("saved       out/spam, in HF PEFT's format") as string })
    expect(JSON.parse(readFileSync(temporary('out/spam/job.json'), 'utf8'))).toEqual(JOB)
    const report = await readReport(temporary('out/spam/report.html'))
    expect(report?.steps.map(({ step }) => step)).toEqual(Array.from({ length: 15 }, (_, i) => i + 1)) // both runs
    expect(report?.evaluations).toHaveLength(3)
    expect(report?.examples).toHaveLength(6)
    const { model, tokenizer } = await loadAdapted(temporary('out/spam'))
    const { classes } = await predict(model, { ids: tokenizer.encode(['Cheap pills here 3', 'Lunch at noon 4']).ids })
    expect(Array.from(classes, (id) => model.labels[id])).toEqual(['spam', 'ham'])
    model.dispose()
  })

  it('trains an AdaLoRA with a budget for its steps, and says which ranks are left', async () => {
    const method = { name: 'adalora', initRank: 4, budget: { targetRank: 2 } }
    writeFileSync(temporary('ranks.json'), JSON.stringify({ ...JOB, method, output: 'out/ranks' }))
    const { code, output } = await run(['train', 'ranks.json'])
    expect(code, output).toBe(0)
    expect(output).toMatch(/ranks {7}24 left in 12 modules, \d to 4 in each/)
    const { rank_pattern: pattern } = JSON.parse(readFileSync(temporary('out/ranks/adapter_config.json'), 'utf8')) as { readonly rank_pattern: Readonly<Record<string, readonly boolean[]>> }
    expect(Object.values(pattern).flat().filter(Boolean)).toHaveLength(24)
    writeFileSync(temporary('wrong.json'), JSON.stringify({ ...JOB, method: { ...method, budget: { targetRank: 8 } }, output: 'out/wrong' }))
    const wrong = await run(['train', 'wrong.json'])
    expect(wrong.output).toContain("targetRank: expected at most 4, what the adapter's modules have on average, got 8")
  })

  it('trains a second task on an adapter, held to the first by EWC', async () => {
    const guard = ['--guard', 'ewc', '--strength', '10', '--normalize', '--max-steps', '2']
    const first = await run(['train', 'job.json', ...guard, '--output', 'out/first'])
    expect(first.code, first.output).toBe(0)
    writeFileSync(temporary('second.json'), JSON.stringify({ ...JOB, method: undefined, from: 'out/first', output: 'out/second' }))
    const second = await run(['train', 'second.json', ...guard])
    expect(second.code, second.output).toBe(0)
    const events = readFileSync(temporary('out/second/events.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as { readonly type: string; readonly penalty?: number })
    expect(events.filter(({ type }) => type === 'step').map(({ penalty = NaN }) => penalty > 0)).toEqual([false, true]) // it starts where the first ended
  })
})
