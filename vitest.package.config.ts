import { defineConfig } from 'vitest/config'
import { base } from './vitest.config.ts'

// Tests of the package as it is packed, by themselves: they need `npm pack` and tools of their own.
export default defineConfig({
  ...base,
  test: { ...base.test, include: ['test/package/**/*.pack.ts'] },
})
