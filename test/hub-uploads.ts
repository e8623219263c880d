// What the Hub's server does with what is sent to it, in the protocol of @huggingface/hub's `commit` and `createRepo`.

import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Repo } from './hub-server.ts'

/** A commit as the client described it. */
export interface Commit {
  readonly repo: string
  readonly branch: string
  readonly summary: string
  /** Path to how the content came: within the commit, or through large storage. */
  readonly files: Readonly<Record<string, 'regular' | 'lfs'>>
}

export interface UploadState {
  readonly repos: Record<string, Repo>
  readonly commits: Commit[]
  /** A token that may write; others may read. */
  readonly writer: string
  readonly failed: (response: ServerResponse, name: string) => boolean
  readonly storage: () => string
}

/** Files of more bytes than this go to large storage, as every safetensors file does; above four times it, in parts. */
const SMALL = 10_000

/** Both ends of uploading: the Hub's own addresses, and the storage server's. Each says whether the request was its. */
export function uploadServer({ repos, commits, writer, failed, storage }: UploadState): {
  readonly hub: (request: IncomingMessage, response: ServerResponse, path: string) => boolean
  readonly storage: (request: IncomingMessage, response: ServerResponse) => boolean
} {
  const stored = new Map<string, Buffer>() // by sha256
  const parts = new Map<string, Buffer>() // by sha256/number

  const routes: readonly [string, RegExp, (answer: ServerResponse, body: Buffer, names: readonly string[]) => void][] = [
    ['POST', /^\/api\/repos\/create$/, create],
    ['GET', /^\/api\/models\/([^/]+\/[^/]+)$/, (response, _, [id = '']) => known(response, id) && answer(response, { id, likes: 0 })],
    ['POST', /^\/api\/models\/([^/]+\/[^/]+)\/branch\/(.+)$/, branch],
    ['POST', /^\/api\/models\/([^/]+\/[^/]+)\/preupload\/(.+)$/, preupload],
    ['POST', /^\/([^/]+\/[^/]+)\.git\/info\/lfs\/objects\/batch$/, batch],
    ['POST', /^\/api\/models\/([^/]+\/[^/]+)\/commit\/(.+)$/, commit],
  ]

  return {
    hub(request, response, path) {
      const route = routes.find(([method, pattern]) => request.method === method && pattern.test(path))
      if (route === undefined) return false
      const [method, pattern, handle] = route
      void bodyOf(request).then((body) => {
        if (failed(response, 'api')) return
        const token = request.headers.authorization
        if (token !== `Bearer ${writer}` && token !== 'Bearer hf_reader') refuse(response, 401, undefined, 'Invalid credentials in Authorization header')
        else if (method !== 'GET' && token !== `Bearer ${writer}`) refuse(response, 403, undefined, 'you must use a write token')
        else handle(response, body, pattern.exec(path)?.slice(1) ?? [])
      })
      return true
    },
    storage(request, response) {
      const [, oid = '', part] = /^\/upload\/([0-9a-f]{64})(?:\/(\d+))?$/.exec(request.url ?? '') ?? []
      if (oid === '') return false
      void bodyOf(request).then((body) => {
        if (failed(response, 'upload')) return
        const whole = request.method === 'POST' ? completed(oid, body) : body
        if (part !== undefined) parts.set(`${oid}/${part}`, body)
        else if (createHash('sha256').update(whole).digest('hex') === oid) stored.set(oid, whole)
        else {
          refuse(response, 400, undefined, 'the content has another hash')
          return
        }
        response.setHeader('ETag', `"${createHash('md5').update(body).digest('hex')}"`).writeHead(200).end()
      })
      return true
    },
  }

  /** The parts of a file in the order that the client names, each with the etag it was given. */
  function completed(oid: string, body: Buffer): Buffer {
    const { parts: listed } = JSON.parse(body.toString()) as { parts: { partNumber: number; etag: string }[] }
    return Buffer.concat(listed.map(({ partNumber, etag }) => {
      const part = parts.get(`${oid}/${partNumber}`) ?? Buffer.alloc(0)
      return etag === `"${createHash('md5').update(part).digest('hex')}"` ? part : Buffer.alloc(0)
    }))
  }

  function known(response: ServerResponse, id: string, name?: string): boolean {
    if (repos[id] === undefined) refuse(response, 404, 'RepoNotFound', 'Repository not found')
    else if (name !== undefined && repos[id].refs[name] === undefined) refuse(response, 404, 'RevisionNotFound', `Invalid rev id: ${name}`)
    else return true
    return false
  }

  function create(response: ServerResponse, body: Buffer): unknown {
    const { name, organization, visibility } = JSON.parse(body.toString()) as { name: string; organization: string; visibility?: string }
    const id = `${organization}/${name}`
    if (organization === 'others') return refuse(response, 403, undefined, "You don't have the rights to create a model under this namespace")
    if (repos[id] !== undefined) return refuse(response, 409, undefined, 'You already created this model repo')
    const first = commitId(id)
    repos[id] = { refs: { main: first }, commits: { [first]: {} }, large: [], ...(visibility === undefined ? {} : { private: visibility === 'private' }) }
    return answer(response, { url: `/${id}`, id })
  }

  function branch(response: ServerResponse, _: Buffer, [id = '', name = '']: readonly string[]): unknown {
    const repo = repos[id]
    if (repo === undefined) return known(response, id)
    if (repo.refs[name] !== undefined) return refuse(response, 409, undefined, 'Reference already exists')
    repos[id] = { ...repo, refs: { ...repo.refs, [name]: repo.refs['main'] ?? '' } }
    return answer(response, {})
  }

  function preupload(response: ServerResponse, body: Buffer, [id = '', name = '']: readonly string[]): unknown {
    if (!known(response, id, name)) return undefined
    const { files } = JSON.parse(body.toString()) as { files: { path: string; size: number }[] }
    const mode = (path: string, size: number): string => (size > SMALL || path.endsWith('.safetensors') ? 'lfs' : 'regular')
    return answer(response, { files: files.map(({ path, size }) => ({ path, uploadMode: mode(path, size), shouldIgnore: false })) })
  }

  function batch(response: ServerResponse, body: Buffer, [id = '']: readonly string[]): unknown {
    if (!known(response, id)) return undefined
    const { objects } = JSON.parse(body.toString()) as { objects: { oid: string; size: number }[] }
    const action = (oid: string, size: number): object => {
      const href = `${storage()}/upload/${oid}`
      if (size <= SMALL * 4) return { upload: { href } }
      const numbers = Array.from({ length: Math.ceil(size / SMALL) }, (_, i) => i + 1)
      const header = Object.fromEntries(numbers.map((number) => [String(number).padStart(5, '0'), `${href}/${number}`]))
      return { upload: { href, header: { chunk_size: String(SMALL), ...header } } }
    }
    return answer(response, {
      transfer: objects.some(({ size }) => size > SMALL * 4) ? 'multipart' : 'basic',
      objects: objects.map(({ oid, size }) => ({ oid, size, ...(stored.has(oid) ? {} : { actions: action(oid, size) }) })),
    })
  }

  function commit(response: ServerResponse, body: Buffer, [id = '', name = '']: readonly string[]): unknown {
    const repo = repos[id]
    if (!known(response, id, name) || repo === undefined) return undefined
    const lines = body.toString().split('\n').map((line) => JSON.parse(line) as { key: string; value: Record<string, string | number> })
    const files = { ...repo.commits[repo.refs[name] ?? ''] }
    const large = new Set(repo.large)
    const kinds: Record<string, 'regular' | 'lfs'> = {}
    for (const { key, value } of lines) {
      const path = String(value['path'])
      if (key === 'header') continue
      const content = key === 'lfsFile' ? stored.get(String(value['oid'])) : Buffer.from(String(value['content']), 'base64')
      if (content === undefined || (key === 'lfsFile' && content.length !== value['size'])) return refuse(response, 400, undefined, `${path} is not in large storage`)
      files[path] = content
      kinds[path] = key === 'lfsFile' ? 'lfs' : 'regular'
      if (key === 'lfsFile') large.add(path)
      else large.delete(path)
    }
    const oid = commitId(`${id}${name}${commits.length}${body.toString()}`)
    repos[id] = { ...repo, refs: { ...repo.refs, [name]: oid }, commits: { ...repo.commits, [oid]: files }, large: [...large] }
    commits.push({ repo: id, branch: name, summary: String(lines[0]?.value['summary']), files: kinds })
    return answer(response, { success: true, commitOid: oid, commitUrl: `/${id}/commit/${oid}`, hookOutput: '' })
  }
}

export function answer(response: ServerResponse, value: unknown): ServerResponse {
  return response.setHeader('Content-Type', 'application/json; charset=utf-8').end(JSON.stringify(value))
}

export function refuse(response: ServerResponse, status: number, code: string | undefined, message: string): ServerResponse {
  if (code !== undefined) response.setHeader('X-Error-Code', code)
  response.setHeader('X-Error-Message', message)
  return response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify({ error: message }))
}

function commitId(text: string): string {
  return createHash('sha1').update(text).digest('hex')
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

