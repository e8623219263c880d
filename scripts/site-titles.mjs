// A TypeDoc plugin: guides are listed under their headings instead of the names of their files, which stay their addresses.
import { ReflectionKind, RendererEvent } from 'typedoc'

/** @param {import('typedoc').Application} app */
export function load(app) {
  app.renderer.on(RendererEvent.BEGIN, ({ project }) => {
    for (const guide of project.getReflectionsByKind(ReflectionKind.Document)) {
      const text = guide.content.map((part) => part.text).join('')
      guide.name = /^# (.+)$/m.exec(text)?.[1] ?? guide.name
    }
  })
}
