import { existsSync } from 'node:fs'

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome']

/** A browser to look at pages with. @throws with how to get one */
export function chromium(): string {
  const found = [process.env['CHROMIUM'], ...PLACES].find((path) => path !== undefined && existsSync(path))
  if (found !== undefined) return found
  throw new Error(
    `Expected Chromium at ${PLACES.join(', ')} or where the environment variable CHROMIUM says. On Debian: apt-get install chromium; ` +
      'elsewhere: npx playwright-core install chromium, then set CHROMIUM to the path it prints.',
  )
}
