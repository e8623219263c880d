// The site that `npm run docs` writes, in a browser.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium as playwright, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { chromium } from './chromium.ts'
import { serve, type Site } from './serve.ts'

const WIDE = { width: 1280, height: 900 }
const PHONE = { width: 390, height: 844 }

const folder = fileURLToPath(new URL('../../out/site', import.meta.url))
let site: Site
let browser: Browser
const trouble: string[] = []

beforeAll(async () => {
  site = await serve(folder)
  browser = await playwright.launch({ executablePath: chromium(), args: ['--no-sandbox'] }) // root has no sandbox
})
afterAll(async () => {
  await browser.close()
  site.close()
})

/** A page that notes what goes wrong in it. */
async function open(path: string, viewport = WIDE): Promise<Page> {
  const page = await browser.newPage({ viewport })
  page.on('console', (message) => message.type() === 'error' && trouble.push(`${path}: ${message.text()}`))
  page.on('pageerror', (error) => trouble.push(`${path}: ${error.message}`))
  page.on('requestfailed', (request) => trouble.push(`${path}: ${request.url()} failed`))
  await page.goto(new URL(path, site.url).href, { waitUntil: 'load' })
  return page
}

/** Addresses within the site that a page links to. */
async function linksOf(page: Page): Promise<string[]> {
  const links = await page.$$eval('a[href]', (anchors) => anchors.map((anchor) => String(Reflect.get(anchor, 'href'))))
  return [...new Set(links)].filter((link) => link.startsWith(site.url))
}

/** Guides, by the links of the first page's navigation. */
async function guides(): Promise<string[]> {
  const page = await open('')
  await page.waitForSelector('#tsd-nav-container a')
  const links = await linksOf(page)
  await page.close()
  return [...new Set(links.map((link) => link.split('#')[0] ?? link))].filter((link) => link.includes('/documents/'))
}

describe('the site', () => {
  it('has a page for each guide', async () => {
    const names = (await guides()).map((link) => link.replace(/.*\/documents\/(.*)\.html/, '$1'))
    expect(names).toEqual(expect.arrayContaining([
      'getting-started', 'methods', 'method-lora', 'method-bottleneck', 'method-prefix', 'method-prompt', 'method-selective',
      'command-line', 'training', 'long-training', 'vocabularies', 'forgetting', 'classification', 'similarity', 'entities', 'answers', 'chat', 'texts-from-texts', 'pictures', 'server', 'models', 'where-it-runs', 'performance', 'from-hf-peft', 'parity', 'verified-files', 'mission', 'add-a-method', 'add-a-model', 'notebooks', '1-a-first-lora', '10-workers-and-a-server',
    ]))
  })

  it('lists the guides under their headings, in groups, and the reference beside them', async () => {
    const page = await open('')
    await page.waitForSelector('#tsd-nav-container a')
    expect(await page.isVisible('#tsd-nav-container a[href$="getting-started.html"]')).toBe(true)
    expect(await page.isVisible('#tsd-nav-container a[href$="modules/tfjs-peft.html"]')).toBe(true)
    const groups = await page.$$eval('#tsd-nav-container > li', (all) => all.map((group) => String(Reflect.get(group, 'textContent'))))
    const under = (title: string): string => groups.find((text) => text.trim().startsWith(title)) ?? ''
    expect(under('First steps')).toContain('Getting started')
    expect(under('Methods')).toContain('LoRA and its relatives')
    expect(under('Reference')).toContain('tfjs-peft/advanced')
    expect(groups.length).toBeLessThan(10)
    const links = await linksOf(page)
    expect(links.some((link) => link.endsWith('/modules/tfjs-peft.html'))).toBe(true)
    await page.close()
  })

  it('draws formulas', async () => {
    const page = await open('documents/method-lora.html')
    const [size] = await page.$$eval('math[display=block]', (all) => all.map((formula) => ['clientHeight', 'clientWidth'].map((name) => Number(Reflect.get(formula, name)))))
    expect(size?.[0]).toBeGreaterThan(15)
    expect(await page.textContent('.tsd-typography')).not.toContain('$$')
    await page.close()
  })

  it('has no dead link, neither to a page nor to a place in one', { timeout: 120_000 }, async () => {
    const waiting = [site.url]
    const seen = new Set(waiting)
    const places = new Map<string, ReadonlySet<string>>()
    const asked: string[] = []
    const dead: string[] = []
    for (let url = waiting.pop(); url !== undefined; url = waiting.pop()) {
      const answer = await fetch(url)
      const html = await answer.text()
      if (!answer.ok) dead.push(url)
      if (!answer.ok || !(answer.headers.get('content-type') ?? '').includes('html')) continue
      places.set(url, new Set([...html.matchAll(/\sid="([^"]*)"/g)].map(([, id = '']) => decode(id))))
      for (const [, href = ''] of html.matchAll(/<(?:a|img)[^>]*?\s(?:href|src)="([^"]*)"/g)) {
        const link = new URL(decode(href), url)
        if (!link.href.startsWith(site.url)) continue
        asked.push(`${link.href} from ${url}`)
        const page = link.href.split('#')[0] ?? link.href
        if (!seen.has(page)) waiting.push(page)
        seen.add(page)
      }
    }
    for (const link of asked) {
      const [url = '', place = ''] = (link.split(' from ')[0] ?? '').split('#')
      if (place !== '' && places.get(url)?.has(decodeURIComponent(place)) === false) dead.push(link)
    }
    expect(dead).toEqual([])
    expect(seen.size).toBeGreaterThan(100)
  })

  it.each([['at full width', WIDE], ['on a phone', PHONE]])('shows each guide %s: drawings are drawn, nothing is wider than the page', { timeout: 120_000 }, async (_, viewport) => {
    for (const link of await guides()) {
      const page = await open(link, viewport)
      const images = await page.$$eval('.tsd-typography img', (all) => all.map((image) => ['src', 'naturalWidth', 'width'].map((name): unknown => Reflect.get(image, name))))
      for (const [source, natural, width] of images) {
        expect(natural, `${String(source)} in ${link}`).toBeGreaterThan(0)
        expect(width, `${String(source)} in ${link}`).toBeLessThanOrEqual(viewport.width)
      }
      const overflow = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
      expect(overflow, link).toBeLessThanOrEqual(0)
      const wrapped = await page.evaluate("[...document.querySelectorAll('pre code')].filter((code) => getComputedStyle(code).whiteSpace !== 'pre').length")
      expect(wrapped, `lines of code that are broken in ${link}`).toBe(0)
      await page.close()
    }
  })

  it('draws no label of a plot over another', { timeout: 120_000 }, async () => {
    const covered: unknown[] = []
    const page = await open('')
    for (const plot of (await readdir(join(folder, 'media'))).filter((name) => name.endsWith('.svg'))) {
      await page.goto(new URL(`media/${plot}`, site.url).href)
      const pairs: unknown = await page.evaluate(`(() => {
        const boxes = [...document.querySelectorAll('text')].map((text) => ({ text: text.textContent, box: text.getBoundingClientRect() })).filter(({ box }) => box.width > 0)
        const touch = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3
        return boxes.flatMap((a, i) => boxes.slice(i + 1).filter((b) => touch(a.box, b.box)).map((b) => [a.text, b.text]))
      })()`)
      if (Array.isArray(pairs) && pairs.length > 0) covered.push([plot, ...(pairs as unknown[])])
    }
    await page.close()
    expect(covered).toEqual([])
  })

  it.each([
    ['attach', 'attach'], ['prefix-tuning', 'method-prefix'], ['early stopping', 'long-training'], ['Ctrl-C', 'command-line'], ['power cut', 'long-training'], ['vocabulary', 'vocabularies'], ['translation', 'texts-from-texts'], ['new tokens', 'vocabularies'], ['similarity', 'documents/similarity'],
    ['two machines', 'documents/distributed'], ['QLoRA', 'documents/quantised'],
    ['server', 'documents/server'], ['onnx', 'where-it-runs'], ['regression', 'documents/classification'],
  ])('finds %s by search', async (words, hit) => {
    const page = await open('')
    await page.click('#tsd-search-trigger')
    await page.fill('#tsd-search-input', words)
    await page.waitForSelector(`#tsd-search-results li a[href*="${hit}"]`, { timeout: 10_000 })
    await page.close()
  })

  it('has put no error on the console', () => {
    expect(trouble).toEqual([])
  })
})

function decode(text: string): string {
  return text.replace(/&amp;/g, '&').replace(/&quot;/g, '"').replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&#39;/g, "'")
}
