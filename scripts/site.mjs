// A TypeDoc plugin: guides have the names of their files as addresses and their headings as names, and links to notebooks lead
// to their pages.
import { join } from 'node:path'
import { Converter, ReflectionKind, RendererEvent } from 'typedoc'
import { NOTEBOOKS, writeNotebookPages } from './notebook-pages.mjs'

/** @param {import('typedoc').Application} app */
export function load(app) {
  writeNotebookPages() // before TypeDoc looks for its documents
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_, guide) => {
    guide.name = guide.name.replace(/\/README$/, '').replace(/^.*\//, '')
  })
  app.renderer.on(RendererEvent.BEGIN, ({ project }) => {
    for (const guide of project.getReflectionsByKind(ReflectionKind.Document)) {
      project.files.registerReflectionPath(join(NOTEBOOKS, `${guide.name}.ipynb`).replaceAll('\\', '/'), guide)
      guide.name = /^# (.+)$/m.exec(guide.content.map(({ text }) => text).join(''))?.[1] ?? guide.name
    }
    for (const module of project.getReflectionsByKind(ReflectionKind.Module)) module.name = 'Reference'
  })
}
