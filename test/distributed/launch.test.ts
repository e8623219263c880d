// Programs that know nothing of the library, under `tfjs-peft launch`: how it waits for them, and ends them.

import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { compiled } from '../../bench/process.ts'
import { temporaryFolder } from '../temporary-folder.ts'

interface Ended {
  readonly code: number | null
  readonly stdout: string
  /** Ports are written as PORT. */
  readonly stderr: string
}

const temporary = temporaryFolder()
let main: string
beforeAll(async () => { main = await compiled('../src/cli/main') })

/** Runs a program in two workers. */
async function launched(options: readonly string[], program: string, { closed = false, onStart }: { readonly closed?: boolean; readonly onStart?: (launcher: ChildProcess) => void } = {}): Promise<Ended> {
  const file = temporary(`program-${Math.random().toString(36).slice(2)}.mjs`)
  writeFileSync(file, `const rank = process.env.TFJS_PEFT_RANK\n${program}`)
  const child = spawn(process.execPath, [main, 'launch', ...options, file], { stdio: ['ignore', 'pipe', 'pipe'] })
  onStart?.(child)
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    if (closed) child.stdout.destroy()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const code = await new Promise<number | null>((done) => child.once('close', done))
  return { code, stdout, stderr: stderr.replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT') }
}

describe.runIf(process.platform === 'linux')('tfjs-peft launch', { concurrent: true }, () => {
  it.each([
    ['never ends', 'if (rank === "1") setInterval(() => undefined, 100_000)'],
    ['has been stopped', 'if (rank === "1") process.kill(process.pid, "SIGSTOP")'],
  ])('ends a worker that %s after the timeout, when the other has ended, and names it in a line', async (_, program) => {
    const line = 'tfjs-peft: worker 1 (127.0.0.1:PORT) did nothing for 1 seconds after another had ended; it is ended\n'
    expect(await launched(['--timeout', '1'], program)).toEqual({ code: 1, stdout: '', stderr: line })
  })

  it('leaves a worker its time that works longer than the other', async () => {
    const program = `
      const begin = performance.now()
      if (rank === '0') while (performance.now() - begin < 3500);
      console.log('done')`
    const { code, stdout, stderr } = await launched(['--timeout', '1'], program)
    expect([code, stderr, stdout.split('\n').sort()]).toEqual([0, '', ['', '[0] done', '[1] done']])
  })

  it('does not wait for what a worker has left behind, which holds its output', async () => {
    const program = `
      import { spawn } from 'node:child_process'
      if (rank === '1') spawn(process.execPath, ['-e', 'setTimeout(() => undefined, 20_000)'], { detached: true, stdio: 'inherit' }).unref()
      console.log('done')`
    const begin = performance.now()
    const { code, stdout } = await launched([], program)
    expect([code, stdout.split('\n').sort()]).toEqual([0, ['', '[0] done', '[1] done']])
    expect(performance.now() - begin).toBeLessThan(15_000)
  })

  it('lets its workers find out that nobody reads their output any more', async () => {
    const program = `
      process.stdout.on('error', ({ code }) => { console.error(code); process.exit(3) })
      setInterval(() => console.log('x'.repeat(1000)), 20)`
    const { code, stderr } = await launched([], program, { closed: true })
    expect(code).toBe(3)
    expect(stderr).toContain('EPIPE')
    expect(stderr).toMatch(/tfjs-peft: worker [01] \(127\.0\.0\.1:PORT\) ended with exit code 3/)
    expect(stderr).not.toContain('    at ')
  })

  it('stands still with all workers at Ctrl-Z, and goes on with all at fg', { timeout: 30_000 }, async () => {
    const program = `
      let [last, longest] = [performance.now(), 0]
      if (rank === '0') setTimeout(() => process.kill(process.ppid, 'SIGTSTP'), 1000)
      const ticks = setInterval(() => {
        longest = Math.max(longest, performance.now() - last)
        last = performance.now()
        if (longest < 4000) return
        clearInterval(ticks)
        console.log('stood still')
      }, 20)`
    const stopped = (pid?: number): boolean => readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /s, '').startsWith('T')
    const { code, stdout } = await launched([], program, { onStart: (launcher) => {
      void (async () => {
        while (!stopped(launcher.pid)) await wait(50)
        await wait(5000)
        launcher.kill('SIGCONT')
      })()
    } })
    expect([code, stdout.split('\n').sort()]).toEqual([0, ['', '[0] stood still', '[1] stood still']])
  })

  it('says what is wrong with its timeout', async () => {
    for (const timeout of ['0', 'soon', '9e9']) {
      const { code, stderr } = await launched(['--timeout', timeout], '')
      expect([code, stderr]).toEqual([2, `tfjs-peft: launch: --timeout: expected seconds, at most 2000000, got ${timeout}. \`tfjs-peft --help\` lists all.\n`])
    }
  })
})
