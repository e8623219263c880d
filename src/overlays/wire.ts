import { moduleKeys, type Wire } from '../base/adapter/file-format.ts'

/** Copies under their own names, for methods that HF PEFT does not have: only this library reads such files. */
export function copiesWire(type: string): Wire {
  return { type, format: 'own', fields: { done: [], off: {}, idle: [] }, config: () => ({}), ...moduleKeys({ at: {} }) }
}
