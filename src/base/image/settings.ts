// What a preprocessor_config.json asks for. Each kind of processor has values of its own for what its file leaves out.

import { shown } from '../../errors.ts'
import { settingsReader, type SectionReader, type Settings } from '../settings.ts'
import type { Edges, ImageSettings } from './prepare.ts'
import type { Kernel, Size } from './resample.ts'

/** By Pillow's numbers. */
const KERNELS: readonly Kernel[] = ['nearest', 'lanczos', 'bilinear', 'bicubic', 'box', 'hamming']

interface Defaults {
  readonly size: Size | Edges
  /** A size that is one number is that of both sides, else of the shorter one. */
  readonly square: boolean
  readonly kernel: Kernel
  readonly crop?: Size
  readonly mean: readonly number[]
  readonly std: readonly number[]
}

const SQUARE: Size = { height: 224, width: 224 }
const HALVES = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }
const ofClip: Defaults = {
  size: { shortest: 224 }, square: false, kernel: 'bicubic', crop: SQUARE,
  mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711],
}

const PROCESSORS: Readonly<Record<string, Defaults>> = {
  ViTImageProcessor: { size: SQUARE, square: true, kernel: 'bilinear', ...HALVES },
  BitImageProcessor: ofClip,
  CLIPImageProcessor: ofClip,
  SiglipImageProcessor: { size: SQUARE, square: false, kernel: 'bicubic', ...HALVES },
}

/** Of a file that does not name its processor the model does. */
const OF_MODELS: Readonly<Record<string, string>> = { vit: 'ViTImageProcessor', dinov2: 'BitImageProcessor', clip: 'CLIPImageProcessor', siglip: 'SiglipImageProcessor' }

const READ = [
  'image_processor_type', 'feature_extractor_type', 'do_resize', 'size', 'default_to_square', 'resample', 'do_center_crop', 'crop_size', 'do_rescale', 'rescale_factor', 'do_normalize',
  'image_mean', 'image_std', 'do_pad',
]
/** What changes nothing: pictures are RGB whatever is said, as those that transformers loads are; the rest says how Python is to be answered. */
const IDLE = [
  'do_convert_rgb', 'pad_size', 'processor_class', 'data_format', 'input_data_format', 'device', 'return_tensors', 'disable_grouping', 'image_seq_length', '_valid_processor_keys',
]

/**
 * @param file as errors name it
 * @param modelType `model_type` of the model's config.json, where there is one
 * @throws CheckpointError with every setting that cannot be used, and every step that is not done
 */
export function imageSettings(json: Settings, file: string, modelType?: unknown): ImageSettings {
  const read = settingsReader(json, { file, what: 'an image processor' })
  const named = read.text('image_processor_type', read.text('feature_extractor_type', OF_MODELS[String(modelType)] ?? ''))
  const name = named.replace(/FeatureExtractor$/, 'ImageProcessor').replace(/(Fast|Pil)$/, '')
  const known = Object.hasOwn(PROCESSORS, name)
  read.check(known, `image_processor_type: expected one of ${Object.keys(PROCESSORS).join(', ')}, got ${named === '' ? 'none' : named}`)
  const { size, square, kernel, crop, mean, std } = PROCESSORS[name] ?? ofClip
  const does = (step: string, fallback: boolean): boolean => !read.isNull(step) && read.flag(step, fallback) // null is no, as in Python
  const numberIs = read.flag('default_to_square', square) ? 'both sides' : 'the shorter'
  const number = read.integer('resample', { min: 0, max: KERNELS.length - 1, fallback: KERNELS.indexOf(kernel), note: "Pillow's numbers of its kernels" })
  const settings: ImageSettings = {
    channels: 3,
    ...(does('do_resize', true) ? { resize: { size: read.has('size') ? sizeOf(read, 'size', numberIs) : size, kernel: KERNELS[number] ?? kernel } } : {}),
    ...(does('do_center_crop', crop !== undefined) ? { crop: cropOf(read, crop) } : {}),
    ...(does('do_rescale', true) ? { rescale: read.number('rescale_factor', { fallback: 1 / 255 }) } : {}),
  }
  read.off('do_pad', [false])
  for (const key of Object.keys(json)) if (!READ.includes(key) && !IDLE.includes(key)) read.off(key, [false])
  const means = read.list('image_mean', 'number', mean)
  const stds = read.list('image_std', 'number', std, { above: 0 })
  const channels = Array.isArray(json['image_mean']) ? means.length : 3
  const each = (values: readonly number[]): readonly number[] => (values.length === 1 ? Array.from({ length: channels }, () => values[0] ?? 0) : values)
  read.check(channels === 1 || channels === 3, `image_mean: expected 1 number for grey or 3 for RGB, got ${channels}`, ['image_mean'])
  read.check(each(stds).length === channels, `image_std: expected ${channels} numbers as in image_mean, got ${stds.length}`, ['image_mean', 'image_std'])
  const normalized = does('do_normalize', true) ? { normalize: { mean: each(means), std: each(stds) } } : {}
  read.done()
  return { ...settings, channels: channels === 1 ? 1 : 3, ...normalized }
}

/** Older files have a number, or height and width as a list. */
function sizeOf(read: SectionReader, key: 'size' | 'crop_size', numberIs: 'both sides' | 'the shorter'): Size | Edges {
  const given = read.raw(key)
  if (typeof given === 'number' || Array.isArray(given)) {
    const sides = read.list(key, 'integer', [], { min: 1 })
    const [first = 1, second = first] = sides
    read.check(sides.length === 1 || sides.length === 2, `${key}: expected one number, or height and width, got ${sides.length}`, [key])
    return sides.length < 2 && numberIs === 'the shorter' ? { shortest: first } : { height: first, width: second }
  }
  const size = read.section(key)
  const names = ['height', 'width', 'shortest_edge', 'longest_edge'].filter((name) => size.has(name)).join(', ')
  const edges = ['shortest_edge', 'shortest_edge, longest_edge']
  const others = Object.keys(Object(given) as object).filter((name) => size.has(name) && !names.includes(name))
  const fits = others.length === 0 && (names === 'height, width' || (key === 'size' && edges.includes(names)))
  read.check(fits, `${key}: expected height and width${key === 'size' ? ', or shortest_edge with or without longest_edge' : ''}, got ${shown(given)}`, [key])
  if (!fits) return SQUARE
  const side = (name: string): number => size.integer(name, { min: 1 })
  if (names === 'height, width') return { height: side('height'), width: side('width') }
  return { shortest: side('shortest_edge'), ...(size.has('longest_edge') ? { longest: side('longest_edge') } : {}) }
}

function cropOf(read: SectionReader, fallback: Size | undefined): Size {
  if (fallback !== undefined && !read.has('crop_size')) return fallback
  const size = sizeOf(read, 'crop_size', 'both sides')
  return 'height' in size ? size : SQUARE // edges have a problem
}
