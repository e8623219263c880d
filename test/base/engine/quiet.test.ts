import { expect, it } from 'vitest'
import { goldenPath } from '../../golden.ts'
import { node, root } from '../../pages.ts'

it('a program that trains prints nothing of itself, but for two lines of TensorFlow that come before any setting is read', async () => {
  const program = `
    import { attach, loadModel, lora, Trainer } from 'tfjs-peft'
    const model = await loadModel(${JSON.stringify(goldenPath('lora/base'))}, { task: 'sequence-classification' })
    attach(model, lora({ rank: 2 }))
    console.log((await new Trainer({ model, train: { ids: [[1, 2], [3, 4]], labels: [0, 1] } }).fit()).end)`
  const lines = (await node(root, '--input-type=module', '-e', program)).trimEnd().split('\n')
  expect(lines.filter((line) => !/^WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR$|^I0000 .* oneDNN custom operations are on\. /.test(line)))
    .toEqual(['finished'])
}, 60_000)
