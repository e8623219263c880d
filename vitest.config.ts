import { defineConfig } from 'vitest/config'

// The runtime reads these once, when it is loaded, from the real environment of the test process.
process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2'
// Two files run side by side, on tensors so small that sharing them out among threads takes longer than the work.
process.env['TF_NUM_INTRAOP_THREADS'] ??= '1'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks', // the engine is a native library: one process per file, none shared with a worker thread
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
