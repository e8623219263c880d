import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { METHODS as BENCHED, textOf } from '../bench/methods-rows.ts'
import * as library from '../src/index.ts'
import { METHODS, MODELS } from './contract-rows.ts'

const read = (name: string): Promise<string> => readFile(fileURLToPath(new URL(`../${name}`, import.meta.url)), 'utf8')

let parity: string
let methods: string[]

beforeAll(async () => {
  parity = await read('docs/parity.md')
  // what stands under Methods in the list of public names and makes a method by itself
  const listed = /\n\/\/ Methods\n(.*?)\n\n/s.exec(await read('src/index.ts'))?.[1] ?? ''
  methods = Object.keys(library).filter((name) => new RegExp(`[{ ]${name}[, ]`).test(listed) && makesMethod(name))
})

function makesMethod(name: string): boolean {
  try {
    return 'format' in (library[name as keyof typeof library] as () => object)()
  } catch {
    return false // it needs a model or rows, and makes something else
  }
}

describe('docs/parity.md', () => {
  it('has a row for every method of the contract, as it is called there, and a column for every model', () => {
    const head = parity.split('\n').find((line) => line.startsWith('| method |')) ?? ''
    expect(head.split('|').map((cell) => cell.trim())).toEqual(expect.arrayContaining(MODELS.map(({ name }) => name)))
    for (const { name, method } of METHODS) {
      const row = parity.split('\n').find((line) => line.startsWith(`| ${name}<br>`) || line.startsWith(`| ${name} (models `))
      expect(row, `${name}: run \`npm run docs:parity\``).toContain(`\`${method.text.replaceAll('|', '\\|')}\``)
    }
  })

  it('has no cell that failed', () => {
    expect(parity).not.toContain('FAILED')
  })
})

describe('every public method', () => {
  it('is in the contract', () => {
    expect(methods).toContain('lora')
    for (const name of methods) expect(METHODS.map(({ method }) => method.text.split('(')[0]), name).toContain(name)
  })

  it('is in the bench of the methods', () => {
    const calls = BENCHED.map(textOf).join('\n')
    // a preset of it stands for the general form
    for (const name of methods.filter((other) => other !== 'bottleneck')) expect(calls, name).toContain(`${name}(`)
  })
})
