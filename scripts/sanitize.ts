// Runs the tests of the fused kernels with kernels that the compiler has given its checks of memory (AddressSanitizer) and of undefined
// behaviour (UndefinedBehaviorSanitizer), and with their own assertions: npm run test:sanitized, and behind `--`
// other test files than these. Linux with GCC.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { enginePackages, linkedBinding } from '../src/setup/link.ts'
import { findCompiler } from '../src/setup/compiler.ts'
import { compileChecked } from '../src/setup/native.ts'

const TESTS = ['test/base/ops', 'test/base/engine/native.test.ts', 'test/base/engine/native-workers.test.ts', 'test/base/engine/packed-weight.test.ts', 'test/base/engine/int8-products.test.ts']

const folder = mkdtempSync(join(tmpdir(), 'tfjs-peft-sanitized-'))
try {
  const [packageFolder = ''] = await enginePackages(process.cwd())
  const binding = await linkedBinding(packageFolder)
  if (binding === undefined) throw new Error('There is no engine yet: npm run setup')
  const addon = await compileChecked(binding, folder, new AbortController().signal)
  const compiler = (await findCompiler()) ?? 'g++'
  const library = execFileSync(compiler, ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim() // has to be the first in the process
  const [, , ...asked] = process.argv
  const files = asked.some((argument) => !argument.startsWith('-')) ? [] : TESTS
  const { status, signal, error } = spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...files, ...asked], {
    stdio: 'inherit',
    env: {
      ...process.env,
      TFJS_PEFT_NATIVE: addon,
      TF_CPP_MIN_LOG_LEVEL: '2',
      LD_PRELOAD: library,
      ASAN_OPTIONS: 'detect_leaks=0', // Node and TensorFlow keep memory to the end
      UBSAN_OPTIONS: 'print_stacktrace=1',
      TF_NUM_INTRAOP_THREADS: '2', // the pool takes part
    },
  })
  if (status === null) console.error(`The tests ended with ${signal ?? error?.message ?? 'no exit code'}.`)
  process.exitCode = status ?? 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
