import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { loadEngine } from '../../../src/base/engine/engine.ts'
import { tensorflow } from '../../../src/base/engine/tensorflow.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

it('loads the TensorFlow runtime once', async () => {
  expect(tf.engine().registryFactory).toEqual({})
  await loadEngine()
  expect(tf.getBackend()).toBe('tensorflow')
  expect(tensorflow()?.binding.TF_Version).toMatch(/^2\./)
  await loadEngine()
})

/** A program in a folder where only tfjs-core and the named packages are installed. */
async function runWith(packages: readonly string[], program: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
  try {
    for (const name of ['@tensorflow/tfjs-core', ...packages]) {
      await mkdir(dirname(join(folder, 'node_modules', name)), { recursive: true })
      await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name))
    }
    for (const file of ['errors.ts', 'base/engine/engine.ts', 'base/engine/load-native.ts', 'base/engine/native.ts', 'base/engine/tensorflow.ts']) await cp(join(root, 'src', file), join(folder, file))
    await writeFile(join(folder, 'package.json'), '{"type":"module"}')
    await writeFile(join(folder, 'program.ts'), program)
    const tsx = join(root, 'node_modules/tsx/dist/loader.mjs')
    const { stdout } = await promisify(execFile)('node', ['--import', `file://${tsx}`, 'program.ts'], { cwd: folder })
    return stdout.trim()
  } finally {
    await rm(folder, { recursive: true })
  }
}

it('says how to get an engine where there is none', async () => {
  const program = `
    import { loadEngine } from './base/engine/engine.ts'
    await loadEngine().catch((error) => console.log(error.name + ': ' + error.message))`
  expect(await runWith([], program)).toMatch(/^EngineError: No TensorFlow engine: .* Run `npx tfjs-peft setup`; `npx tfjs-peft doctor` says more/)
})

it("takes the program's own backend where it has one", async () => {
  const program = `
    import '@tensorflow/tfjs-backend-cpu'
    import * as tf from '@tensorflow/tfjs-core'
    import { loadEngine } from './base/engine/engine.ts'
import { tensorflow } from './base/engine/tensorflow.ts'
    await loadEngine()
    console.log(tf.getBackend(), tensorflow())`
  expect(await runWith(['@tensorflow/tfjs-backend-cpu'], program)).toBe('cpu undefined')
})

it('takes the memory of tensors from a pool, which keeps it', async () => {
  const program = `
    import * as tf from '@tensorflow/tfjs-core'
    import { loadEngine } from './base/engine/engine.ts'
    process.env.TF_ENABLE_ONEDNN_OPTS = '0' // which has a pool of its own
    await loadEngine()
    const before = process.memoryUsage.rss()
    tf.fill([25_000_000], 1).dispose()
    console.log(process.memoryUsage.rss() - before)`
  expect(Number(await runWith(['@tensorflow/tfjs-node-gpu'], program))).toBeGreaterThan(90e6)
})
