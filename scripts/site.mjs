// A TypeDoc plugin: guides have the names of their files as addresses, their headings as names and stand in groups, links to notebooks
// lead to their pages, and the reference is divided into the topics of src/index.ts and src/advanced.ts.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import katex from '@vscode/markdown-it-katex'
import { Comment, CommentTag, Converter, JSX, ReflectionKind, RendererEvent } from 'typedoc'
import { NOTEBOOKS, writeNotebookPages } from './notebook-pages.mjs'

/** @param {import('typedoc').Application} app */
export function load(app) {
  writeNotebookPages() // before TypeDoc looks for its documents
  app.on('bootstrapEnd', () => app.options.setValue('markdownItLoader', (parser) => parser.use(katex.default ?? katex, { output: 'mathml', throwOnError: true })))
  app.renderer.hooks.on('head.begin', () => JSX.createElement(JSX.Raw, { html: `<script>${OPEN_GROUPS}</script>` }))
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_, guide) => {
    guide.name = guide.name.replace(/\/README$/, '').replace(/^.*\//, '')
  })
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    const topics = topicsOfNames()
    const modules = project.getReflectionsByKind(ReflectionKind.Module)
    for (const module of modules) module.name = MODULES[module.name]
    for (const exported of modules.flatMap(({ children = [] }) => children)) putInto(topics.get(exported.name) ?? 'Plots', exported)
    for (const module of modules) putInto('Reference', module)
    for (const guide of project.getReflectionsByKind(ReflectionKind.Document)) putInto(groupOf(guide.name), guide)
  })
  app.renderer.on(RendererEvent.BEGIN, ({ project }) => {
    for (const guide of project.getReflectionsByKind(ReflectionKind.Document)) {
      project.files.registerReflectionPath(join(NOTEBOOKS, `${guide.name}.ipynb`).replaceAll('\\', '/'), guide)
      guide.name = /^# (.+)$/m.exec(guide.content.map(({ text }) => text).join(''))?.[1] ?? guide.name
    }
  })
}

const MODULES = { index: 'tfjs-peft', advanced: 'tfjs-peft/advanced', 'plot/plot': 'tfjs-peft/plot' }

/** Where each guide stands in the navigation; what begins with a number is a notebook. */
const GROUPS = {
  'First steps': ['getting-started', 'command-line', 'methods', 'from-hf-peft'],
  Tasks: ['classification', 'similarity', 'entities', 'answers', 'chat', 'texts-from-texts', 'pictures', 'server', 'models', 'where-it-runs'],
  Methods: ['method-lora', 'method-bottleneck', 'method-prefix', 'method-prompt', 'method-selective'],
  'Training and keeping': ['training', 'overfitting', 'tasks', 'domains', 'long-training', 'vocabularies', 'chinese', 'quantised', 'distributed', 'forgetting', 'export'],
  'What to rely on': ['performance', 'parity', 'verified-files', 'mission'],
  'The library itself': ['add-a-method', 'add-a-model', 'CONTRIBUTING'],
}

/** Groups are open until a reader closes them: TypeDoc keeps under these names what is open. */
const OPEN_GROUPS = [...Object.keys(GROUPS), 'Notebooks', 'Reference']
  .map((group) => `try { localStorage.getItem('tsd-accordion-${group}') ?? localStorage.setItem('tsd-accordion-${group}', 'true') } catch {}`).join(';')

function groupOf(guide) {
  const group = /^\d|^notebooks$/.test(guide) ? 'Notebooks' : Object.keys(GROUPS).find((name) => GROUPS[name].includes(guide))
  if (group === undefined) throw new Error(`scripts/site.mjs: expected ${guide} in one of GROUPS`)
  return group
}

function putInto(category, reflection) {
  reflection.comment ??= new Comment()
  reflection.comment.blockTags.push(new CommentTag('@category', [{ kind: 'text', text: category }]))
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
