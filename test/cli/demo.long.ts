import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../temporary-folder.ts'
import { runProgram } from './program.ts'

const temporary = temporaryFolder()

it('the demo makes a spam filter in a folder with nothing but the package, and says each command that it calls', { timeout: 600_000 }, async () => {
  symlinkSync(join(import.meta.dirname, '..', '..', 'node_modules'), temporary('node_modules'), 'junction')
  writeFileSync(temporary('package.json'), '{}')
  const { code, output } = await runProgram(temporary(), ['demo', '--mails', '400'])
  expect(code, output).toBe(0)
  for (const command of ['setup --model sentence-transformers/all-MiniLM-L6-v2', 'train tfjs-peft-demo/job.json', 'predict tfjs-peft-demo/spam --data tfjs-peft-demo/new.jsonl']) expect(output).toContain(`$ npx tfjs-peft ${command}`)
  const predictions = output.split('\n').filter((line) => line.startsWith('{"text"')).map((line) => JSON.parse(line) as { readonly prediction: { readonly label: string } })
  expect(predictions.map(({ prediction }) => prediction.label)).toEqual(['ham', 'spam'])
  expect(readFileSync(temporary('tfjs-peft-demo', 'spam', 'report.html'), 'utf8')).toContain('Finished after')
})
