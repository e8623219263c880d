import { expect, it } from 'vitest'
import { formatFindings } from '../../src/cli/findings.ts'

it('findings are aligned, their further lines indented, and each problem is followed by its fix', () => {
  const text = formatFindings([
    { name: 'Node', value: 'v22.1.0' },
    { name: 'TensorFlow', value: 'does not work:\nno file', fix: 'Run set-up.' },
  ])
  expect(text).toBe(
    [
      'ok       Node        v22.1.0',
      'problem  TensorFlow  does not work:',
      '                     no file',
      '                     fix: Run set-up.',
      '',
      '1 problem found.',
    ].join('\n'),
  )
})

it('findings without a problem end in one sentence', () => {
  expect(formatFindings([{ name: 'Node', value: 'v22.1.0' }])).toBe('ok       Node  v22.1.0\n\nEverything works.')
})
