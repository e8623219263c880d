import { execFileSync } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { vi } from 'vitest'
import { sha256 } from '../../src/setup/download.ts'
import type { SetupContext, Progress } from '../../src/setup/report.ts'
import type { Wheel } from '../../src/setup/wheels.ts'

/** Writes a wheel that pip accepts, with the given files in it. */
export async function makeWheel(folder: string, file: string, content: Record<string, string>): Promise<Wheel> {
  const [name = '', version = '', ...tags] = file.replace('.whl', '').split('-')
  const info = `${name}-${version}.dist-info`
  const files = {
    ...content,
    [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`,
    [`${info}/WHEEL`]: `Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: ${tags.join('-')}\n`,
  }
  const script = 'import json,sys,zipfile\nz=zipfile.ZipFile(sys.argv[1],"w")\nfor n,t in json.loads(sys.argv[2]).items(): z.writestr(n,t)\nz.close()'
  execFileSync('python3', ['-c', script, join(folder, file), JSON.stringify(files)])
  return { file, sha256: await sha256(join(folder, file)) }
}

/** Serves the wheels of a folder as a package index and points pip to it until `close`. */
export async function serveIndex(folder: string): Promise<{ readonly requests: string[]; close(): Promise<void> }> {
  const requests: string[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    requests.push(path)
    const file = /^\/files\/([\w.-]+)$/.exec(path)?.[1]
    if (file === undefined) {
      const wheel = `${(/^\/simple\/([\w-]+)\/$/.exec(path)?.[1] ?? '').replaceAll('-', '_')}-1.0-py3-none-any.whl`
      response.setHeader('Content-Type', 'text/html').end(`<a href="/files/${wheel}">${wheel}</a>`)
      return
    }
    readFile(join(folder, file)).then((content) => response.end(content), () => response.writeHead(404).end())
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  vi.stubEnv('PIP_INDEX_URL', `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple`)
  for (const name of ['PIP_FIND_LINKS', 'PIP_EXTRA_INDEX_URL', 'PIP_NO_INDEX', 'PIP_CONFIG_FILE', 'HTTP_PROXY', 'http_proxy']) vi.stubEnv(name, undefined)
  return {
    requests,
    close: async () => {
      vi.unstubAllEnvs()
      await new Promise((closed) => server.close(closed))
    },
  }
}

/** A context that keeps what was reported. */
export function recordingContext(signal: AbortSignal = new AbortController().signal): SetupContext & { readonly reports: Progress[]; texts(): string[] } {
  const reports: Progress[] = []
  return {
    reports,
    texts: () => reports.flatMap((progress) => (progress.kind === 'bytes' ? [] : [progress.text])),
    report: (progress) => void reports.push(progress),
    signal,
  }
}
