import js from '@eslint/js'
import tseslint from 'typescript-eslint'

/**
 * Imports point one way: base knows no method, methods know no model, no method knows another. A file is under the last rule
 * that fits it. test/layout.test.ts sees what comes by way of other files: circles, and what of Node.
 */
const forbid = (files, ...patterns) => ({
  files,
  rules: { '@typescript-eslint/no-restricted-imports': ['error', { patterns: patterns.map(([group, message]) => ({ group, message })) }] },
})

const METHODS = ['lora', 'adapters', 'prefix', 'prompt', 'selective']
const folders = (names) => names.map((name) => `**/${name}/**`)
const NO_METHOD = [folders([...METHODS, 'manage', 'forgetting', 'training', 'data', 'distributed', 'setup', 'cli']), 'base knows no method and no trainer']
const NO_NODE = [['node:*'], 'what needs Node is in base/checkpoint, files, hub, image, tokenizer, and behind loadEngine']

/** What is asked between trainings and answers at once, and so reads tensors at once, which some backends (WebGPU) do not do. */
const READS_AT_ONCE = [
  'src/base/adapter/merge.ts', // its check; without it (verify: false) nothing is read
  'src/base/adapter/vocabulary.ts', // whether the table of words in an adapter's file is the model's
  'src/base/engine/bfloat16.ts', 'src/base/engine/int8.ts', 'src/base/engine/nf4.ts', 'src/base/adapter/with-params.ts', // round what was merged
  'src/base/engine/operations.ts', // where rows begin, on TensorFlow
  'src/base/engine/packed-weight.ts', // ids of rows, on TensorFlow
  'src/base/ops/svd.ts', // Jacobi's method, where the engine has no decomposition of its own
  'src/manage/combine.ts', 'src/forgetting/{slerp,task-vector}.ts', // sort and draw elements
  'src/forgetting/{attach-like,records}.ts', // copies and checks of whole records
  'src/training/read-into.ts', // gradients within the walk back, which waits for nothing
]
/** What only Node runs, as test/layout.test.ts has it. */
const NODE = ['src/{cli,data,distributed,report,setup}/**', 'src/base/{checkpoint,files,hub,image,tokenizer}/**', 'src/forgetting/save-guards.ts', 'src/training/checkpoint.ts']

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'coverage/', 'out/', 'docs/notebooks/built/'] },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked.map((config) => ({ ...config, files: ['**/*.ts'] })),
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
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
  forbid(['src/base/**'], NO_METHOD),
  forbid(['src/base/*.ts', 'src/base/{adapter,autodiff,generate,jinja,ops,python-regex,tasks}/**'], NO_METHOD, NO_NODE),
  forbid(['src/base/models/**'], NO_METHOD, NO_NODE, [folders(['adapter', 'checkpoint', 'generate', 'hub', 'image', 'tokenizer']), 'a model knows no file and no adapter']),
  ...METHODS.map((method) => forbid([`src/${method}/**`], NO_NODE,
    [folders([...METHODS.filter((other) => other !== method), 'models', 'checkpoint', 'hub', 'manage', 'forgetting', 'training', 'data']),
      'a method knows no model, no file and no other method'])),
  forbid(['src/{manage,forgetting}/**'], [folders(['setup', 'cli', 'data']), 'what brings the engine and the rows is not its matter']),
  {
    files: ['src/**/*.ts'],
    ignores: [...NODE, ...READS_AT_ONCE],
    rules: {
      'no-restricted-syntax': ['error', {
        selector: 'MemberExpression[property.name=/^(data|array|bytes|read)Sync$/]', message: 'some backends give no numbers at once: await read(…) of base/engine/read.ts',
      }],
    },
  },
  forbid(['src/training/**'], [folders(['forgetting']), 'the trainer asks any guard, and knows none'], [folders(['distributed']), 'the trainer knows workers by their type alone']),
)
