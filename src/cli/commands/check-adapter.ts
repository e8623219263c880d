import { parseArgs } from 'node:util'
import { FAILED, understood, UsageError } from '../usage.ts'

/** Says what a server refuses of an adapter. */
export async function checkAdapterCommand(args: string[]): Promise<number> {
  const { values: { for: server, json }, positionals: [folder, ...more] } = understood(() => parseArgs({ args, options: { for: { type: 'string' }, json: { type: 'boolean' } }, allowPositionals: true }))
  if (folder === undefined || more.length > 0) throw new UsageError('check-adapter: expected one folder with an adapter, as in check-adapter out/spam --for vllm')
  const { checkAdapter, formatServerFindings, isServer } = await import('../check-adapter.ts')
  if (!isServer(server)) throw new UsageError(`check-adapter: --for: expected vllm, sglang or tgi, got ${server ?? 'none'}`)
  const findings = await checkAdapter(folder, server)
  const ok = findings.every(({ effect }) => effect === 'asks')
  console.log(json ? JSON.stringify({ ok, findings }, undefined, 2) : formatServerFindings(folder, server, findings))
  return ok ? 0 : FAILED
}
