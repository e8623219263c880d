import { describe, expect, it } from 'vitest'
import { enginePlace, engineWheels } from '../../src/setup/wheels.ts'

describe('the wheels of an engine', () => {
  it('are one for a processor, and TensorFlow with twelve CUDA packages for a GPU', () => {
    expect(engineWheels('cpu', 'linux-x64').map(({ file }) => file)).toEqual(['tensorflow_cpu-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl'])
    expect(engineWheels('cpu', 'darwin-arm64')[0]?.file).toContain('macosx_12_0_arm64')
    const [tensorflow, ...cuda] = engineWheels('cuda', 'linux-x64')
    expect(tensorflow?.file).toContain('tensorflow-2.21.0')
    expect(cuda.map(({ file }) => file.split('_cu12')[0])).toHaveLength(12)
  })

  it('are each pinned by a different hash', () => {
    const all = [...engineWheels('cpu', 'linux-x64'), ...engineWheels('cpu', 'linux-arm64'), ...engineWheels('cuda', 'linux-x64')]
    expect(new Set(all.map(({ sha256 }) => sha256)).size).toBe(all.length)
    for (const { sha256 } of all) expect(sha256).toMatch(/^[0-9a-f]{64}$/)
  })

  it('do not exist for every machine, and the error names those that have one', () => {
    expect(() => engineWheels('cpu', 'win32-x64')).toThrow(
      'No engine can be built for win32-x64 with cpu: expected one of linux-x64 (cpu, cuda), linux-arm64, darwin-arm64 (cpu). ' +
        'Use one of these, on Windows through WSL 2.',
    )
    expect(() => engineWheels('cuda', 'linux-arm64')).toThrow('No engine can be built for linux-arm64 with cuda')
  })
})

describe('of a wheel', () => {
  it.each([
    'tensorflow/libtensorflow_cc.so.2',
    'tensorflow/libtensorflow_framework.2.dylib',
    'tensorflow/include/tensorflow/c/kernels.h',
    'tensorflow/include/xla/tsl/c/tsl_status.h',
    'nvidia/cublas/lib/libcublas.so.12',
    'nvidia/cuda_nvcc/bin/ptxas',
    'nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc',
  ])('the engine keeps %s', (name) => expect(enginePlace(name)).toBe(name))

  it.each([
    'tensorflow/python/lib_pywrap_tensorflow_common.so',
    'tensorflow/include/tensorflow/compiler/jit/flags.h',
    'nvidia/cuda_nvrtc/lib/libnvrtc.alt.so.12',
    'nvidia/cuda_runtime/include/cuda.h',
    'tensorflow_cpu-2.21.0.dist-info/METADATA',
  ])('the engine leaves out %s', (name) => expect(enginePlace(name)).toBeUndefined())
})
