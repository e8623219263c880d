// The kernel's compiler watches files, and the kernel stops with an error when one of them changes between two cells: when a
// cell saves an adapter, for example. Nothing that a notebook imports changes while it runs, so nothing is watched.
const fs = require('node:fs')

const watcher = () => ({ on: () => undefined, close() {} })
fs.watch = watcher
fs.watchFile = watcher
