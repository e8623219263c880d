import { defineConfig } from 'vitest/config'
import { base } from './vitest.config.ts'

delete process.env['TF_NUM_INTRAOP_THREADS'] // large products are worth every thread

// Tests of models in full size, by themselves: they need 14 GB of disk and 12 GB of memory.
export default defineConfig({
  ...base,
  test: { ...base.test, include: ['test/large/**/*.large.ts'], maxWorkers: 1, testTimeout: 600_000, hookTimeout: 600_000 },
})
