import { mkdirSync, writeFileSync } from 'node:fs'
import * as tf from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { attach } from '../../src/base/adapter/attach.ts'
import { detach } from '../../src/base/adapter/attached.ts'
import { loadEngine } from '../../src/base/engine/engine.ts'
import { nativeInstructionSets, useNative } from '../../src/base/engine/native.ts'
import { countOperations } from '../../src/base/engine/operations.ts'
import type { Model } from '../../src/base/model.ts'
import { lora } from '../../src/lora/lora.ts'
import type { Cost } from '../../src/training/cost.ts'
import type { StepEvent } from '../../src/training/events.ts'
import { startEnergy } from '../../src/training/energy.ts'
import { Trainer } from '../../src/training/trainer.ts'
import { BATCH, closeModel, forward, tinyModel } from '../manage/models.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const temporary = temporaryFolder()
let model: Model
beforeAll(async () => {
  await loadEngine()
  model = await tinyModel()
})
afterAll(() => { closeModel(model) })

function operationsOf(work: () => void): number {
  const products = countOperations()
  tf.tidy(() => { work() })
  products.stop()
  return products.count
}

/** The sum over the layers: 2 N in out of each product, 2 · 2 T D of each token's attention; the composed form of attention computes with the padding. */
function forwardByHand(isPadded = false): number {
  const linears = model.parts.sites.filter((site) => site.kind === 'linear')
  const { batch: B, length: T } = BATCH
  const own = Array.from({ length: B }, (_, row) => BATCH.ids.slice(row * T, (row + 1) * T).filter((id) => id !== 0).length)
  const tokens = own.reduce((sum, length) => sum + length, 0)
  const lengths = own.map((length) => (isPadded ? T : length))
  const rows = (name: string): number => (/classifier|pooler/.test(name) ? B : tokens)
  const attentions = model.parts.sites.filter((site) => site.kind === 'attention')
  const width = linears.find(({ name }) => name.endsWith('query'))?.outSize ?? NaN
  return linears.reduce((sum, { name, inSize, outSize }) => sum + 2 * rows(name) * inSize * outSize, 0) + attentions.length * 2 * 2 * width * lengths.reduce((sum, length) => sum + length ** 2, 0)
}

describe('floating-point operations', () => {
  it('of a product of (n, k) and (k, m) are 2 n k m, whichever side is turned, in batches too', () => {
    const [a, b, c] = [tf.ones([3, 5]), tf.ones([5, 7]), tf.ones([2, 3, 5])]
    expect(operationsOf(() => void tf.matMul(a, b))).toBe(2 * 3 * 5 * 7)
    expect(operationsOf(() => void tf.matMul(a, a, true))).toBe(2 * 5 * 3 * 5)
    expect(operationsOf(() => void tf.matMul(a, a, false, true))).toBe(2 * 3 * 5 * 3)
    expect(operationsOf(() => void tf.matMul(c, c, true))).toBe(2 * 2 * 5 * 3 * 5)
    tf.dispose([a, b, c])
  })

  it.each([['the fused kernels', true], ['the composed forms', false]])('of a forward pass by %s are those of its products', (_, isFused) => {
    useNative(isFused ? nativeInstructionSets()[0] : undefined)
    try {
      expect(operationsOf(() => void forward(model))).toBe(forwardByHand(!isFused))
    } finally {
      useNative(nativeInstructionSets()[0])
    }
  })

  it('of a low-rank update are two products, and none are counted when nobody asks', () => {
    const before = forwardByHand()
    const adapter = attach(model, lora({ rank: 4, targets: ['query'] }), { train: [] })
    const tokens = BATCH.ids.filter((id) => id !== 0).length
    const own = adapter.sites.flatMap((site) => (site.kind === 'linear' ? [2 * tokens * 4 * (site.inSize + site.outSize)] : [])).reduce((a, b) => a + b, 0)
    expect(operationsOf(() => void forward(model))).toBe(before + own)
    const products = countOperations()
    products.stop()
    forward(model)
    expect(products.count).toBe(0)
    detach(adapter)
  })
})

describe('a training', () => {
  const train = { ids: Array.from({ length: 8 }, (_, i) => [1 + i, 2, 3, 4]), labels: [0, 1, 2, 0, 1, 2, 0, 1] }

  async function cost(options: Partial<ConstructorParameters<typeof Trainer>[0]> = {}): Promise<readonly [Cost, readonly StepEvent[]]> {
    const adapter = attach(model, lora({ rank: 2 }))
    const steps: StepEvent[] = []
    const { cost: found } = await new Trainer({ model, train, batchSize: 4, ...options }).fit({ onEvent: (event) => { if (event.type === 'step') steps.push(event) } })
    detach(adapter)
    return [found, steps]
  }

  it('tells at its end what it has cost: its steps, the row that its memory is measured on before, and the evaluations', async () => {
    const [alone, steps] = await cost()
    expect(alone.tokens).toBe(32)
    const ofSteps = steps.reduce((sum, { operations }) => sum + operations, 0)
    expect(alone.operations).toBeGreaterThan(ofSteps)
    expect(alone.operations).toBeLessThan(ofSteps + (steps[0]?.operations ?? 0))
    expect(steps[0]?.operations).toBe(steps[1]?.operations)
    expect(steps[0]?.operations).toBeGreaterThan(0)
    expect(steps[0]?.memory).toBeGreaterThan(1e6)
    expect(alone.memory).toBeGreaterThanOrEqual(steps[1]?.memory ?? NaN)
    expect(alone.seconds).toBeGreaterThan(0)
    const [measured] = await cost({ evaluate: train })
    expect(measured.operations).toBeGreaterThan(alone.operations)
  })

  it('counts layers that run again', async () => {
    const [plain, again] = [await cost({ maxSteps: 1 }), await cost({ maxSteps: 1, gradientCheckpointing: true })]
    expect(again[0].operations).toBeGreaterThan(plain[0].operations)
  })

  it('reckons energy and CO2 by what was stated, where the machine does not tell', async () => {
    const [{ seconds, joules = NaN, energySource, gramsOfCo2 = NaN }] = await cost({ power: { watts: 50, gramsPerKilowattHour: 360 } })
    if (energySource === 'stated watts') expect(joules / seconds).toBeCloseTo(50, 10)
    expect(gramsOfCo2).toBeCloseTo(joules / 3.6e6 * 360, 10)
  })

  it('refuses watts that are none', () => {
    const adapter = attach(model, lora())
    expect(() => new Trainer({ model, train, power: { watts: -1, gramsPerKilowattHour: NaN } })).toThrow(/power\.watts: expected a number of at least 0, got -1\n.*power\.gramsPerKilowattHour: expected a number of at least 0, got NaN/)
    detach(adapter)
  })
})

describe('energy', () => {
  /** As Linux shows it. */
  function powercap(name: string, zones: Readonly<Record<string, readonly [name: string, microjoules: number]>>): (zone: string, microjoules: number) => void {
    const write = (zone: string, microjoules: number): void => { writeFileSync(temporary(name, zone, 'energy_uj'), `${microjoules}\n`) }
    for (const [zone, [title, microjoules]] of Object.entries(zones)) {
      mkdirSync(temporary(name, zone), { recursive: true })
      writeFileSync(temporary(name, zone, 'name'), `${title}\n`)
      writeFileSync(temporary(name, zone, 'max_energy_range_uj'), '1000000000\n')
      write(zone, microjoules)
    }
    return write
  }

  it('is that of the packages and their memory, also where a counter starts again, and of no part twice', () => {
    const write = powercap('rapl', { 'intel-rapl:0': ['package-0', 5e6], 'intel-rapl:0:0': ['core', 0], 'intel-rapl:0:1': ['dram', 1e6], 'intel-rapl:1': ['package-1', 999e6], 'intel-rapl:2': ['psys', 0] })
    const { read, stop } = startEnergy(70, temporary('rapl'))
    write('intel-rapl:0', 8e6)
    write('intel-rapl:0:0', 2e6)
    write('intel-rapl:0:1', 1.5e6)
    write('intel-rapl:1', 2e6)
    write('intel-rapl:2', 9e6)
    expect(read(1)).toEqual({ joules: 3 + 0.5 + 3, source: 'RAPL' })
    stop()
  })

  it('is the stated watts over the time where there is no counter, and nothing where none are stated', () => {
    expect(startEnergy(70, temporary('none')).read(3)).toEqual({ joules: 210, source: 'stated watts' })
    expect(startEnergy(undefined, temporary('none')).read(3)).toBeUndefined()
  })
})
