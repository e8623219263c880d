import { fail } from './values.ts'

const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const months = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December']

/** `datetime.strftime` in English, local time. */
export function timeText(time: Date, format: string): string {
  const two = (value: number): string => String(value).padStart(2, '0')
  const hour = time.getHours() % 12 === 0 ? 12 : time.getHours() % 12
  const day = Math.round((Date.UTC(time.getFullYear(), time.getMonth(), time.getDate()) - Date.UTC(time.getFullYear(), 0, 0)) / 86_400_000)
  const parts: Readonly<Record<string, string>> = {
    '%': '%', Y: String(time.getFullYear()), y: two(time.getFullYear() % 100), m: two(time.getMonth() + 1), d: two(time.getDate()),
    H: two(time.getHours()), I: two(hour), M: two(time.getMinutes()), S: two(time.getSeconds()), p: time.getHours() < 12 ? 'AM' : 'PM',
    A: days[time.getDay()] ?? '', a: (days[time.getDay()] ?? '').slice(0, 3), B: months[time.getMonth()] ?? '', b: (months[time.getMonth()] ?? '').slice(0, 3),
    j: String(day).padStart(3, '0'), w: String(time.getDay()),
  }
  return format.replace(/%(-?)([\s\S]?)/g, (whole, bare: string, letter: string) => {
    const part = parts[letter] ?? fail(`strftime_now: ${whole} is not supported; known are ${Object.keys(parts).map((each) => `%${each}`).join(' ')}`)
    return bare === '' ? part : part.replace(/^0+(?=.)/, '')
  })
}
