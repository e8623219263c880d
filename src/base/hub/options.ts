import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { InputError, shown } from '../../errors.ts'
import type { Names } from '../options.ts'

/** How far the download of one file is, in bytes. */
export interface HubProgress {
  readonly file: string
  readonly loaded: number
  readonly total: number
}

/** Where files come from and where they are kept. The environment is read at each call, as huggingface_hub reads it. */
export interface HubOptions {
  /** Branch, tag or commit. @default 'main' */
  readonly revision?: string | undefined
  /** @default 'model' */
  readonly repoType?: 'model' | 'dataset' | 'space' | undefined
  /** @default $HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub */
  readonly cacheFolder?: string | undefined
  /** Address of the Hub. @default $HF_ENDPOINT, else the public Hub */
  readonly endpoint?: string | undefined
  /** Access token; an empty one asks without. @default $HF_TOKEN, else the file `hf auth login` wrote */
  readonly token?: string | undefined
  /** Use the cache alone. @default $HF_HUB_OFFLINE */
  readonly offline?: boolean | undefined
  /** Called instead of the global one, for proxies. @default the global fetch */
  readonly fetch?: typeof fetch | undefined
  /** Called after each piece of each download. @default none */
  readonly onProgress?: ((progress: HubProgress) => void) | undefined
  /** Ends what is going on; a part that has come is kept for the next time. @default none */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds without a byte after which a request counts as stalled and is made again. @default 30000 */
  readonly timeout?: number | undefined
  /** Milliseconds before the first of up to five retries; each next pause is twice as long. @default 1000 */
  readonly retryDelay?: number | undefined
}

export const HUB_OPTIONS: Names<HubOptions> = {
  revision: true, repoType: true, cacheFolder: true, endpoint: true, token: true, offline: true, fetch: true, onProgress: true,
  signal: true, timeout: true, retryDelay: true,
}

/** A repository and the revision wanted of it, with the options filled in. */
export interface HubSettings {
  readonly repo: string
  readonly repoType: 'model' | 'dataset' | 'space'
  readonly revision: string
  readonly cacheFolder: string
  readonly endpoint: string
  readonly token: string
  readonly offline: boolean
  readonly fetch: typeof fetch
  readonly onProgress: (progress: HubProgress) => void
  readonly signal: AbortSignal | undefined
  readonly timeout: number
  readonly retryDelay: number
}

/**
 * Fills in the options from the environment. Throws InputError when the repository's or the revision's name is not one, or the
 * address or the token cannot be used; neither of these is shown, for there may be a secret in it.
 */
export async function hubSettings(repo: string, options: HubOptions): Promise<HubSettings> {
  const revision = options.revision ?? 'main'
  const problems: string[] = []
  const repoProblem = repoIdProblem(repo)
  if (repoProblem !== undefined) problems.push(repoProblem)
  if (revision === '' || pathProblem(revision) !== undefined || isTooLong(revision)) problems.push(`revision ${shown(revision)} cannot be the name of a branch, tag or commit`)
  const token = (options.token ?? (process.env['HF_TOKEN'] || await storedToken())).replace(/[\r\n]/g, '').trim() // as huggingface_hub does
  if (!/^[\x21-\x7e]*$/.test(token)) problems.push('token: expected visible ASCII characters alone, got others among them: see HF_TOKEN, or run `hf auth login` again')
  const { HUB_URL, getHFHubCachePath } = await import('@huggingface/hub') // where it is needed: start-up
  const endpoint = options.endpoint ?? (process.env['HF_ENDPOINT'] || HUB_URL)
  if (!/^https?:\/\/[^\s@?#]+$/i.test(endpoint) || !URL.canParse(endpoint)) problems.push(`endpoint (HF_ENDPOINT): expected an address as ${HUB_URL}, without a name and password ("@") and without "?" and "#"; a token goes into HF_TOKEN`)
  if (problems.length > 0) throw new InputError('The Hub cannot be asked so', problems)
  return {
    repo,
    revision,
    repoType: options.repoType ?? 'model',
    cacheFolder: resolve(expandHome(options.cacheFolder ?? getHFHubCachePath())),
    endpoint: endpoint.replace(/\/+$/, ''),
    token,
    offline: options.offline ?? /^(1|on|yes|true)$/i.test(process.env['HF_HUB_OFFLINE'] ?? ''),
    fetch: options.fetch ?? fetch,
    onProgress: options.onProgress ?? ((): void => undefined),
    signal: options.signal,
    timeout: options.timeout ?? 30_000,
    retryDelay: options.retryDelay ?? 1000,
  }
}

/** What keeps `repo` from being a repository's id, by the Hub's rules; undefined when it can be one. */
export function repoIdProblem(repo: string): string | undefined {
  const quoted = shown(repo)
  if (typeof repo !== 'string') return `expected the id of a repository, as in 'me/spam-lora', got ${quoted}`
  const parts = repo.split('/')
  if (parts.length > 2) return `${quoted}: expected "name" or "namespace/name", got ${parts.length} parts`
  if (!parts.every((part) => /^\w([\w.-]{0,94}\w)?$/.test(part))) {
    return `${quoted}: expected names of 1 to 96 letters, digits, "-", "_" and ".", not beginning or ending with "-" or "."`
  }
  if (/--|\.\./.test(repo)) return `${quoted}: "--" and ".." are not allowed in an id`
  if (repo.endsWith('.git')) return `${quoted}: an id does not end in ".git"`
  return undefined
}

/** What keeps a file name of a repository from being joined to a folder here, on any system; undefined when it is safe. */
export function pathProblem(path: string): string | undefined {
  const safe = path.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && !/[\\\0]|^[A-Za-z]:/.test(part))
  return safe ? undefined : `${shown(path)}: expected the path of a file within the repository, without "..", "\\" or a drive letter`
}

/** True when no file or folder here can have such a name: a file system takes 255 bytes. */
export function isTooLong(path: string): boolean {
  return path.split('/').some((part) => Buffer.byteLength(part) > 255)
}

/** The path with a leading ~ replaced by the home folder. */
export function expandHome(path: string): string {
  return /^~(?=$|[\\/])/.test(path) ? join(homedir(), path.slice(1)) : path
}

async function storedToken(): Promise<string> {
  const home = process.env['HF_HOME'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'huggingface')
  const path = process.env['HF_TOKEN_PATH'] ?? join(home, 'token')
  return await readFile(expandHome(path), 'utf8').catch(() => '') // no file: not logged in
}
