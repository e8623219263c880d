// The site that `npm run docs` writes, in a browser.

import { fileURLToPath } from 'node:url'
import { chromium as playwright, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { chromium } from './chromium.ts'
import { serve, type Site } from './serve.ts'

const WIDE = { width: 1280, height: 900 }
const PHONE = { width: 390, height: 844 }

let site: Site
let browser: Browser
const trouble: string[] = []

beforeAll(async () => {
  site = await serve(fileURLToPath(new URL('../../out/site', import.meta.url)))
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
      'training', 'forgetting', 'performance', 'from-hf-peft', 'parity', 'verified-files', 'add-a-method', 'add-a-model', 'notebooks', '1-a-first-lora',
    ]))
  })

  it('lists each guide under its heading', async () => {
    const page = await open('')
    await page.waitForSelector('#tsd-nav-container a')
    const names = await page.$$eval('#tsd-nav-container a', (anchors) => anchors.map((anchor) => String(Reflect.get(anchor, 'innerText')).trim()))
    expect(names).toEqual(expect.arrayContaining(['Getting started', 'Choosing a method', 'Notebooks', 'Reference']))
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
      await page.close()
    }
  })

  it('finds functions and guides by search', async () => {
    const page = await open('')
    for (const [words, hit] of [['attach', 'attach'], ['prefix-tuning', 'method-prefix']] as const) {
      await page.click('#tsd-search-trigger')
      await page.fill('#tsd-search-input', words)
      await page.waitForSelector(`#tsd-search-results li a[href*="${hit}"]`, { timeout: 10_000 })
      await page.keyboard.press('Escape')
    }
    await page.close()
  })

  it('has put no error on the console', () => {
    expect(trouble).toEqual([])
  })
})

function decode(text: string): string {
  return text.replace(/&amp;/g, '&').replace(/&quot;/g, '"').replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&#39;/g, "'")
}
