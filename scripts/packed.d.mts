/** See packed.mjs. */
export function packed(): { readonly folder: string; readonly tarball: string }
