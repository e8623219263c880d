// The transcripts of docs/command-line.md, run as they stand there.

import { execFile } from 'node:child_process'
import { readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, expect, it } from 'vitest'
import { temporaryFolder } from '../temporary-folder.ts'

const root = join(import.meta.dirname, '..', '..')
const temporary = temporaryFolder()

interface Call {
  readonly command: string
  /** As the page has it. */
  readonly printed: readonly string[]
}

/** What follows a `$` with its `>` lines, and what was printed then. */
const calls = [...readFileSync(join(root, 'docs', 'command-line.md'), 'utf8').matchAll(/```sh\n(.*?)```/gs)]
  .flatMap(([, block = '']) => (block.startsWith('$ ') ? block.split(/^\$ /m).slice(1) : []))
  .map((call): Call => {
    const [first = '', ...lines] = call.trimEnd().split('\n')
    const more = lines.filter((line) => line.startsWith('> ')).map((line) => line.slice(2))
    return { command: [first, ...more].join('\n'), printed: lines.filter((line) => !line.startsWith('> ')) }
  })

/** What the page leaves out: what TensorFlow and a training say while they are at work. */
const LEFT_OUT = /^(WARNING: All log|I0000|training \d|evaluate after|checkpoint after|finished after|warning after)/
/** Shell for `npx tfjs-peft`, with the sources of this clone. */
const NPX = `npx() { shift; "${process.execPath}" --import "${import.meta.resolve('tsx')}" "${join(root, 'src', 'cli', 'main.ts')}" "$@"; }`

beforeAll(() => { symlinkSync(join(root, 'node_modules'), temporary('node_modules'), 'junction') })

it('the page shows every kind of command', () => {
  const shown = new Set(calls.flatMap(({ command }) => /^npx tfjs-peft (\S+)/.exec(command)?.[1] ?? []))
  expect([...shown].sort()).toEqual(['check-adapter', 'convert', 'eval', 'init', 'inspect', 'merge', 'predict', 'train'])
})

it.each(calls)('$command', { timeout: 120_000 }, async ({ command, printed }) => {
  const options = { cwd: temporary(), env: { ...process.env, HF_HUB_OFFLINE: '1' } }
  const { stdout, stderr } = await promisify(execFile)('bash', ['-c', `${NPX}\n${command}`], options).catch((error: unknown) => error as { stdout: string; stderr: string })
  const lines = `${stdout}${stderr}`.split('\n').filter((line) => !LEFT_OUT.test(line))
  const isCut = printed.at(-1) === '…'
  const shown = isCut ? printed.slice(0, -1) : printed
  const found = (isCut ? lines.slice(0, shown.length) : lines).join('\n').trimEnd()
  expect(withoutMeasures(found)).toBe(withoutMeasures(shown.join('\n')))
})

/** Numbers that a machine, or a rounding, decides. */
function withoutMeasures(text: string): string {
  return text.replace(/[\d.]+ (MiB|[kMGTP]?(J|FLOP))\b|\d+\.\d+(e-?\d+)?/g, '#')
}
