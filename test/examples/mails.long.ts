import { beforeAll, describe, expect, it } from 'vitest'
import { loadMails, splitMails, type Mail } from '../../examples/mails.ts'

describe('the corpus', () => {
  let mails: readonly Mail[]
  beforeAll(async () => {
    mails = await loadMails()
  })

  it('has 5,915 different mails of 6,046, three tenths of them spam', () => {
    expect(mails).toHaveLength(5915)
    expect(new Set(mails.map(({ text }) => text)).size).toBe(mails.length)
    expect(mails.filter(({ label }) => label === 1)).toHaveLength(1807)
    const groups = new Map<string, number>()
    for (const { group } of mails) groups.set(group, (groups.get(group) ?? 0) + 1)
    expect([...groups.keys()].sort()).toEqual(['easy-ham-1', 'easy-ham-2', 'hard-ham-1', 'spam-1', 'spam-2'])
    for (const { group, label } of mails) expect(label).toBe(group.startsWith('spam') ? 1 : 0)
  })

  it('is decoded: next to no replacement characters, transfer encodings, parts or tags are left', () => {
    const left = (pattern: RegExp): number => mails.filter(({ text }) => pattern.test(text)).length
    expect(left(/\uFFFD/)).toBeLessThan(15) // mails that are broken in any charset
    expect(left(/=(?:20|3D|0D|A0)\b/)).toBeLessThan(10) // quoted in mails about mails
    expect(left(/<\/?(?:html|body|table|td|font|br)\b[^>]*>/i)).toBeLessThan(10)
    expect(left(/^(?:Received|Return-Path|X-[\w-]+): /)).toBe(0)
    expect(left(/[^\S \n]| {2}|\n.*\n/)).toBe(0)
  })

  it('splits into parts that share no text, with a fifth held out and spam in both', () => {
    const { train, evaluate } = splitMails(mails, { evaluate: 0.2 })
    const trained = new Set(train.map(({ text }) => text))
    expect(evaluate.filter(({ text }) => trained.has(text))).toEqual([])
    expect(train.length + evaluate.length).toBe(mails.length)
    expect(evaluate.length / mails.length).toBeCloseTo(0.2, 1)
    expect(Math.abs(spamShare(train) - spamShare(evaluate))).toBeLessThan(0.03)
  })

  it('puts a mail on the same side whatever else is loaded, and in any order', async () => {
    const held = new Set(splitMails(mails, { evaluate: 0.2 }).evaluate.map(({ text }) => text))
    const some = [...await loadMails({ limit: 100 })].reverse()
    for (const { text } of splitMails(some, { evaluate: 0.2 }).evaluate) expect(held.has(text)).toBe(true)
    for (const { text } of splitMails(some, { evaluate: 0.2 }).train) expect(held.has(text)).toBe(false)
  })
})

function spamShare(mails: readonly Mail[]): number {
  return mails.filter(({ label }) => label === 1).length / mails.length
}
