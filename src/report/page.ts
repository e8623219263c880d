// The page of a record: HTML with its style and its drawings in it.

import { lineChart, type Point } from '../plot/plot.ts'
import { prefixed } from '../training/shown-cost.ts'
import { measurements } from '../training/watch.ts'
import type { ReportedExample, RunRecord } from './record.ts'

/** Drawings are as wide as a phone's screen; a wider page has several beside each other. */
const [WIDTH, HEIGHT] = [360, 230]

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 1180px; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; }
h2 { font-size: 1.1rem; margin: 1.6rem 0 .6rem; }
.grid { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
.tiles { display: grid; gap: .6rem; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); margin: 1rem 0; }
.tiles div, figure { border: 1px solid #8884; border-radius: .5rem; padding: .5rem .7rem; margin: 0; }
.tiles dt { color: #777; font-size: .85rem; }
.tiles dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
figure svg { width: 100%; height: auto; display: block; }
table { border-collapse: collapse; width: 100%; }
th, td { border-top: 1px solid #8884; padding: .3rem .5rem; text-align: left; vertical-align: top; }
th { font-weight: 600; }
.settings th { width: 11rem; }
.wrong td:first-child { border-left: .25rem solid #d64f4f; }
.right td:first-child { border-left: .25rem solid #2a9d5c; }
.note { color: #777; font-size: .85rem; }
@media (max-width: 600px) { .settings th { width: 45%; } .examples td, .examples th { display: block; border: 0; } .examples tr { display: block; border-top: 1px solid #8884; padding: .3rem 0; } .examples thead { display: none; } .examples td::before { content: attr(data-of); color: #777; font-size: .85rem; display: block; } }
`

/** The whole page. */
export function pageOf(record: RunRecord): string {
  const { title, warnings, settings, examples } = record
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escaped(title)}</h1>
<p>${escaped(stateOf(record))}</p>
${tiles(record)}
${warnings.length === 0 ? '' : `<h2>Warnings</h2>\n<ul>${warnings.map((text) => `<li>${escaped(text)}</li>`).join('\n')}</ul>`}
<h2>Course</h2>
<div class="grid">
${drawings(record).map((svg) => `<figure>${svg}</figure>`).join('\n')}
</div>
${examples === undefined ? '' : exampleTables(examples)}
${Object.keys(settings).length === 0 ? '' : `<h2>Settings</h2>\n<table class="settings">${flat(settings).map(([name, value]) => `<tr><th>${escaped(name)}</th><td>${escaped(value)}</td></tr>`).join('\n')}</table>`}
<p class="note">${energyNote(record)}</p>
</body>
</html>
`
}

/** In a sentence. */
function stateOf({ steps, end }: RunRecord): string {
  const last = steps.at(-1)
  if (end === undefined) return last === undefined ? 'It has not begun.' : `It trains: ${last.step} of ${last.steps} steps are done.`
  const best = end.best === undefined ? '' : ` It has the weights of step ${end.best.step}, the best evaluation (${number(end.best.value)}).`
  if (end.end === 'finished') return `Finished after ${end.step} steps.${best}`
  return `${end.end === 'early' ? 'Ended early' : 'Stopped'} after ${end.step} of ${end.steps} steps: ${end.reason ?? ''}.${best}`
}

function tiles({ steps, evaluations, end }: RunRecord): string {
  const last = steps.at(-1)
  const measured = evaluations.at(-1)
  const cost = end?.cost
  const shown: readonly (readonly [string, string | undefined])[] = [
    ['loss', last === undefined ? undefined : number(last.loss)],
    ...(measured === undefined ? [] : [...measurements(measured)].map(([name, value]) => [`held out: ${name.replaceAll('_', ' ')}`, number(value)] as const)),
    ['time', cost === undefined ? undefined : duration(cost.seconds)],
    ['tokens', cost === undefined ? undefined : prefixed(cost.tokens).trim()],
    ['operations', cost === undefined ? undefined : `${prefixed(cost.operations)}FLOP`],
    ['memory', cost === undefined ? undefined : `${(cost.memory / 2 ** 20).toFixed(0)} MiB`],
    ['energy', cost?.joules === undefined ? undefined : `${prefixed(cost.joules)}J`],
    ['CO2', cost?.gramsOfCo2 === undefined ? undefined : `${number(cost.gramsOfCo2)} g`],
  ]
  return `<dl class="tiles">\n${shown.flatMap(([name, value]) => (value === undefined ? [] : [`<div><dt>${escaped(name)}</dt><dd>${escaped(value)}</dd></div>`])).join('\n')}\n</dl>`
}

function energyNote({ end }: RunRecord): string {
  const source = end?.cost.energySource
  const energy = source === undefined ? 'Energy is not known: the machine does not tell it, and no watts were stated.' : `Energy by ${escaped(source)}.`
  return `Operations are those of products, counted as they were computed. ${end === undefined ? '' : energy} One run's figures: after a resumption, time and cost are those since then.`
}

/** Loss, learning rate, memory, and each measure that is not a loss. */
export function drawings({ steps, evaluations }: Pick<RunRecord, 'steps' | 'evaluations'>): string[] {
  const line = (y: string, points: readonly Point[]): string[] => {
    const finite = points.filter((point) => Number.isFinite(point.y))
    return finite.length === 0 ? [] : [lineChart(finite, { x: 'step', y, width: WIDTH, height: HEIGHT })]
  }
  const ofSteps = (series: string, value: (step: RunRecord['steps'][number]) => number | undefined): Point[] => steps.map((step) => ({ x: step.step, y: value(step) ?? NaN, series }))
  const measures = [...new Set(evaluations.flatMap((event) => [...measurements(event).keys()]))]
  const ofEvaluations = (name: string, series: string): Point[] => evaluations.map((event) => ({ x: event.step, y: measurements(event).get(name) ?? NaN, series }))
  const shares = measures.filter((name) => evaluations.every((event) => { const value = measurements(event).get(name); return value === undefined || (value >= 0 && value <= 1) }) && name !== 'loss')
  const others = measures.filter((name) => !shares.includes(name) && name !== 'loss')
  return [
    ...line('loss', [...ofSteps('training', ({ loss }) => loss), ...ofEvaluations('loss', 'held out')]),
    ...line('held out', shares.flatMap((name) => ofEvaluations(name, name.replaceAll('_', ' ')))),
    ...others.flatMap((name) => line(name.replaceAll('_', ' '), ofEvaluations(name, name))),
    ...line('learning rate', ofSteps('learning rate', ({ learningRate }) => learningRate)),
    ...line('norm of the gradients', ofSteps('norm', ({ gradNorm }) => gradNorm)),
    ...line('penalty of the guards', ofSteps('penalty', ({ penalty }) => penalty)),
    ...line('memory, MiB', ofSteps('memory', ({ memory }) => memory / 2 ** 20)),
  ]
}

/** Those that are wrong first. */
function exampleTables(examples: readonly ReportedExample[]): string {
  const table = (title: string, rows: readonly ReportedExample[], kind: string): string => (rows.length === 0 ? '' : `<h2>${title}</h2>
<table class="examples"><thead><tr><th>input</th><th>expected</th><th>said</th></tr></thead>
${rows.map(({ input, expected, said }) => `<tr class="${kind}">${Object.entries({ input, expected, said }).map(([name, text]) => `<td data-of="${name}">${escaped(text)}</td>`).join('')}</tr>`).join('\n')}
</table>`)
  return table('Held out, and wrong', examples.filter(({ isRight }) => !isRight), 'wrong') + table('Held out, and right', examples.filter(({ isRight }) => isRight), 'right')
}

/** By their paths; lists as they would be written. */
function flat(settings: Readonly<Record<string, unknown>>, before = ''): (readonly [name: string, value: string])[] {
  return Object.entries(settings).flatMap(([name, value]) => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return flat(value as Readonly<Record<string, unknown>>, `${before}${name}.`)
    return value === undefined ? [] : [[before + name, Array.isArray(value) ? value.join(', ') : typeof value === 'string' ? value : JSON.stringify(value)] as const]
  })
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES[character] ?? character)
}

function number(value: number): string {
  return Number.isInteger(value) || !Number.isFinite(value) ? String(value) : Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5 ? String(Number(value.toPrecision(4))) : value.toExponential(2)
}

function duration(seconds: number): string {
  return seconds < 120 ? `${seconds.toFixed(1)} s` : seconds < 7200 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`
}
