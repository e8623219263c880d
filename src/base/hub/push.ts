import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { HubError, InputError, shown } from '../../errors.ts'
import { checkAwaited } from '../awaited.ts'
import type { Adapter } from '../adapter/adapter.ts'
import type { Model } from '../model.ts'
import { hubFetch, retry, TransientError, unusable, withTokenConcealed, type Meaning } from './http.ts'
import { HUB_OPTIONS, expandHome, hubSettings, type HubOptions, type HubSettings } from './options.ts'
import { checkNames, type Names } from '../options.ts'

/** Where `push` puts a commit, and what it says. */
export interface PushOptions extends Omit<HubOptions, 'repoType' | 'cacheFolder'> {
  /** Branch the commit goes to. @default 'main' */
  readonly revision?: string | undefined
  /** Access token that may write. @default $HF_TOKEN, else the file `hf auth login` wrote */
  readonly token?: string | undefined
  /** Makes the repository, and the branch, where there is none. @default false */
  readonly create?: boolean | undefined
  /** Only its owners see a repository that is made. @default the account's setting */
  readonly private?: boolean | undefined
  /** First line of the commit. @default what is uploaded */
  readonly title?: string | undefined
}

const NAMES: Names<PushOptions> = { ...HUB_OPTIONS, create: true, private: true, title: true }

/** A commit on the Hub. */
export interface Pushed {
  readonly commit: string
  readonly url: string
}

/** One of them has to be in a folder: it is an adapter's or a model's. */
const MARKS = ['adapter_config.json', 'config.json']

/** Bytes a second that the slowest connection sends: below that, an upload counts as stalled. */
const SLOWEST = 2 ** 15

/**
 * Uploads an adapter or a model to a repository on the Hub, in one commit: what its `save` writes, the card included, or
 * every file of a folder but hidden ones. Files that the repository has besides stay.
 *
 * @param repo 'namespace/name'
 * @throws HubError when the token is missing or may not write, the repository or the branch does not exist, or the Hub
 *   cannot be reached; InputError for a name that cannot be on the Hub, or a folder of something else
 * @example
 * const pushed = await push(adapter, 'me/spam-lora', { create: true, private: true }).catch(() => undefined) // no token
 */
export async function push(what: Adapter | Model | string, repo: string, options: PushOptions = {}): Promise<Pushed> {
  checkNames('push', options, NAMES)
  checkAwaited('adapter', what)
  if (typeof what !== 'string' && typeof (what as { readonly save?: unknown } | null | undefined)?.save !== 'function') throw new InputError(`push: expected an adapter, a model or the path of a folder of one, got ${shown(what)}.`)
  const settings = await hubSettings(repo, options)
  check(settings)
  return withTokenConcealed(settings, () => pushAny(what, settings, options))
}

async function pushAny(what: Adapter | Model | string, settings: HubSettings, options: PushOptions): Promise<Pushed> {
  if (typeof what === 'string') return pushFolder(expandHome(what), settings, options)
  const folder = await mkdtemp(join(tmpdir(), 'tfjs-peft-'))
  try {
    await what.save(folder)
    return await pushFolder(folder, settings, options)
  } finally {
    await rm(folder, { recursive: true })
  }
}

function check({ repo, token, offline, endpoint }: HubSettings): void {
  if (!repo.includes('/')) throw new InputError(`push: ${JSON.stringify(repo)}: expected "namespace/name", with your account or organisation in front`)
  if (offline) throw new HubError('push: the Hub is not to be asked (offline): unset HF_HUB_OFFLINE')
  if (token.startsWith('hf_')) return
  const got = token === '' ? 'there is none' : 'what was given does not begin with "hf_"'
  throw new HubError(`push: expected a token that may write, and ${got}. Make one on ${endpoint}/settings/tokens, then set HF_TOKEN to it or run \`hf auth login\``)
}

async function pushFolder(folder: string, settings: HubSettings, options: PushOptions): Promise<Pushed> {
  const { commitIter, createBranch, createRepo, HubApiError, repoExists } = await import('@huggingface/hub')
  const files = await filesOf(folder)
  const { repo, revision, endpoint: hubUrl, token: accessToken } = settings
  const common = { repo, hubUrl, accessToken, fetch: sender(settings) }
  try {
    if (options.create === true) {
      if (!(await repoExists(common).catch(unlessStatus(404, false)))) {
        const visibility = options.private === undefined ? {} : { visibility: options.private ? 'private' as const : 'public' as const }
        await createRepo({ ...common, ...visibility }).catch(unlessStatus(409, undefined)) // made by somebody in between
      }
      if (revision !== 'main') await createBranch({ ...common, branch: revision }).catch(unlessStatus(409, undefined)) // there is one
    }
    const operations = [...files.keys()].map((path) => ({ operation: 'addOrUpdate' as const, path, content: pathToFileURL(join(folder, path)) }))
    const title = options.title ?? `Upload ${files.has('adapter_config.json') ? 'adapter' : 'model'}`
    const signal = settings.signal === undefined ? {} : { abortSignal: settings.signal }
    const committing = commitIter({ ...common, ...signal, branch: revision, title, operations })
    for (;;) {
      const { done, value } = await committing.next()
      if (done === true) {
        if (value === undefined) throw new Error('it named no commit')
        for (const [file, total] of files) settings.onProgress({ file, loaded: total, total })
        return { commit: value.commit.oid, url: new URL(value.commit.url, hubUrl).href }
      }
      if (value.event !== 'fileProgress' || value.state !== 'uploading') continue
      const total = files.get(value.path) ?? 0
      settings.onProgress({ file: value.path, loaded: Math.floor(value.progress * total), total })
    }
  } catch (error) {
    settings.signal?.throwIfAborted()
    if (error instanceof TransientError) {
      throw new HubError(`push: ${error.message}. Check the connection, HF_ENDPOINT and the proxy, and push again: what has arrived is not sent twice`, error.status, { cause: error })
    }
    if (error instanceof HubError) throw error
    const { reason, ...cause } = unusable(error)
    throw new HubError(`push: ${repo} was not changed: ${hubUrl} did not answer as the Hub does: ${reason}`, error instanceof HubApiError ? error.statusCode : undefined, cause)
  }
}

/** Path within the folder, with slashes, to size. @throws InputError when it is the folder of neither an adapter nor a model */
async function filesOf(folder: string): Promise<Map<string, number>> {
  const names = await readdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw new InputError(`push: ${folder}: expected a folder`, [], { cause })
  })
  const files = new Map<string, number>()
  for (const name of names.sort()) {
    const parts = name.split(sep)
    if (parts.some((part) => part.startsWith('.'))) continue
    const status = await stat(join(folder, name)).catch(() => undefined) // a link that leads nowhere is no file
    if (status?.isFile() === true) files.set(parts.join('/'), status.size)
  }
  if (MARKS.some((mark) => files.has(mark))) return files
  throw new InputError(`push: ${folder}: expected the folder of an adapter or a model, with ${MARKS.join(' or ')}; it has ${[...files.keys()].slice(0, 10).join(', ') || 'no file'}`)
}

/** Each request is repeated while it fails in passing; large bodies have longer to arrive. */
function sender(settings: HubSettings): typeof fetch {
  return async (input, init) => {
    const size = init?.body instanceof Blob ? init.body.size : 0
    const signals = [settings.signal, init?.signal].filter((signal) => signal != null)
    const timeout = settings.timeout + (size / SLOWEST) * 1000
    const one = { ...settings, timeout, signal: signals.length === 0 ? undefined : AbortSignal.any(signals) }
    return retry(one, () => hubFetch(one, undefined, meaningOf(settings))(input, init))
  }
}

function meaningOf({ repo, revision, endpoint }: HubSettings): Meaning {
  return (status, code, said) => {
    const because = said === null ? '' : ` (${said})`
    if (status === 401) return `push: the Hub does not know the token${because}. Make one on ${endpoint}/settings/tokens and set HF_TOKEN to it`
    if (status === 403) return `push: the token may not do this in ${repo}${because}. It needs the permission to write there: ${endpoint}/settings/tokens`
    if (code === 'RevisionNotFound') return `push: ${repo} has no branch "${revision}". With { create: true } it is made`
    if (status === 404) return `push: there is no model ${repo} that the token may see. Check the name; with { create: true } it is made`
    return undefined
  }
}

/** For `catch`: a HubError of this status is answered with `instead`. */
function unlessStatus<T>(status: number, instead: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof HubError && error.status === status) return instead
    throw error
  }
}
