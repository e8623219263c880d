import { expect, it } from 'vitest'
import { ofEachProcessor, processorKind, processorTitle } from '../../bench/processors.ts'

const cpuinfo = (vendor: string, flags: string): string => `processor\t: 0\nvendor_id\t: ${vendor}\nmodel name\t: a processor\nflags\t\t: fpu ${flags} fsrm\n`

it('the kind of a processor is its maker and the best that it multiplies with', () => {
  expect(processorKind(cpuinfo('GenuineIntel', 'avx2 avx512f avx512_vnni avx512_bf16 amx_bf16 amx_tile amx_int8'))).toBe('intel-amx')
  expect(processorKind(cpuinfo('GenuineIntel', 'avx2 avx512f avx512_vnni'))).toBe('intel-vnni')
  expect(processorKind(cpuinfo('AuthenticAMD', 'avx2 avx512f avx512_bf16 avx512_vnni'))).toBe('amd-avx512-bf16')
  expect(processorKind(cpuinfo('AuthenticAMD', 'avx2'))).toBe('amd-avx2')
  expect(processorKind('processor : 0\nFeatures : fp asimd\n')).toBe('other')
  expect(processorTitle('amd-avx512-bf16')).toBe('AMD EPYC, pairs of bfloat16, no tiles')
})

it('a page has the text of each kind below its name, and of none where nothing was timed', async () => {
  const page = await ofEachProcessor((kind) => Promise.resolve(['amd-avx2', 'intel-amx'].includes(kind) ? `of ${kind}` : undefined))
  expect(page).toBe('### Intel Xeon, tiles of bfloat16\n\nof intel-amx\n\n### AMD EPYC, AVX2\n\nof amd-avx2')
  expect(await ofEachProcessor(() => Promise.resolve(undefined))).toBe('Not measured yet.')
})
