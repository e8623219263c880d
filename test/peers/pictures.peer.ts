// Real photographs and drawings, made smaller and larger, against transformers' Pillow image processors: the same pixels to the bit.

import { execFile } from 'node:child_process'
import { mkdir, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, inject, it } from 'vitest'
import { drawingsOf } from '../../bench/drawings.ts'
import { createImageProcessor } from '../../src/base/image/processor.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { peerScript } from './python.ts'

interface Case {
  readonly picture: string
  readonly settings: Readonly<Record<string, unknown>>
  readonly shape: readonly number[]
  readonly std: readonly number[]
}

const temporary = temporaryFolder()
const cache = join(process.env['TFJS_PEFT_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tfjs-peft'), 'photographs')
const DRAWINGS = 24

it('photographs and drawings have the pixels of transformers, by every kernel and processor', async () => {
  const all = await drawingsOf('google')
  const drawings = Array.from({ length: DRAWINGS }, (_, i) => all[Math.floor((i * all.length) / DRAWINGS)]?.image ?? '')
  const out = temporary('pixels')
  await mkdir(out)
  await promisify(execFile)(inject('python'), [peerScript('pictures.py'), '--cache', cache, '--out', out, ...drawings])
  const cases = JSON.parse(await readFile(join(out, 'cases.json'), 'utf8')) as readonly Case[]
  const greatest = new Map<string, number>()
  for (const [i, { picture, settings, shape, std }] of cases.entries()) {
    const { pixels, channels, height, width } = await createImageProcessor(settings).encode([picture])
    expect([channels, height, width]).toEqual(shape)
    const theirs = new Float32Array(new Uint8Array(await readFile(join(out, `${i}.bin`))).buffer)
    let most = 0
    for (let at = 0; at < theirs.length; at++) most = Math.max(most, Math.abs((pixels[at] ?? NaN) - (theirs[at] ?? NaN)) * (std[Math.floor(at / (height * width))] ?? NaN) * 255)
    const kind = picture.endsWith('.jpg') ? basename(picture) : 'drawings'
    greatest.set(kind, Math.max(greatest.get(kind) ?? 0, most))
    expect(most, `${picture} by ${JSON.stringify(settings)}`).toBe(0)
  }
  process.stdout.write(`${cases.length} pictures; greatest difference of 255: ${[...greatest].map(([kind, most]) => `${kind} ${most.toFixed(2)}`).join(', ')}\n`)
  expect(cases.length).toBe((DRAWINGS + 2) * 17)
})
