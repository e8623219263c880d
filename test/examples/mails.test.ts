import { describe, expect, it } from 'vitest'
import { loadMails, readText, splitMails } from '../../examples/mails.ts'
import { InputError } from '../../src/errors.ts'

/** A mail from its lines; characters are written as latin1 bytes. */
function mail(...lines: string[]): Uint8Array {
  return Buffer.from(lines.join('\n'), 'latin1')
}

const PLAIN_PART = ['--cut', 'Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: base64', '',
  Buffer.from('Zażółć gęślą').toString('base64')]
const HTML_PART = ['--cut', 'Content-Type: text/html', '', '<p>the page</p>']

describe('readText', () => {
  it('keeps subject and body, no other header', async () => {
    const raw = mail('From sender@list.example  Thu Aug 22 13:17:22 2002', 'X-Spam-Status: Yes', 'To: me@example.org',
      'Subject: A  folded', '  subject', 'List-Id: <list.example>', '', 'First  line', '', '\tsecond line', '')
    expect(await readText(raw)).toBe('A folded subject\nFirst line second line')
  })

  it('decodes the subject\'s encoded words', async () => {
    const raw = mail('Subject: =?iso-8859-1?Q?Gr=FC=DFe?= =?utf-8?B?IOKCrA==?=', '', 'x')
    expect(await readText(raw)).toBe('Grüße €\nx')
  })

  it('decodes quoted-printable and base64 in the declared charset', async () => {
    expect(await readText(mail('Content-Type: text/plain; charset=koi8-r', 'Content-Transfer-Encoding: quoted-printable', '',
      '=D0=D2=C9=D7=C5=D4, soft=', ' break'))).toBe('привет, soft break')
    expect(await readText(mail('Content-Type: text/plain; charset=big5', 'Content-Transfer-Encoding: base64', '', 'p0Gmbg=='))).toBe('你好')
  })

  it('reads bytes without a charset as latin1, quoted ones and those of the subject too', async () => {
    expect(await readText(mail('Subject: Caf\xe9', '', 'na\xefve \x93quote\x94'))).toBe('Café\nnaïve “quote”')
    expect(await readText(mail('Content-Transfer-Encoding: quoted-printable', '', 'na=EFve =93quote=94'))).toBe('naïve “quote”')
  })

  it('keeps what was declared beside what was not', async () => {
    expect(await readText(mail('Subject: Caf\xe9', 'Content-Type: text/plain; charset=koi8-r', '', '\xd0\xd2\xc9\xd7\xc5\xd4'))).toBe('Café\nпривет')
  })

  it('prefers the plain part, and takes the page where there is none', async () => {
    const head = ['Content-Type: multipart/alternative; boundary=cut', '']
    expect(await readText(mail(...head, ...PLAIN_PART, ...HTML_PART, '--cut--'))).toBe('Zażółć gęślą')
    expect(await readText(mail(...head, ...HTML_PART, '--cut--'))).toBe('the page')
    expect(await readText(mail(...head, '--cut', '', '', '  ', ...HTML_PART, '--cut--'))).toBe('the page')
  })

  it('survives a multipart mail that ends before its last boundary', async () => {
    expect(await readText(mail('Content-Type: multipart/mixed; boundary=cut', '', ...PLAIN_PART))).toBe('Zażółć gęślą')
  })

  it('strips tags, comments, scripts and styles, and decodes entities', async () => {
    const page = '<html><style>p { color: red }</style><script>if (a < b) spy()</script><!-- hidden --><body>' +
      '<table><tr><td>one</td><td>two</td></tr></table>V<b>ia</b>g<!-- x -->ra&nbsp;&amp;&#32;&eacute;<br>end</body>'
    expect(await readText(mail('Subject: s', 'Content-Type: text/html', '', page))).toBe('s\none two Viagra & é end')
    expect(await readText(mail('Subject: undeclared', '', page))).toBe('undeclared\none two Viagra & é end')
  })

  it('leaves text alone that only looks a little like a page', async () => {
    expect(await readText(mail('', 'if a < b, write to <me@example.org>'))).toBe('if a < b, write to <me@example.org>')
  })

  it('leaves forwarded mails out, because they bring their headers along', async () => {
    expect(await readText(mail('Content-Type: multipart/mixed; boundary=cut', '', ...PLAIN_PART,
      '--cut', 'Content-Type: message/rfc822', '', 'From: someone@example.org', 'Subject: inner', '', 'inner body', '--cut--')))
      .toBe('Zażółć gęślą')
  })
})

describe('loading mails', () => {
  it('gives a limited number with the same share of spam, always the same, spread over the groups', async () => {
    const some = await loadMails({ limit: 200 })
    expect(some).toHaveLength(200)
    expect(some.filter(({ label }) => label === 1)).toHaveLength(63) // 1,896 of the 6,046 files are spam
    expect(new Set(some.map(({ group }) => group)).size).toBe(5)
    expect(await loadMails({ limit: 200 })).toEqual(some)
    const { evaluate } = splitMails(some, { evaluate: 0.2 })
    expect(evaluate.length / some.length).toBeCloseTo(0.2, 1)
  })

  it('refuses a limit that is not a number of mails and a share that is none', async () => {
    expect(() => splitMails([], { evaluate: 20 })).toThrow('splitMails: expected a share from 0 to 1, got 20.')
    await expect(loadMails({ limit: 0 })).rejects.toThrow(InputError)
    await expect(loadMails({ limit: 1.5 })).rejects.toThrow('loadMails: expected a limit of at least 1, got 1.5.')
  })
})
