// Loaded into the kernel before anything else.
const fs = require('node:fs')
const process = require('node:process')

// The kernel's compiler watches files, and the kernel stops with an error when one of them changes between two cells: when a
// cell saves an adapter, for example. Nothing that a notebook imports changes while it runs, so nothing is watched.
const watcher = () => ({ on: () => undefined, close: () => undefined })
fs.watch = watcher
fs.watchFile = watcher

// The kernel goes on when a promise fails that nobody waits for. Here the notebook fails, but for two of the kernel's own: the way
// it goes when it is told to, and a first question that comes before its sockets stand, which the client asks again.
process.on('unhandledRejection', (error) => {
  if (error?.message === 'Socket is closed') process.exit(0)
  if (error?.message === 'Socket is blocked by a bind or unbind operation') return
  fs.writeSync(2, `A promise failed that no cell waits for: ${error?.stack ?? error}\n`)
  process.exit(1)
})
