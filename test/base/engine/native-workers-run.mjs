// So many threads that run fused kernels at the same time; prints what each tells, once all have ended.

import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'

const runWorker = () => new Promise((resolve, reject) => {
  const worker = new Worker(fileURLToPath(import.meta.resolve('./native-worker.mjs')))
  let answer
  worker.once('message', (message) => { answer = message })
  worker.once('error', reject)
  worker.once('exit', (code) => (answer !== undefined && code === 0 ? resolve(answer) : reject(new Error(`a thread ended with exit code ${code}, ${answer === undefined ? 'without' : 'after'} an answer`))))
})

process.stdout.write(`${JSON.stringify(await Promise.all(Array.from({ length: Number(process.argv[2]) }, runWorker)))}\n`)
