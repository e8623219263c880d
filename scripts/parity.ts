// Writes docs/parity.md from the tests that say what they show (test/parity.ts): each cell is tests that passed.
//
//   npm run docs:parity                what runs with this repository alone; what peers read stays as it was in the file
//   npm run docs:parity -- --peers     the peers too, in environments that bench/peers/setup.mjs makes
//   npm run docs:parity -- --settings  the settings of files alone, in seconds
//
// A test that fails shows in its cell, and the command fails.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { peersPython } from '../bench/process.ts'
import { DONE, IDLE, REFUSED } from '../src/base/generate/fields.ts'
import { openSafetensors } from '../src/base/checkpoint/safetensors.ts'
import { FAMILIES } from '../src/base/models/auto.ts'
import { COMMON_IDLE, COMMON_OFF } from '../src/base/models/settings.ts'
import type { MethodFields } from '../src/base/adapter/file-format.ts'
import { COMMON_FIELDS } from '../src/load-adapter.ts'
import { ADAPTER_HUB_FIELDS, PEFT_FIELDS } from '../test/peft-fields.ts'
import type { Capability, Parity } from '../test/parity.ts'

/** One test of vitest's JSON report. */
interface Test {
  readonly title: string
  readonly status: string
  readonly meta: { readonly parity?: Parity }
}

interface Shows extends Parity {
  readonly title: string
  readonly status: string
}

const root = fileURLToPath(new URL('..', import.meta.url))
const DOC = join(root, 'docs', 'parity.md')
const PEERS = ['<!-- peers: npm run docs:parity -- --peers -->', '<!-- end of peers -->'] as const
const SETTINGS = ['<!-- settings: npm run docs:parity -- --settings -->', '<!-- end of settings -->'] as const
const CAPABILITIES: readonly Capability[] = ['train', 'save', 'load', 'merge']
const FAILED = '**FAILED**'

const { values } = parseArgs({ options: { peers: { type: 'boolean', default: false }, settings: { type: 'boolean', default: false } } })

if (values.settings) {
  const old = readFileSync(DOC, 'utf8')
  const [begin, end] = SETTINGS
  writeFileSync(DOC, old.replace([begin, kept(SETTINGS), end].join('\n'), () => [begin, ...settingsTables(), end].join('\n')))
  process.exit()
}

const tests = [
  ...runTests(['test/contract-'], 'vitest.long.config.ts'),
  ...runTests(['golden.test.ts', 'test/base/models/', 'test/adapters/bottleneck.test.ts']),
]
const ofTable = (table: Parity['table'], from: readonly Shows[] = tests): readonly Shows[] => from.filter((test) => test.table === table)

const doc = [
  '# What is shown by tests',
  '',
  'Written by `npm run docs:parity`: every cell is tests that passed, nothing is typed by hand.',
  '',
  '## Every method on every model',
  '',
  ...contractTable(ofTable('contract')),
  '',
  '## The numbers of peers',
  '',
  'Adapters that peers made and trained, on tiny models of each family (`test/golden/README.md` says how): the largest ' +
    'difference from the numbers they computed that the tests allow.',
  '',
  ...(await goldenTables(ofTable('golden'))),
  '',
  '## What peers read',
  '',
  'Files saved here, read by the peers with every key and shape checked and run by them: the largest difference from our outputs ' +
    'that the tests allow. The other way is `load` above.',
  '',
  PEERS[0],
  ...(values.peers ? peerTables(ofTable('peer', runTests([], 'vitest.peers.config.ts'))) : [kept(PEERS)]),
  PEERS[1],
  '',
  '## Settings of config.json',
  '',
  SETTINGS[0],
  ...settingsTables(),
  SETTINGS[1],
  '',
].join('\n')
writeFileSync(DOC, doc)
if (doc.includes(FAILED)) {
  console.error('docs/parity.md: some cells failed; run `npm test` and `npm run test:long` to see why.')
  process.exitCode = 1
}

function runTests(filters: readonly string[], config = 'vitest.config.ts'): readonly Shows[] {
  const folder = mkdtempSync(join(tmpdir(), 'tfjs-peft-'))
  try {
    const report = join(folder, 'report.json')
    const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
    spawnSync(process.execPath, [vitest, 'run', '--config', config, ...filters, '--reporter=json', `--outputFile=${report}`], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
    const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as {
      readonly testResults: readonly { readonly name: string; readonly message: string; readonly assertionResults: readonly Test[] }[]
    }
    const broken = testResults.filter(({ assertionResults }) => assertionResults.length === 0)
    if (broken.length > 0) throw new Error(broken.map(({ name, message }) => `${name}: ${message}`).join('\n'))
    return testResults.flatMap(({ assertionResults }) =>
      assertionResults.flatMap(({ title, status, meta }) => (meta.parity === undefined ? [] : [{ ...meta.parity, title: common(title), status }])))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function contractTable(all: readonly Shows[]): string[] {
  const [rows, models] = [distinct(all.map(({ row }) => row)), distinct(all.map(({ model }) => model))]
  const cellOf = (row: string, model: string): string => {
    const own = all.filter((test) => test.row === row && test.model === model)
    return CAPABILITIES.map((capability) => letterOf(capability, own.filter(({ shows }) => shows.includes(capability)))).join(' ').trim()
  }
  const nameOf = (row: string): string => {
    const { call = '', only } = all.find((test) => test.row === row) ?? {}
    return `${row}${only === undefined ? '' : ` (models ${only})`}<br>\`${call}\``
  }
  const skipped = distinct(all.filter(({ status }) => isSkipped(status)).map(({ title }) => title))
  const reasons = distinct(all.flatMap(({ because }) => (because === undefined ? [] : [because.replace(/'.*'/, '…')])))
  return [
    ...table(['method', ...models], rows.map((row) => [nameOf(row), ...models.map((model) => cellOf(row, model))])),
    '',
    ...legendOf(all.filter(({ because }) => because === undefined)),
    ...skipped.map((title) => `- \`*\` all but: ${title}`),
    ...reasons.map((reason) => `- \`–\` ${reason}`),
  ]
}

function letterOf(capability: Capability, tests: readonly Shows[]): string {
  if (tests.some(({ status }) => status === 'failed')) return FAILED
  const passed = tests.filter(({ status }) => status === 'passed')
  if (passed.length === 0) return ''
  if (passed.some(({ because }) => because !== undefined)) return '–'
  return `${capability}${passed.length < tests.length ? '*' : ''}`
}

/** The tests behind each capability. */
function legendOf(all: readonly Shows[]): string[] {
  return CAPABILITIES.map((capability) => `- \`${capability}\` ${titlesOf(all.filter(({ shows }) => shows.includes(capability)))}`)
}

function titlesOf(tests: readonly Shows[]): string {
  return distinct(tests.map(({ title }) => title))
    .map((title) => {
      const within = distinct(tests.flatMap((test) => (test.title === title && test.tolerance !== undefined ? [short(test.tolerance)] : [])))
      const exact = tests.some((test) => test.title === title && test.tolerance === undefined)
      if (within.length === 0) return title
      return `${title} (within ${within.join(' or ')}${exact ? ', most to the bit' : ''})`
    })
    .join('; ')
}

async function goldenTables(all: readonly Shows[]): Promise<string[]> {
  const rows = await Promise.all(distinct(all.map(({ row }) => row)).map(async (row) => {
    const own = all.filter((test) => test.row === row)
    const cells = CAPABILITIES.map((capability) => numbersOf(own.filter(({ shows }) => shows.includes(capability))))
    return { peers: await versionsIn(row), cells: [row, kindOf(row), architectureOf(own[0]?.model ?? ''), ...cells] }
  }))
  const tables = distinct(rows.map(({ peers }) => peers)).flatMap((peers) => [
    `${peers}:`,
    '',
    ...table(['in test/golden', 'kind', 'model', ...CAPABILITIES], rows.filter((row) => row.peers === peers).map(({ cells }) => cells)),
    '',
  ])
  return [...tables, ...legendOf(all)]
}

/** The tolerances of tests that passed. */
function numbersOf(tests: readonly Shows[]): string {
  if (tests.some(({ status }) => status === 'failed')) return FAILED
  const passed = tests.filter(({ status }) => status === 'passed')
  return distinct(passed.map(({ tolerance }) => (tolerance === undefined ? 'bits' : short(tolerance)))).join(', ')
}

/** The peers that computed a golden file, as its metadata names them. */
async function versionsIn(folder: string): Promise<string> {
  const file = await openSafetensors(join(root, 'test', 'golden', folder, 'golden.safetensors'))
  await file.close()
  const { versions } = JSON.parse(file.metadata['golden'] ?? '{}') as { readonly versions: Readonly<Record<string, string>> }
  return peersOf(versions)
}

function peersOf(versions: Readonly<Record<string, string>>): string {
  const packages = ['adapters', 'peft', 'transformers', 'torch'].filter((name) => versions[name] !== undefined)
  return packages.map((name) => `${name} ${versions[name] ?? ''}`).join(', ')
}

/** What a peer calls the method of an adapter it saved. */
function kindOf(folder: string): string {
  const config = readJson(`${folder}/adapter/adapter_config.json`)
  const type = config['peft_type']
  if (typeof type !== 'string') return 'bottleneck' // `adapters` has one kind
  return config['use_dora'] === true ? `${type}, use_dora` : type
}

function architectureOf(folder: string): string {
  return String((readJson(`${folder}/config.json`)['architectures'] as readonly string[])[0])
}

function readJson(name: string): Readonly<Record<string, unknown>> {
  return JSON.parse(readFileSync(join(root, 'test', 'golden', name), 'utf8')) as Record<string, unknown>
}

function peerTables(all: readonly Shows[]): string[] {
  return distinct(all.map(({ peer }) => peer ?? '')).sort().flatMap((peer) => {
    const own = all.filter((test) => test.peer === peer)
    const older = peer === 'AdapterHub' || peer.includes('older')
    return [
      '',
      `${peer} (${versionsOf(older ? peersPython('adapters') : peersPython(), peer === 'AdapterHub')}):`,
      '',
      ...table(['saved here', 'model', 'within'], own.map((test) => [test.row, architectureOf(test.model), numbersOf([test])])),
    ]
  }).concat('')
}

function versionsOf(python: string, adapters: boolean): string {
  const names = [...(adapters ? ['adapters'] : ['peft']), 'transformers', 'torch']
  const program = `import json; from importlib.metadata import version; print(json.dumps({name: version(name) for name in ${JSON.stringify(names)}}))`
  return peersOf(JSON.parse(execFileSync(python, ['-c', program], { encoding: 'utf8' })) as Record<string, string>)
}

/** What the file has between two marks of an earlier run. */
function kept([begin, end]: readonly [string, string]): string {
  const old = readFileSync(DOC, 'utf8')
  const [start, stop] = [old.indexOf(begin), old.indexOf(end)]
  if (start < 0 || stop < start) throw new Error(`docs/parity.md has no ${begin}; run \`npm run docs:parity -- --peers\` once.`)
  return old.slice(start + begin.length + 1, stop - 1)
}

interface GoldenSettings {
  readonly versions: Readonly<Record<string, string>>
  readonly families: Readonly<Record<string, { readonly class: string; readonly fields: object; readonly words: object }>>
}

/** What becomes of each field of each configuration class; test/base/models/settings.test.ts holds the lists against them. */
function settingsTables(): string[] {
  const { versions, families } = JSON.parse(readFileSync(join(root, 'test', 'golden', 'settings.json'), 'utf8')) as GoldenSettings
  const rows = Object.entries(families).map(([type, { class: className, fields, words }]) => {
    const { off = {}, idle = [] } = FAMILIES[type] ?? {}
    const common: Readonly<Record<string, readonly unknown[] | undefined>> = { ...COMMON_OFF, ...off }
    const never = Object.entries(common).flatMap(([key, values]) => (values === undefined ? [] : [key]))
    const others = [...never, ...COMMON_IDLE, ...idle]
    return [`${type}<br>${className}`, named(Object.keys({ ...fields, ...words }).filter((key) => !others.includes(key))), refused(off), named(idle)]
  })
  return [
    '',
    `Every field of each configuration class (transformers ${versions['transformers'] ?? ''}), and the older names of some, is done, refused unless it is ` +
      'left out or has the value in brackets, or changes no logit there, which `test/golden/make_settings.py` tries.',
    '',
    `Of all classes, refused: ${refused(COMMON_OFF)}; without effect: ${named(COMMON_IDLE)}.`,
    '',
    ...table(['family', 'done', 'refused', 'without effect'], rows),
    '',
    ...generationTable(),
    '',
    ...adapterSettings(),
    '',
  ]
}

/** What becomes of each field of generation_config.json; test/base/generate/generation-config.test.ts holds the lists against the class. */
function generationTable(): string[] {
  const file = join(root, 'test', 'golden', 'generation', 'fields.json')
  const { versions } = JSON.parse(readFileSync(file, 'utf8')) as Pick<GoldenSettings, 'versions'>
  const rows = [
    ...Object.entries(DONE).map(([field, option]) => [field, 'done', option === '' ? '' : `\`${option}\``]),
    ...Object.entries(REFUSED).map(([field, { off, wayOut }]) => [field, `refused${off.length === 0 ? '' : ` but ${off.map((value) => JSON.stringify(value)).join(', ')}`}`, wayOut]),
    ...Object.entries(IDLE).map(([field, reason]) => [field, 'without effect on tokens', reason]),
  ]
  return [
    '## Settings of generation_config.json',
    '',
    `Every field of GenerationConfig (transformers ${versions['transformers'] ?? ''}), in the file or, where there is none, in config.json. An option of ` +
      '`generate` goes before what is done.',
    '',
    ...table(['field', 'what becomes of it', 'option, way out or reason'], rows.map(([field = '', ...cells]) => [`\`${field}\``, ...cells])),
  ]
}

/** The same of adapter_config.json; test/peft-fields.test.ts holds the lists against PEFT's classes. */
function adapterSettings(): string[] {
  const { peft } = JSON.parse(readFileSync(join(root, 'test', 'golden', 'peft_fields.json'), 'utf8')) as { readonly peft: string }
  const row = ([name, { done, off, idle }]: readonly [string, MethodFields]): string[] => [name, named(done), refused(off), named(idle)]
  return [
    '## Settings of adapter_config.json',
    '',
    `Every field of each configuration class of HF PEFT ${peft}, and of AdapterHub's bottleneck adapters: done, refused unless it is null or has the ` +
      'value in brackets, or without effect on what is computed with a saved adapter. `pooling` is of this library.',
    '',
    ...table(['method', 'done', 'refused', 'without effect'], [['all of PEFT', COMMON_FIELDS] as const, ...Object.entries(PEFT_FIELDS), ...Object.entries(ADAPTER_HUB_FIELDS)].map(row)),
  ]
}

function named(keys: readonly string[]): string {
  return keys.map((key) => `\`${key}\``).join(', ')
}

function refused(off: Readonly<Record<string, readonly unknown[] | undefined>>): string {
  return Object.entries(off).flatMap(([key, usual]) => usual === undefined ? [] : `\`${key}\`${usual.length === 0 ? '' : ` (${usual.map((value) => JSON.stringify(value)).join(', ')})`}`).join(', ')
}

/** The title of one of many tests without its case. */
function common(title: string): string {
  return title.replace(/: [^:]*$/, '')
}

function isSkipped(status: string): boolean {
  return status !== 'passed' && status !== 'failed'
}

function short(tolerance: number): string {
  return tolerance.toExponential().replace('e+', 'e')
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)]
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
}
