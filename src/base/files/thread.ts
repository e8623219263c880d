import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'

/**
 * A thread that runs the module of this name beside the caller's. Its errors are for those who ask it something: nobody misses one that
 * idles.
 *
 * @param caller `import.meta.url`
 */
export function newThread(module: string, caller: string): Worker {
  const url = new URL(`./${module}${extname(caller)}`, caller)
  // From the sources, as tests run: a thread does not compile TypeScript by itself.
  const compiled = `import('tsx/esm/api').then(({ register }) => (register(), import(${JSON.stringify(url.href)})))`
  const worker = url.href.endsWith('.ts') ? new Worker(compiled, { eval: true }) : new Worker(url)
  worker.on('error', () => undefined)
  return worker
}
