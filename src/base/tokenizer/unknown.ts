import { InputError } from '../../errors.ts'

/** A word that no token stands for. */
export function noToken(token: string): InputError {
  return new InputError(`the tokenizer has no id for ${JSON.stringify(token)} and no token for the unknown. Add an unk_token to tokenizer.json`)
}
