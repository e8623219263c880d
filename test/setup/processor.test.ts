import { describe, expect, it } from 'vitest'
import { linuxFlags, macFlags, processor } from '../../src/setup/processor.ts'

describe("a processor's features", () => {
  it('are read from the first processor of an x86 or Arm cpuinfo', () => {
    expect([...linuxFlags('processor\t: 0\nflags\t\t: fpu avx avx2\nbugs\t\t: x\n\nprocessor\t: 1\nflags\t\t: fpu\n')]).toEqual(['fpu', 'avx', 'avx2'])
    expect([...linuxFlags('processor\t: 0\nFeatures\t: fp asimd bf16\n')]).toEqual(['fp', 'asimd', 'bf16'])
    expect([...linuxFlags('')]).toEqual([])
  })

  it("have Linux's names when sysctl gives them", () => {
    expect([...macFlags('hw.optional.arm.FEAT_BF16: 1\nhw.optional.arm.FEAT_SME: 0\nhw.optional.AdvSIMD: 1\n')]).toEqual(['bf16', 'asimd'])
  })

  it('are told apart into those it has and those it lacks', async () => {
    const { model, has, lacks } = await processor()
    expect(model).not.toBe('')
    expect(has.filter((name) => lacks.includes(name))).toEqual([])
  })
})
