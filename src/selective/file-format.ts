import { moduleKeys, type FileFormat } from '../base/adapter/file-format.ts'

/** Copies under their own names, for methods that HF PEFT does not have: only this library reads such files. */
export function copiesFormat(type: string): FileFormat {
  return { type, kind: 'own', fields: { done: [], off: {}, idle: [] }, config: () => ({}), ...moduleKeys({ at: {} }) }
}
