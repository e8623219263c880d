import { join } from 'node:path'
import { CheckpointError, InputError, shown } from '../../errors.ts'
import { writeAtomic } from '../files/atomic.ts'
import { replaceFiles } from '../files/folder-save.ts'
import { readObjectIfThere } from '../files/json-file.ts'
import { imageProcessorFiles, resolveSource } from '../hub/download.ts'
import { HUB_OPTIONS, type HubOptions } from '../hub/options.ts'
import { checkNames, type Names } from '../options.ts'
import type { ConfigJson } from '../architecture.ts'
import { inThread, type ImageAnswer } from './image-threads.ts'
import { sourceOf, type Picture } from './picture.ts'
import type { ImageSettings, PreparedPicture } from './prepare.ts'
import { imageSettings } from './settings.ts'

/** Pictures as a model takes them: batch × channels × height × width. */
export interface EncodedPictures {
  readonly pixels: Float32Array
  readonly batch: number
  readonly channels: number
  readonly height: number
  readonly width: number
}

/** Pictures to the numbers that a model takes, those of transformers' image processors. */
export interface ImageProcessor {
  /**
   * Reads, decodes and resizes pictures, in threads of their own.
   *
   * @param nameOf what errors call a picture @default its path, or its number
   * @throws InputError with all pictures that cannot be used: empty, broken, too large, or of sizes that differ in the end
   * @example
   * const { pixels, batch, channels, height, width } = await processor.encode(['cat.jpg', 'dog.png'])
   */
  encode(pictures: readonly Picture[], nameOf?: (index: number) => string): Promise<EncodedPictures>
  /**
   * Writes preprocessor_config.json into a folder, as `loadImageProcessor` and `AutoImageProcessor.from_pretrained` read it.
   *
   * @throws CheckpointError when it cannot be written
   * @example await processor.save('my-vit')
   */
  save(folder: string): Promise<void>
  /** As preprocessor_config.json has them. */
  readonly settings: ConfigJson
}

/** What an image processor takes. */
export interface ImageProcessorOptions {
  /** Most pixels of a picture, width × height, before and after it is resized. @default 89478485, from which on Pillow warns */
  readonly maxPixels?: number
}

/** How an image processor is loaded. */
export interface LoadImageProcessorOptions extends ImageProcessorOptions, HubOptions {}

const NAMES: Names<ImageProcessorOptions> = { maxPixels: true }
const OWN = 'preprocessor_config.json'
/** Of a model with a tokenizer too, where it wins. */
const SHARED = 'processor_config.json'

/**
 * Loads what stands before a model of pictures: the steps of its preprocessor_config.json, as transformers' Pillow processors do them.
 * A step that is not done here is refused by name.
 *
 * @param source a folder or a Hub id
 * @throws CheckpointError when there is no such file or it cannot be used; HubError, InputError as `resolveSource`
 * @example
 * const processor = await loadImageProcessor('my-vit')
 * const { pixels } = await processor.encode(['cat.jpg'])
 */
export async function loadImageProcessor(source: string, options: LoadImageProcessorOptions = {}): Promise<ImageProcessor> {
  checkNames('loadImageProcessor', options, { ...HUB_OPTIONS, ...NAMES })
  const { maxPixels, ...hub } = options
  const folder = await resolveSource(source, { ...hub, allow: [...imageProcessorFiles, 'config.json'] })
  const settings = (name: string): ConfigJson | undefined => readObjectIfThere(join(folder, name), 'settings of an image processor')
  const shared = settings(SHARED)?.['image_processor'] as ConfigJson | undefined
  const json = shared ?? settings(OWN)
  if (json === undefined) throw new CheckpointError(`${source} has no preprocessor_config.json. Give one by createImageProcessor({ image_processor_type: 'ViTImageProcessor', size: 224 }), and save it there.`)
  const file = join(folder, shared === undefined ? OWN : SHARED)
  const { model_type: modelType } = readObjectIfThere(join(folder, 'config.json'), "a model's configuration") ?? {}
  return processorOf(json, file, modelType, maxPixels)
}

/**
 * What stands before a model of pictures that has no file for it, as one that is trained from nothing.
 *
 * @param settings as in a preprocessor_config.json of the Hub; what is left out is as in its kind, `image_processor_type`
 * @throws CheckpointError with every setting that cannot be used; InputError when an option cannot
 * @example
 * const small = createImageProcessor({ image_processor_type: 'ViTImageProcessor', size: { height: 32, width: 32 } })
 * const { pixels } = await small.encode([{ data: new Uint8Array(64 * 64 * 3), width: 64, height: 64, channels: 3 }])
 */
export function createImageProcessor(settings: ConfigJson, options: ImageProcessorOptions = {}): ImageProcessor {
  checkNames('createImageProcessor', options, NAMES)
  return processorOf(settings, 'The settings', undefined, options.maxPixels)
}

/** Pillow's: a quarter of a GiB at three bytes each. */
const MAX_PIXELS = 89_478_485

function processorOf(json: ConfigJson, file: string, modelType: unknown, maxPixels = MAX_PIXELS): ImageProcessor {
  if (!Number.isSafeInteger(maxPixels) || maxPixels < 1) throw new InputError(`maxPixels: expected an integer of at least 1, got ${shown(maxPixels)}.`)
  const settings = imageSettings(json, file, modelType)
  return {
    settings: json,
    async encode(pictures, nameOf = (i) => (typeof pictures[i] === 'string' ? pictures[i] : `picture ${i}`)) {
      if (!Array.isArray(pictures) || pictures.length === 0) throw new InputError(`encode: expected a list of pictures, got ${Array.isArray(pictures) ? 'an empty one' : typeof pictures}.`)
      const answers = await Promise.all(pictures.map(async (picture: Picture) => await answerTo(picture, settings, maxPixels)))
      const problems = answers.flatMap((answer, i) => ('problem' in answer ? [`${nameOf(i)} ${answer.problem}`] : []))
      if (problems.length > 0) throw new InputError('Pictures cannot be used:', problems)
      const each = answers as PreparedPicture[] // none has a problem
      const [{ height, width } = { height: 0, width: 0 }] = each
      const odd = each.flatMap((one, i) => (one.height === height && one.width === width ? [] : [`${nameOf(i)} is ${one.height} × ${one.width} in the end, and ${nameOf(0)} ${height} × ${width}`]))
      if (odd.length > 0) throw new InputError('Expected pictures of one size; let size give height and width, or crop (do_center_crop):', odd)
      const { channels } = settings
      const pixels = new Float32Array(each.length * channels * height * width)
      each.forEach((one, i) => { pixels.set(one.pixels, i * one.pixels.length) })
      return { pixels, batch: each.length, channels, height, width }
    },
    save: async (folder) => {
      await replaceFiles(folder, async (into) => {
        await writeAtomic(join(into, OWN), `${JSON.stringify(json, null, 2)}\n`)
        return []
      })
    },
  }
}

async function answerTo(picture: Picture, settings: ImageSettings, maxPixels: number): Promise<ImageAnswer> {
  try {
    return await inThread({ source: sourceOf(picture), settings, maxPixels })
  } catch (error) {
    if (error instanceof InputError) return { problem: `is none: ${error.message}` }
    throw error
  }
}
