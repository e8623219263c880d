
import type { Selection } from '../base/adapter/selection.ts'

/** Options of (IA)³. Which modules it takes: `targets`, `exclude`, `layers`; key, value and the feed-forward's last when none are named. */
export interface Ia3Options extends Selection {
  /**
   * Of the modules taken, those whose input is scaled instead of their output: ends of their paths, or one of Python's
   * regular expressions for the whole path. @default the feed-forward's last product
   */
  readonly feedForward?: readonly string[] | string
}
