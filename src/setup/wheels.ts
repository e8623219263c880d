import { EngineError } from '../errors.ts'

/** The TensorFlow release the engine is built from when the official download cannot be used. */
export const TENSORFLOW = '2.21.0'

/** What the engine computes on. */
export type Device = 'cpu' | 'cuda'

/** A file of the Python package index, pinned by content. */
export interface Wheel {
  /** `<package>-<version>-<python>-<abi>-<platform>.whl`, which says all that pip has to be asked for. */
  readonly file: string
  readonly sha256: string
}

const TENSORFLOW_CPU: Readonly<Record<string, Wheel>> = {
  'linux-x64': {
    file: 'tensorflow_cpu-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl',
    sha256: '2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c',
  },
  'linux-arm64': {
    file: 'tensorflow-2.21.0-cp311-cp311-manylinux_2_27_aarch64.whl',
    sha256: '4b24aca16d527a3cf1c37f720c04c484c3d20f4d0fdfa98632ac8b9f3be6eb5c',
  },
  'darwin-arm64': {
    file: 'tensorflow-2.21.0-cp311-cp311-macosx_12_0_arm64.whl',
    sha256: '51f46f4806139d01fc7920cc72a4c75876f80649bf40ff083ab6212ceb43ca88',
  },
}

/** TensorFlow for CUDA 12 with the packages of its `and-cuda` extra, at the newest releases that extra allows. */
const TENSORFLOW_CUDA: readonly Wheel[] = [
  {
    file: 'tensorflow-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl',
    sha256: '9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124',
  },
  {
    file: 'nvidia_cublas_cu12-12.9.3.13-py3-none-manylinux_2_27_x86_64.whl',
    sha256: 'd7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72',
  },
  {
    file: 'nvidia_cuda_cupti_cu12-12.9.79-py3-none-manylinux_2_25_x86_64.whl',
    sha256: '096bcf334f13e1984ba36685ad4c1d6347db214de03dbb6eebb237b41d9d934f',
  },
  {
    file: 'nvidia_cuda_nvcc_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl',
    sha256: '5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0',
  },
  {
    file: 'nvidia_cuda_nvrtc_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl',
    sha256: '210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4',
  },
  {
    file: 'nvidia_cuda_runtime_cu12-12.9.79-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl',
    sha256: '25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3',
  },
  {
    file: 'nvidia_cudnn_cu12-9.28.0.42-py3-none-manylinux_2_27_x86_64.whl',
    sha256: '9ff58b7f36dacd0a93e89f8f2957b52466889217963701daa15e577317cfa375',
  },
  {
    file: 'nvidia_cufft_cu12-11.4.1.4-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl',
    sha256: 'c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28',
  },
  {
    file: 'nvidia_curand_cu12-10.3.10.19-py3-none-manylinux_2_27_x86_64.whl',
    sha256: '49b274db4780d421bd2ccd362e1415c13887c53c214f0d4b761752b8f9f6aa1e',
  },
  {
    file: 'nvidia_cusolver_cu12-11.7.5.82-py3-none-manylinux_2_27_x86_64.whl',
    sha256: '15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88',
  },
  {
    file: 'nvidia_cusparse_cu12-12.5.10.65-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl',
    sha256: '73060ce019ac064a057267c585bf1fd5a353734151f87472ff02b2c5c9984e78',
  },
  {
    file: 'nvidia_nccl_cu12-2.32.3-py3-none-manylinux_2_27_x86_64.whl',
    sha256: 'bb94b2348e4861d5e8aa00b36c3d12d9bdf9c6369b82cbb723de0b582280a21c',
  },
  {
    file: 'nvidia_nvjitlink_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl',
    sha256: 'e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9',
  },
]

/**
 * The wheels an engine is built from.
 *
 * @throws EngineError when there are none for the platform and device
 */
export function engineWheels(device: Device, platform = `${process.platform}-${process.arch}`): readonly Wheel[] {
  if (device === 'cuda' && platform === 'linux-x64') return TENSORFLOW_CUDA
  const wheel = device === 'cpu' ? TENSORFLOW_CPU[platform] : undefined
  if (wheel) return [wheel]
  throw new EngineError(
    `No engine can be built for ${platform} with ${device}: expected one of linux-x64 (cpu, cuda), ` +
      `${Object.keys(TENSORFLOW_CPU).slice(1).join(', ')} (cpu). Use one of these, on Windows through WSL 2.`,
  )
}

/**
 * Where a file of an engine's wheel goes in the engine's folder: the two libraries, the headers that native kernels
 * are compiled against, and the CUDA libraries; undefined for all that only Python uses.
 */
export function enginePlace(name: string): string | undefined {
  if (/^tensorflow\/libtensorflow_(cc|framework)\.(so\.2|2\.dylib)$/.test(name)) return name
  if (/^tensorflow\/include\/(tensorflow\/c|tensorflow\/core\/platform|tsl|xla\/tsl)\//.test(name)) return name
  if (/^nvidia\/\w+\/lib\/[^/]+\.so[.\d]*$/.test(name) && !name.includes('.alt.')) return name
  if (/^nvidia\/cuda_nvcc\/(bin\/ptxas|nvvm\/libdevice\/.*)$/.test(name)) return name
  return undefined
}
