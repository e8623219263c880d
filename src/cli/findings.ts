import type { Finding } from '../setup/doctor.ts'

/**
 * The findings as aligned text, one a line, with the fix under each problem.
 *
 * @example
 * console.log(formatFindings(await diagnose(process.cwd())))
 */
export function formatFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ name }) => name.length))
  const lines = findings.flatMap(({ name, value, fix }) => {
    const mark = fix === undefined ? 'ok     ' : 'problem'
    const indent = ' '.repeat(mark.length + width + 4)
    const text = value.split('\n').join(`\n${indent}`)
    return [`${mark}  ${name.padEnd(width)}  ${text}`, ...(fix === undefined ? [] : [`${indent}fix: ${fix}`])]
  })
  const problems = findings.filter(({ fix }) => fix !== undefined).length
  const verdict = problems === 0 ? 'Everything works.' : `${problems} ${problems === 1 ? 'problem' : 'problems'} found.`
  return [...lines, '', verdict].join('\n')
}
