/** What a run may end by besides its end. */

/** A checker found that a promise was broken. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise';
}

/** Unwinds the turn of a process that was killed in the middle of it. */
export class Killed extends Error {
  override readonly name = 'Killed';
}
