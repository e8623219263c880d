import { defineConfig } from 'vitest/config'
import { base } from './vitest.config.ts'

// Tests against the Python peers, by themselves: they need an environment of 5.6 GB, which globalSetup makes or finds.
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: ['test/peers/**/*.peer.ts'],
    globalSetup: ['test/peers/python.ts'],
    testTimeout: 180_000, // each starts a Python that imports torch
  },
})
