/** What set-up tells while it works: a step begun, a remark worth reading, or bytes moved within the step. */
export type Progress =
  | { readonly kind: 'step'; readonly text: string }
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'bytes'; readonly done: number; readonly total: number | undefined }

/** Takes each report of a set-up; the command line prints them. */
export type Report = (progress: Progress) => void

/** What every part of a set-up is given: where its reports go, and the signal that stops it. */
export interface SetupContext {
  readonly report: Report
  readonly signal: AbortSignal
}
