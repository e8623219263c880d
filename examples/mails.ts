// The mails of the examples and benchmarks; `tfjs-peft demo` reads the same.

import { mailReaders, type Readers } from '../src/cli/demo/mails.ts'

export { splitMails, type Mail } from '../src/cli/demo/mails.ts'

export const { loadMails, readText }: Readers = mailReaders(import.meta.url)
