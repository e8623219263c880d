import { defineConfig } from 'vitest/config'
import { base } from './vitest.config.ts'

// Tests of the site in a browser, by themselves: they need Chromium and what `npm run docs` wrote.
export default defineConfig({
  ...base,
  test: { ...base.test, include: ['test/site/**/*.site.ts'] },
})
