#!/usr/bin/env node
import { libraryVersion } from '../base/engine/version.ts'
import { PeftError } from '../errors.ts'
import { HELP } from './help.ts'
import { FAILED, MISUSED, UsageError, type Command } from './usage.ts'

/** Each is loaded when it is called. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  setup: async () => (await import('./commands/setup.ts')).setup,
  doctor: async () => (await import('./commands/doctor.ts')).doctor,
  demo: async () => (await import('./commands/demo.ts')).demo,
  train: async () => (await import('./commands/train.ts')).train,
  init: async () => (await import('./commands/init.ts')).initCommand,
  inspect: async () => (await import('./commands/inspect.ts')).inspectCommand,
  eval: async () => (await import('./commands/eval.ts')).evaluateCommand,
  predict: async () => (await import('./commands/predict.ts')).predictCommand,
  generate: async () => (await import('./commands/generate.ts')).generateCommand,
  chat: async () => (await import('./commands/chat.ts')).chatCommand,
  merge: async () => (await import('./commands/merge.ts')).mergeCommand,
  convert: async () => (await import('./commands/convert.ts')).convertCommand,
  push: async () => (await import('./commands/push.ts')).pushCommand,
  'check-adapter': async () => (await import('./commands/check-adapter.ts')).checkAdapterCommand,
  launch: async () => (await import('./commands/launch.ts')).launchWorkers,
}

async function main([command, ...rest]: readonly string[]): Promise<number> {
  if (command === '--version') console.log(libraryVersion())
  else if (command === '--help' || command === '-h') process.stdout.write(HELP)
  else {
    const found = command !== undefined && Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined
    if (found === undefined) throw new UsageError(`expected a command, ${Object.keys(COMMANDS).join(', ')}${command === undefined ? '' : `; got '${command}'`}`)
    return (await found())(rest)
  }
  return 0
}

function explain(error: unknown): number {
  if (error instanceof UsageError) {
    console.error(`tfjs-peft: ${error.message}. \`tfjs-peft --help\` lists all.`)
    return MISUSED
  }
  console.error(`tfjs-peft: ${error instanceof PeftError ? error.message : String((error as Error).stack)}`)
  return FAILED
}

process.exitCode = await main(process.argv.slice(2)).catch(explain)
