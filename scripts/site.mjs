// A TypeDoc plugin: guides have the names of their files as addresses and their headings as names, links to notebooks lead to
// their pages, and the reference is divided into the topics of src/index.ts and src/advanced.ts.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Comment, CommentTag, Converter, ReflectionKind, RendererEvent } from 'typedoc'
import { NOTEBOOKS, writeNotebookPages } from './notebook-pages.mjs'

/** @param {import('typedoc').Application} app */
export function load(app) {
  writeNotebookPages() // before TypeDoc looks for its documents
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_, guide) => {
    guide.name = guide.name.replace(/\/README$/, '').replace(/^.*\//, '')
  })
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    const topics = topicsOfNames()
    for (const module of project.getReflectionsByKind(ReflectionKind.Module)) {
      for (const exported of module.children ?? []) {
        exported.comment ??= new Comment()
        exported.comment.blockTags.push(new CommentTag('@category', [{ kind: 'text', text: topics.get(exported.name) ?? '' }]))
      }
    }
  })
  app.renderer.on(RendererEvent.BEGIN, ({ project }) => {
    for (const guide of project.getReflectionsByKind(ReflectionKind.Document)) {
      project.files.registerReflectionPath(join(NOTEBOOKS, `${guide.name}.ipynb`).replaceAll('\\', '/'), guide)
      guide.name = /^# (.+)$/m.exec(guide.content.map(({ text }) => text).join(''))?.[1] ?? guide.name
    }
    for (const module of project.getReflectionsByKind(ReflectionKind.Module)) module.name = module.name === 'index' ? 'Reference' : 'Reference, advanced'
  })
}

/** Each export under the comment that stands above it. */
function topicsOfNames() {
  const topics = new Map()
  let topic
  const lines = ['index.ts', 'advanced.ts'].flatMap((file) => readFileSync(join(NOTEBOOKS, '..', '..', 'src', file), 'utf8').split('\n'))
  for (const line of lines) {
    topic = /^\/\/ (.*)$/.exec(line)?.[1] ?? topic
    const names = /\{ (.*) \}/.exec(line)?.[1].split(', ') ?? []
    for (const name of names) topics.set(name.replace(/^type /, '').replace(/^.* as /, ''), topic)
  }
  return topics
}
