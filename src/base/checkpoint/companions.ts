// What lies beside a model's weights and goes along when the model is saved: the files of the tokenizer or the image processor, and the settings of
// generation.

import { access, copyFile, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { namesIn } from '../files/folder-save.ts'
import { allTokenizerFiles, imageProcessorFiles } from '../hub/download.ts'

const FILES: readonly string[] = [...allTokenizerFiles, ...imageProcessorFiles, 'generation_config.json']
const TEMPLATES = 'additional_chat_templates'

/** Their paths within a model's folder, with slashes. */
export async function companionsOf(folder: string): Promise<string[]> {
  const [names = [], templates = []] = await Promise.all([folder, join(folder, TEMPLATES)].map((each) => namesIn(each).catch(() => [])))
  return [...FILES.filter((file) => names.includes(file)), ...templates.filter((file) => file.endsWith('.jinja')).map((file) => `${TEMPLATES}/${file}`)]
}

/** Those of them that are not there any more. */
export async function missingCompanions(folder: string, companions: readonly string[]): Promise<string[]> {
  const there = await Promise.all(companions.map((file) => access(join(folder, file)).then(() => true, () => false)))
  return companions.filter((_, i) => there[i] === false)
}

/** @throws what the file system says */
export async function copyCompanions(from: string, companions: readonly string[], to: string): Promise<void> {
  for (const file of companions) {
    await mkdir(dirname(join(to, file)), { recursive: true })
    await copyFile(join(from, file), join(to, file))
  }
}
