import { FAILED, parse } from '../usage.ts'

/** Says what works and what does not. */
export async function doctor(args: string[]): Promise<number> {
  const { json } = parse(args, { json: { type: 'boolean' } })
  const { diagnose } = await import('../../setup/doctor.ts')
  const { formatFindings } = await import('../findings.ts')
  const findings = await diagnose(process.cwd())
  const ok = findings.every(({ fix }) => fix === undefined)
  console.log(json ? JSON.stringify({ ok, findings }, undefined, 2) : formatFindings(findings))
  return ok ? 0 : FAILED
}
