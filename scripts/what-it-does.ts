// The picture of the README: what comes in, the frozen base with what can be plugged into it, what comes out.

const [GREY, INK] = ['#7a7a7a', '#111']
const FILLS = { frozen: '#d9d9d9', trained: '#f6b26b', guard: '#a9cbe8', file: 'none' } as const

type Kind = keyof typeof FILLS

/** As SVG: text outside of boxes has a middle brightness and the ground is transparent, so that it can be read on white and on black. */
export function whatItDoes(): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 430" width="860" height="430" font-family="sans-serif" font-size="12.5" fill="${GREY}" text-anchor="middle" role="img">`,
    '<title>A frozen base, modules that are plugged into it and trained, and the files on both sides</title>',
    `<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="${GREY}"/></marker></defs>`,
    ...column(10, 'comes in', [
      ['a model', 'Hugging Face Hub, safetensors'], ['an adapter', 'HF PEFT, AdapterHub, mlx-lm'],
      ['rows', 'CSV, JSON, Parquet, the Hub'], ['pictures', 'JPEG, PNG, WebP'],
    ], 'M210 Y H262'),
    ...base(),
    ...column(650, 'comes out', [
      ['an adapter', 'HF PEFT, AdapterHub, mlx-lm'], ['a merged model', 'transformers'],
      ['ONNX, GGUF', 'a page, onnxruntime, llama.cpp'], ['answers', 'many adapters, one server'],
    ], 'M598 Y H648'),
    ...legend(),
    '</svg>', '',
  ].join('\n')
}

/** Boxes below each other, and beside each an arrow. */
function column(x: number, title: string, boxes: readonly (readonly [what: string, which: string])[], way: string): string[] {
  return [
    `<text x="${x + 100}" y="24" font-weight="bold">${title}</text>`,
    ...boxes.flatMap(([what, which], i) => {
      const y = 50 + 78 * i
      return [
        box(x, y, 200, 52, 'file'), `<text x="${x + 100}" y="${y + 22}" font-weight="bold">${what}</text>`, `<text x="${x + 100}" y="${y + 40}" font-size="11.5">${which}</text>`,
        arrow(way.replace('Y', String(y + 26))),
      ]
    }),
  ]
}

/** A layer as most models have it, from the bottom up, and the places of the methods. */
function base(): string[] {
  return [
    '<text x="430" y="24" font-weight="bold">a frozen base, and what is trained beside it</text>',
    `<rect x="264" y="36" width="332" height="322" rx="8" fill="none" stroke="${GREY}" stroke-dasharray="5 4"/>`,
    ...named(290, 48, 130, 34, 'trained', 'head of the task'),
    ...named(290, 106, 130, 44, 'frozen', 'feed-forward'),
    ...named(290, 174, 130, 44, 'frozen', 'attention'),
    ...named(290, 242, 130, 34, 'frozen', 'norms, biases'),
    ...named(290, 300, 130, 34, 'frozen', 'embeddings'),
    ...[[300, 278], [242, 220], [174, 152], [106, 84]].map(([from, to]) => arrow(`M355 ${from ?? 0}V${to ?? 0}`)),
    ...named(448, 51, 136, 28, 'trained', 'head only'),
    ...named(448, 102, 136, 28, 'trained', 'bottleneck adapter'),
    ...named(448, 148, 136, 28, 'trained', 'LoRA, DoRA, (IA)³'),
    ...named(448, 194, 136, 28, 'trained', 'prefix'),
    ...named(448, 245, 136, 28, 'trained', 'BitFit, LayerNorm'),
    ...named(448, 285, 136, 28, 'trained', 'prompt, P-tuning'),
    ...named(448, 321, 136, 28, 'trained', 'new tokens'),
    ...['M448 65H420', 'M448 116H420', 'M448 162H434M420 140H434V184H420', 'M448 208H420', 'M448 259H420', 'M448 299H434V335H448M434 317H420']
      .map((way) => `<path d="${way}" stroke="${GREY}" stroke-width="1.4" fill="none"/>`),
    ...named(264, 376, 332, 30, 'guard', 'guards: EWC, L2-SP, SI, LwF, replay; interpolation'),
    arrow('M516 376V360'),
  ]
}

function legend(): string[] {
  return [
    ...named(10, 376, 90, 30, 'frozen', 'frozen'), ...named(110, 376, 90, 30, 'trained', 'trained'),
    '<text x="750" y="388">the base is held in float32,</text>', '<text x="750" y="404">bfloat16, int8 or NF4</text>',
  ]
}

function named(x: number, y: number, width: number, height: number, kind: Kind, name: string): string[] {
  return [box(x, y, width, height, kind), `<text x="${x + width / 2}" y="${y + height / 2 + 4.5}" fill="${INK}">${name}</text>`]
}

function box(x: number, y: number, width: number, height: number, kind: Kind): string {
  return `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="5" fill="${FILLS[kind]}" stroke="${GREY}" stroke-width="1.4"/>`
}

function arrow(way: string): string {
  return `<path d="${way}" stroke="${GREY}" stroke-width="1.4" fill="none" marker-end="url(#end)"/>`
}
