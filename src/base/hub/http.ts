import { setTimeout as pause } from 'node:timers/promises'
import { HubError } from '../../errors.ts'
import type { HubSettings } from './options.ts'

/** A failure that may pass: nobody answered, the answer broke off, or the Hub asks to come again later. */
export class TransientError extends HubError {
  /** Milliseconds the Hub asks to wait. */
  readonly retryAfter: number | undefined

  constructor(title: string, status?: number, options?: ErrorOptions, retryAfter?: number) {
    super(title, status, options)
    this.retryAfter = retryAfter
  }
}

/** A longer wait than this is the user's decision. The Hub counts requests in windows of five minutes. */
const longestPause = 300_000

/**
 * Does `work`, again after a pause when it fails with a TransientError, up to `retries` times in a row without progress.
 *
 * @param work calls `progressed` when it is nearer to its end than it ever was; what is thrown away again is no progress
 */
export async function retry<T>(settings: HubSettings, work: (progressed: () => void) => Promise<T>, retries = 5): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      return await work(() => (failures = 0))
    } catch (error) {
      settings.signal?.throwIfAborted()
      if (!(error instanceof TransientError) || failures >= retries) throw error
      const wait = error.retryAfter ?? settings.retryDelay * 2 ** failures
      if (wait > longestPause) throw error
      await pause(wait, undefined, settings.signal === undefined ? {} : { signal: settings.signal })
    }
  }
}

/** What a refusal means where it is not what it means to one who reads: by status and the Hub's own code and message. */
export type Meaning = (status: number, code: string | null, said: string | null) => string | undefined

/**
 * A fetch for one repository: sends the token to the Hub and nobody else, gives up when no byte comes for the
 * timeout, and throws a HubError in the user's words for every answer that is not a success.
 */
export function hubFetch(settings: HubSettings, file?: string, meaning?: Meaning): typeof fetch {
  return async (input, init) => {
    const url = input instanceof Request ? input.url : String(input)
    const headers = new Headers(init?.headers)
    headers.set('Accept-Encoding', 'identity') // so that lengths and ranges are those of the file
    if (settings.token !== '' && new URL(url).origin === new URL(settings.endpoint).origin) {
      headers.set('Authorization', `Bearer ${settings.token}`)
    }
    const stalled = new AbortController()
    const seconds = settings.timeout / 1000
    const timer = setTimeout(() => stalled.abort(new TransientError(`${settings.endpoint} sent nothing for ${seconds} s`)), settings.timeout)
    timer.unref()
    const signal = settings.signal === undefined ? stalled.signal : AbortSignal.any([settings.signal, stalled.signal])
    let response: Response
    try {
      response = await settings.fetch(url, { ...init, headers, signal })
    } catch (cause) {
      clearTimeout(timer)
      settings.signal?.throwIfAborted()
      throw unreachable(settings, stalled.signal.aborted ? stalled.signal.reason : cause)
    }
    if (!response.ok) {
      clearTimeout(timer)
      await response.body?.cancel()
      throw refusal(settings, response, file, meaning)
    }
    const watched = response.body?.pipeThrough(new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        timer.refresh()
        controller.enqueue(chunk)
      },
      flush: () => clearTimeout(timer),
    }))
    return new Response(watched ?? null, { status: response.status, headers: response.headers })
  }
}

/** A connection that failed, or a body that broke off, as a HubError; errors that are HubErrors already stay. */
export function unreachable(settings: HubSettings, cause: unknown): HubError {
  if (cause instanceof HubError) return cause
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause // undici: "fetch failed", because
  return new TransientError(`${settings.endpoint} cannot be reached: ${inner instanceof Error ? inner.message : String(inner)}`, undefined, { cause })
}

/**
 * Does `work`, which asks the Hub; in what it throws the token is blotted out, wherever in it the token stands: a server may send
 * back what it was sent, and errors of other libraries quote what they got.
 */
export async function withTokenConcealed<T>({ token, signal }: HubSettings, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (token.length >= 4 && signal?.aborted !== true) conceal(error, [token, encodeURIComponent(token), JSON.stringify(token).slice(1, -1), btoa(token)])
    throw error
  }
}

function conceal(error: unknown, secrets: readonly string[], depth = 0): void {
  if (!(error instanceof Error) || depth > 8) return
  const blotted = (text: string): string => secrets.reduce((left, secret) => left.replaceAll(secret, '***'), text)
  for (const name of Object.getOwnPropertyNames(error)) {
    const value = (error as unknown as Record<string, unknown>)[name]
    let safe = value
    if (typeof value === 'string') safe = blotted(value)
    else if (Array.isArray(value)) safe = value.map((each: unknown) => (typeof each === 'string' ? blotted(each) : each))
    else conceal(value, secrets, depth + 1)
    if (safe !== value) Object.defineProperty(error, name, { value: safe })
  }
}

/** Why an answer could not be used, and the error for whoever looks deeper; a parser's own text quotes the answer, which may hold a token. */
export function unusable(cause: unknown): { readonly reason: string; readonly cause?: unknown } {
  if (cause instanceof SyntaxError) return { reason: 'its answer is not JSON' }
  return { reason: cause instanceof Error ? cause.message : String(cause), cause }
}

/** What an answer that is no success means to the user. The Hub tells its cases apart in X-Error-Code. */
function refusal(settings: HubSettings, response: Response, file: string | undefined, meaning?: Meaning): HubError {
  const { repo, repoType, revision, endpoint, token } = settings
  const { status } = response
  const code = response.headers.get('X-Error-Code')
  const said = sentence(response.headers.get('X-Error-Message'))
  const meant = meaning?.(status, code, said)
  if (meant !== undefined) return new HubError(meant, status)
  const page = `${endpoint}/${repoType === 'model' ? '' : `${repoType}s/`}${repo}`
  if (code === 'GatedRepo') {
    return new HubError(`${repo} is gated: accept its licence on ${page}, then set HF_TOKEN to a token of that account${token === '' ? '' : ' (the token in use has no access)'}`, status)
  }
  if (code === 'RevisionNotFound') return new HubError(`${repo} has no revision "${revision}". Branches, tags and commits are listed on ${page}/tree/main`, status)
  if (code === 'EntryNotFound') return new HubError(`${repo} has no file ${file ?? ''} at revision "${revision}". Its files are listed on ${page}/tree/main`, status)
  if (status === 401 && said?.startsWith('Invalid credentials') === true) {
    return new HubError('the Hub does not know the token: set HF_TOKEN to a valid one, or unset it for public models', status)
  }
  if (code === 'RepoNotFound' || status === 401 || status === 404) {
    return new HubError(`there is no ${repoType} ${repo} on ${endpoint}, or it is private. Check the name; for a private one set HF_TOKEN to a token that may read it`, status)
  }
  if (status === 403) return new HubError(`${repo}: access refused${said === null ? '' : `: ${said}`}. Check that the token in HF_TOKEN may read it`, status)
  if (status === 429) {
    return new TransientError(`${endpoint} has had too many requests from here. Try again in some minutes${token === '' ? '; with HF_TOKEN set the limit is higher' : ''}`, status, {}, retryAfter(response))
  }
  const text = `${endpoint} answered ${status}${said === null ? '' : `: ${said}`} for ${file ?? repo}`
  return status >= 500 || status === 408 ? new TransientError(`${text}. Try again later`, status, {}, retryAfter(response)) : new HubError(text, status)
}

/** What a server says of an error, fit to be printed: in one line, and not for ever. */
function sentence(said: string | null): string | null {
  return said === null ? null : said.replace(/\p{Cc}/gu, ' ').slice(0, 300)
}

/** Retry-After is a number of seconds or a date. */
function retryAfter(response: Response): number | undefined {
  const value = response.headers.get('Retry-After')
  if (value === null) return undefined
  const wait = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isNaN(wait) ? undefined : Math.max(0, wait)
}
