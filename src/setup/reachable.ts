/** Milliseconds; a host that is out of reach must not cost more. */
const PROBE_TIMEOUT = 5_000

/**
 * Whether the host of `url` answers at all, with whatever status, within five seconds.
 *
 * Behind a proxy the answer is always true: Node's fetch does not go through one, so only the real request can tell.
 */
export async function reachable(url: string, signal: AbortSignal): Promise<boolean> {
  if (['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'].some((name) => process.env[name])) return true
  try {
    await fetch(new URL(url).origin, { method: 'HEAD', signal: AbortSignal.any([signal, AbortSignal.timeout(PROBE_TIMEOUT)]) })
    return true
  } catch {
    signal.throwIfAborted()
    return false
  }
}
