import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'

/**
 * The folder that keeps the engine for all projects of this user: `TFJS_PEFT_CACHE`, else the system's own place
 * for caches.
 *
 * @example
 * cacheFolder()   // '/home/ada/.cache/tfjs-peft'
 */
export function cacheFolder(): string {
  const { TFJS_PEFT_CACHE, XDG_CACHE_HOME, LOCALAPPDATA } = process.env
  if (TFJS_PEFT_CACHE) return resolve(TFJS_PEFT_CACHE)
  // The XDG specification says to ignore a path that is not absolute.
  if (XDG_CACHE_HOME && isAbsolute(XDG_CACHE_HOME)) return join(XDG_CACHE_HOME, 'tfjs-peft')
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'tfjs-peft')
  if (process.platform === 'win32') return join(LOCALAPPDATA ?? join(homedir(), 'AppData', 'Local'), 'tfjs-peft', 'Cache')
  return join(homedir(), '.cache', 'tfjs-peft')
}
