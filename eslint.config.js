import js from '@eslint/js'
import tseslint from 'typescript-eslint'

/** Imports point one way: base knows no method, methods know no model, no method knows another. */
const forbid = (files, group, message) => ({
  files,
  rules: { '@typescript-eslint/no-restricted-imports': ['error', { patterns: [{ group, message }] }] },
})

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'coverage/', 'out/', 'docs/notebooks/built/'] },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked.map((config) => ({ ...config, files: ['**/*.ts'] })),
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/explicit-module-boundary-types': 'error',
    },
  },
  {
    files: ['scripts/**/*.mjs', 'eslint.config.js'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', URL: 'readonly', fetch: 'readonly' } },
  },
  forbid(['src/base/**'], ['**/lora/**', '**/adapters/**', '**/prefix/**', '**/prompt/**', '**/forgetting/**', '**/training/**'],
    'base knows no method and no trainer'),
  forbid(['src/lora/**', 'src/adapters/**', 'src/prefix/**', 'src/prompt/**'], ['**/models/**', '**/training/**'],
    'a method knows no model'),
)
