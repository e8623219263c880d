// The pictures of the README; `npm run figures` writes them.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { besidePeft } from '../bench/beside-peft.ts'
import { whatItDoes } from '../scripts/what-it-does.ts'
import { root } from './pages.ts'

it.each([['what-it-does.svg', whatItDoes], ['beside-peft.svg', besidePeft]])('%s is what npm run figures writes of what is here now', async (name, make) => {
  expect(await readFile(join(root, 'docs', 'figures', name), 'utf8')).toBe(await make())
})

it('the README shows both', async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  for (const name of ['what-it-does.svg', 'beside-peft.svg']) expect(readme).toContain(`](docs/figures/${name})`)
})
