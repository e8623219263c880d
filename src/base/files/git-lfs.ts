// What a clone has in place of a large file until `git lfs pull` has fetched it.

const BEGINNING = 'version https://git-lfs.github.com/spec/'

export const POINTER = 'it is a pointer of Git LFS, a few lines in place of the file. Fetch the file, git lfs install and git lfs pull in its clone, or download it again.'

/** @param begin the first bytes of a file, or more of them */
export function isPointer(begin: Uint8Array): boolean {
  return Buffer.from(begin.subarray(0, BEGINNING.length)).toString('latin1') === BEGINNING
}

/** So many bytes tell. */
export const POINTER_BYTES: number = BEGINNING.length
