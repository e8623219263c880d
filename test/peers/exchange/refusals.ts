// What may end otherwise than in equal numbers: refusals that are right, each by its own sentence.

import type { Maker } from './recipe.ts'

export interface Refusal {
  /** What the summary calls it. */
  readonly name: string
  readonly pattern: RegExp
  /** Whose cases alone may end so. @default both */
  readonly maker?: Maker
}

/** What this library refuses on purpose. Anything else that it throws is a failure. */
export const REFUSALS: readonly Refusal[] = [
  { name: 'an activation that is not here', pattern: / cannot be used as an? [\w-]+ model:(\n {2}- ((text_config|vision_config)\.)?(hidden_act|hidden_activation|classifier_activation|activation|activation_function): expected '[\w', ]+, got "\w+")+$/ },
  { name: 'PiSSA by a random search, which nobody can repeat', maker: 'peers', pattern: /got "pissa_niter_4", which changed the base weights in a way that cannot be done again; / },
  { name: 'a table trained in full beside a prompt', maker: 'here', pattern: /^save: '[\w.]+' is trained in full beside a prompt, / },
  { name: 'what PEFT would train in full by the end of its name', maker: 'here', pattern: /^save: '[\w.', ]+': HF PEFT would train it in full, / },
  { name: 'LoRA with a bias of its own', maker: 'peers', pattern: / cannot be used as a LoRA:\n {2}- lora_bias: expected false, got true, which is not supported$/ },
  { name: 'LoRA at a table whose tokens are trained', pattern: /^Modules of which tokens are trained and that LoRA takes too; take them out of one:\n/ },
  { name: 'LoRA at a head that is the table whose tokens are trained', pattern: /^lora: '[\w.]+' is one tensor with the table whose tokens are trained, and changes with it; / },
  { name: 'PiSSA and OLoRA at a tied head', maker: 'peers', pattern: /^This LoRA cannot be used:\n {2}- init_lora_weights: a start from the weight of '[\w.]+' changes the table of the words in PEFT, / },
  { name: 'PiSSA and OLoRA at a head that was resized', maker: 'peers', pattern: /^This LoRA cannot be used:\n {2}- init_lora_weights: a start from the weight of '[\w.]+', which had \d+ rows in PEFT and has \d+ here, / },
  // Its file has LoRAs of the tables by names that its own target_modules leave out: PEFT itself reads none of them.
  { name: 'LoRA at tables that share a module, tied', maker: 'peers', pattern: /^The adapter does not fit the model:(\n {2}- unexpected: ((encoder|decoder)\.embed_tokens|shared|lm_head)\.lora_(embedding_)?[AB](\.weight)?)+$/ },
  { name: 'a table whose tokens are trained beside the module that it shares', maker: 'peers', pattern: /^Modules that are adapted and also named in `train`; take them out of one:(\n {2}- '(encoder|decoder)\.embed_tokens')+$/ },
  // Options of this library that cannot be had of the model that was drawn.
  { name: 'targets that leave nothing', maker: 'here', pattern: /^The targets do not fit the model:\n {2}- nothing is left to train$/ },
  { name: 'targets that match nothing', maker: 'here', pattern: /^The targets do not fit the model:\n {2}- (target|exclude|feedForward|layer) / },
  { name: 'modules adapted and trained in full', maker: 'here', pattern: /^Modules that are adapted and also named in `train`; take them out of one:\n/ },
  { name: 'norms tuned and trained in full', maker: 'here', pattern: /^layerNormTuning: all that it would train is named in `train` too; take it out of one:\n/ },
  { name: 'modules to train that are not there', maker: 'here', pattern: /^Modules to train that the model does not have:\n/ },
  { name: 'a start in the weight of a rank above the full one', pattern: /^lora: rank \d+ at '[\w.]+': expected at most \d+, the full rank of its \d+ × \d+ weight\./ },
]
