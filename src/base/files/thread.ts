import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'

/**
 * A thread that runs the module of this name beside the caller's. Its errors are for those who ask it something: nobody misses one that
 * idles.
 *
 * @param caller `import.meta.url`
 * @param workerData what it begins with
 */
export function newThread(module: string, caller: string, workerData?: unknown): Worker {
  const url = new URL(`./${module}${extname(caller)}`, caller)
  // From the sources, as tests run: a thread does not compile TypeScript by itself.
  const compiled = `import('tsx/esm/api').then(({ register }) => (register(), import(${JSON.stringify(url.href)})))`
  // Of a program on the command line: a thread takes its flags, and a module in a file none of that kind.
  const flags = process.execArgv.some((flag) => flag.startsWith('--input-type')) ? { execArgv: [] } : {}
  const worker = url.href.endsWith('.ts') ? new Worker(compiled, { workerData, eval: true, ...flags }) : new Worker(url, { workerData, ...flags })
  worker.on('error', () => undefined)
  return worker
}
