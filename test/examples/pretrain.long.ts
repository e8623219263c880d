import { expect, it } from 'vitest'
import { loadModel } from '../../src/base/checkpoint/load.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { run } from './run.ts'

const temporary = temporaryFolder()

it('the script goes from nothing to an adapter, and says what it gained and cost', async () => {
  const printed = await run('pretrain.ts', '--steps', '3', '--one-in', '14', '--out', temporary('out'))
  expect(printed).toMatch(/gained {6}-?\d\.\d{4} on 'learned'\ncost {8}-?\d\.\d{4} on the other genres/)
  const untrained = Number(/untrained {3}held-out loss (\d\.\d+)/.exec(printed)?.[1])
  const pretrained = Number(/pretrained {2}held-out loss (\d\.\d+)/.exec(printed)?.[1])
  expect(pretrained).toBeLessThan(untrained - 0.1)
  const model = await loadModel(temporary('out', 'model'), { task: 'causal-lm' })
  expect(model.parts.config['architectures']).toEqual(['GPT2LMHeadModel'])
  model.dispose()
})
