import { defineConfig } from 'vitest/config'

// The runtime reads these once, when it is loaded, from the real environment of the test process.
process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2'
// Two files run side by side, on tensors so small that sharing them out among threads takes longer than the work.
process.env['TF_NUM_INTRAOP_THREADS'] ??= '1'

/** What all kinds of tests have. */
export const base = defineConfig({
  test: {
    pool: 'forks', // the engine is a native library, not to be shared among threads
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})

/** Files that change, or ask about, what is decided once in a process: mocked modules, the engine and its threads, memory. */
const ALONE = [
  'test/base/checkpoint/{load-bfloat16,safetensors}.test.ts',
  'test/base/engine/**/*.test.ts',
  'test/base/ops/linear.test.ts',
  'test/cli/**/*.test.ts',
  'test/distributed/**/*.test.ts',
  'test/setup/**/*.test.ts',
  'test/training/{agree,workers-buckets}.test.ts',
]

// All others share two processes, because loading the engine takes longer than most files.
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    projects: [
      { extends: true, test: { name: 'alone', include: ALONE } },
      { extends: true, test: { name: 'together', include: ['test/**/*.test.ts'], exclude: ALONE, isolate: false } },
    ],
  },
})
