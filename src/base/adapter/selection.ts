import type { Tower } from '../sites.ts'

/** What a file's settings say beside the names of modules. */
export interface FileRules {
  /** Its path, for errors. */
  readonly file: string
  /** Expressions for the name of the list of layers; the first number behind any name where there are none. */
  readonly layersPattern: readonly string[]
  /** Names of modules that are trained in full, which no method takes. */
  readonly inFull: readonly string[]
}

/** Which modules a method takes; the rules of HF PEFT. */
export interface Selection {
  /**
   * Module names, matched whole or as the end of a path; or one text: `'all-linear'` for every product but the head,
   * otherwise a regular expression for the whole path, in Python's form, as files have it. @default the method's own choice
   */
  readonly targets?: readonly string[] | string
  /** Module names, or a regular expression, to leave out. */
  readonly exclude?: readonly string[] | string
  /** Numbers of the layers to take, of every tower of a model that has several. @default all */
  readonly layers?: readonly number[]
  /** The one tower to take modules of, where the model has several. @default all */
  readonly tower?: Tower
  /** Set by the readers of files, in which HF PEFT's rules hold to the letter. @internal */
  readonly inFile?: FileRules
}
