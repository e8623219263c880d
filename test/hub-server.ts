import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { answer as json, refuse, uploadServer } from './hub-uploads.ts'
import type { Commit } from './hub-uploads.ts'

/** What goes wrong with one file (or, under the name `api`, with the API), `times` times; always when it is left out. */
export type Fault = { readonly times?: number } & (
  | { readonly kind: 'status'; readonly status: number; readonly code?: string; readonly message?: string; readonly retryAfter?: string }
  /** The connection breaks after so many bytes of the body. */
  | { readonly kind: 'cut'; readonly after: number }
  /** No more comes after so many bytes of the body. */
  | { readonly kind: 'stall'; readonly after: number }
  | { readonly kind: 'content'; readonly content: Buffer }
  /** The whole file comes, whatever range was asked for; or its beginning alone, as if it were the whole. */
  | { readonly kind: 'no-range'; readonly length?: number }
)

export interface Repo {
  readonly gated?: boolean
  /** Branch or tag to commit. */
  readonly refs: Record<string, string>
  /** Commit to files. Those in `large` are kept in large storage: their address redirects to another server. */
  readonly commits: Record<string, Record<string, Buffer>>
  readonly large?: readonly string[]
  /** As it was made. */
  readonly private?: boolean
}

export interface Seen {
  readonly method: string
  /** Path on the Hub or, after `cdn:`, on the storage server. */
  readonly path: string
  readonly range: string | undefined
  readonly authorization: string | undefined
}

/** A server on this machine that speaks the protocol of the Hub. */
export interface HubServer {
  readonly endpoint: string
  readonly repos: Record<string, Repo>
  /** File name, `api` or `upload` to what goes wrong with it. */
  readonly faults: Map<string, Fault>
  readonly seen: Seen[]
  /** A token that may read gated repositories. */
  readonly token: string
  /** A token that may write too. */
  readonly writer: string
  /** What was committed. */
  readonly commits: Commit[]
  close(): Promise<void>
}

/** Starts the Hub and its storage server on free ports of 127.0.0.1. */
export async function startHub(repos: Record<string, Repo>): Promise<HubServer> {
  const faults = new Map<string, Fault>()
  const seen: Seen[] = []
  const token = 'hf_reader'
  const writer = 'hf_writer'
  const commits: Commit[] = []
  const uploads = uploadServer({ repos, commits, writer, failed, storage: () => endpointOf(cdn) })
  const cdn = await listen((request, response) => {
    see('cdn:', request)
    if (uploads.storage(request, response)) return
    const [repo, commit, file] = JSON.parse(decodeURIComponent(new URL(request.url ?? '', 'http://cdn').pathname.slice(1))) as [string, string, string]
    send(request, response, file, repos[repo]?.commits[commit]?.[file] ?? Buffer.alloc(0))
  })
  const hub = await listen((request, response) => {
    see('', request)
    const path = decodeURIComponent(new URL(request.url ?? '', 'http://hub').pathname)
    if (uploads.hub(request, response, path)) return
    const [, api, id = '', rest = ''] = /^\/(?:(api\/)(?:models|datasets)\/|datasets\/)?([^/]+\/[^/]+)\/(.*)$/.exec(path) ?? []
    const [, kind, revision = '', file = ''] = /^(revision|tree|resolve)\/(refs\/pr\/\d+|[^/]+)(?:\/(.*))?$/.exec(rest) ?? []
    const repo = repos[id]
    const commit = repo?.commits[revision] === undefined ? repo?.refs[revision] : revision
    const files = repo?.commits[commit ?? '']
    if (api !== undefined && failed(response, 'api')) return
    // The Hub does not tell strangers which repositories do not exist.
    if (repo === undefined) refuse(response, authorized(request) ? 404 : 401, authorized(request) ? 'RepoNotFound' : undefined, 'Repository not found')
    else if (commit === undefined || files === undefined) refuse(response, 404, 'RevisionNotFound', `Invalid rev id: ${revision}`)
    else if (kind === 'revision') json(response, { _id: '1', id, sha: commit, private: false, lastModified: '2026-01-01T00:00:00.000Z', tags: [], siblings: [] })
    else if (kind === 'tree') sendTree(request, response, repo, files)
    else if (repo.gated === true && !authorized(request)) refuse(response, 401, 'GatedRepo', `Access to model ${id} is restricted.`)
    else sendFile(request, response, id, commit, file)
  })

  /** Small files directly, large ones by a redirect to the storage server. */
  function sendFile(request: IncomingMessage, response: ServerResponse, id: string, commit: string, file: string): void {
    const content = repos[id]?.commits[commit]?.[file]
    if (content === undefined) {
      refuse(response, 404, 'EntryNotFound', 'Entry not found')
      return
    }
    response.setHeader('X-Repo-Commit', commit)
    if (repos[id]?.large?.includes(file) !== true) {
      response.setHeader('ETag', `"${gitBlobId(content)}"`)
      send(request, response, file, content)
      return
    }
    response.setHeader('X-Linked-Etag', `"${sha256(content)}"`)
    response.setHeader('X-Linked-Size', content.length)
    response.setHeader('X-Xet-Hash', sha256(content))
    response.setHeader('Link', `<${endpointOf(hub)}/xet-auth>; rel="xet-auth", <${endpointOf(cdn)}/xet>; rel="xet-reconstruction-info"`)
    response.writeHead(302, { Location: `${endpointOf(cdn)}/${encodeURIComponent(JSON.stringify([id, commit, file]))}` }).end()
  }

  function see(origin: string, request: IncomingMessage): void {
    const { range, authorization } = request.headers
    seen.push({ method: request.method ?? '', path: origin + (request.url ?? ''), range, authorization })
  }

  function authorized(request: IncomingMessage): boolean {
    return [token, writer].some((known) => request.headers.authorization === `Bearer ${known}`)
  }

  /** The fault to show now, which counts as shown. */
  function take(name: string): Fault | undefined {
    const fault = faults.get(name)
    if (fault?.times === 1) faults.delete(name)
    else if (fault?.times !== undefined) faults.set(name, { ...fault, times: fault.times - 1 })
    return fault
  }

  function failed(response: ServerResponse, name: string): boolean {
    if (faults.get(name)?.kind !== 'status') return false
    const fault = take(name)
    if (fault?.kind !== 'status') return false
    if (fault.retryAfter !== undefined) response.setHeader('Retry-After', fault.retryAfter)
    refuse(response, fault.status, fault.code, fault.message ?? 'fault')
    return true
  }

  /** The content, or the range of it that was asked for, with the file's fault. */
  function send(request: IncomingMessage, response: ServerResponse, file: string, whole: Buffer): void {
    if (failed(response, file)) return
    const fault = request.method === 'GET' ? take(file) : undefined
    const content = fault?.kind === 'content' ? fault.content : whole
    const begin = fault?.kind === 'no-range' ? undefined : /^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1]
    const body = content.subarray(Number(begin ?? 0), fault?.kind === 'no-range' ? fault.length : undefined)
    if (begin !== undefined) response.setHeader('Content-Range', `bytes ${begin}-${content.length - 1}/${content.length}`)
    response.writeHead(begin === undefined ? 200 : 206, { 'Content-Length': body.length, 'Accept-Ranges': 'bytes' })
    if (request.method === 'HEAD') response.end()
    else if (fault?.kind === 'cut') response.write(body.subarray(0, fault.after), () => response.destroy())
    else if (fault?.kind === 'stall') response.write(body.subarray(0, fault.after))
    else response.end(body)
  }

  /** Two entries a page, so that the client has to turn pages. */
  function sendTree(request: IncomingMessage, response: ServerResponse, repo: Repo, files: Record<string, Buffer>): void {
    const url = new URL(request.url ?? '', endpointOf(hub))
    const from = Number(url.searchParams.get('cursor') ?? 0)
    const folders = new Set(Object.keys(files).filter((path) => path.includes('/')).map((path) => path.slice(0, path.lastIndexOf('/'))))
    const entries = [
      ...Array.from(folders, (path) => ({ type: 'directory', oid: gitBlobId(Buffer.from(path)), size: 0, path })),
      ...Object.entries(files).map(([path, content]) => {
        if (repo.large?.includes(path) !== true) return { type: 'file', oid: gitBlobId(content), size: content.length, path }
        const pointer = Buffer.from(`version https://git-lfs.github.com/spec/v1\noid sha256:${sha256(content)}\nsize ${content.length}\n`)
        return { type: 'file', oid: gitBlobId(pointer), size: content.length, path, xetHash: sha256(content), lfs: { oid: sha256(content), size: content.length, pointerSize: pointer.length } }
      }),
    ]
    url.searchParams.set('cursor', String(from + 2))
    if (from + 2 < entries.length) response.setHeader('Link', `<${url.href}>; rel="next"`)
    json(response, entries.slice(from, from + 2))
  }

  return {
    endpoint: endpointOf(hub), repos, faults, seen, token, writer, commits,
    async close() {
      await Promise.all([hub, cdn].map((server) => new Promise((done) => {
        server.close(done)
        server.closeAllConnections()
      })))
    },
  }
}

export function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}

export function gitBlobId(content: Buffer): string {
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')
}

async function listen(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> {
  const server = createServer(answer)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return server
}

function endpointOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
