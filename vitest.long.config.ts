import { defineConfig } from 'vitest/config'
import { base } from './vitest.config.ts'

// Tests of minutes, by themselves.
export default defineConfig({
  ...base,
  test: { ...base.test, include: ['test/**/*.long.ts'], testTimeout: 600_000, hookTimeout: 600_000 },
})
