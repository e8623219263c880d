import type { ModelFiles } from '../model.ts'
import { saveAdapter } from './adapter-file.ts'
import { saveModel } from './save.ts'

/** The folders of the Hub, of HF PEFT and of AdapterHub. */
export const MODEL_FILES: ModelFiles = { saveModel, saveAdapter }
