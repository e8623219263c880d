import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Watcher } from './watch.ts'

/**
 * Keeps every event of a training as a line of JSON, with the time it came (`time`, ISO 8601). Each line is in the file
 * as soon as its event has happened, so another program can follow it; a file that is there is continued, by another training too.
 *
 * @param path of the file; missing folders are made
 * @throws what the file system says when the file cannot be written
 * @example
 * await trainer.fit({ watchers: [eventLog('out/spam.jsonl')] })
 */
export function eventLog(path: string): Watcher {
  mkdirSync(dirname(path), { recursive: true })
  let file: number | undefined = openSync(path, 'a')
  return {
    onEvent: (event) => {
      file ??= openSync(path, 'a') // of another training: the number of a closed file may be any other file's by now
      writeSync(file, `${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`)
    },
    close: () => {
      if (file !== undefined) closeSync(file)
      file = undefined
    },
  }
}
