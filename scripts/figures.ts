// Writes the pictures of the README: what the library does, and what was measured beside HF PEFT.
//
//   npm run figures

import { join } from 'node:path'
import { writeBesidePeft } from '../bench/beside-peft.ts'
import { writeAtomic } from '../src/base/files/atomic.ts'
import { whatItDoes } from './what-it-does.ts'

await writeAtomic(join(import.meta.dirname, '..', 'docs', 'figures', 'what-it-does.svg'), whatItDoes())
await writeBesidePeft()
