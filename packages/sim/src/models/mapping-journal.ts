/**
 * The mappings that a member learned last, where its peer can read them after its end: as host's mapping-journal.ts, in two
 * halves of which one is filled while the other holds what came before.
 *
 * Invariant: written before the answer leaves; never read while its writer lives. Records stand for their bytes.
 */

/** Of ordinary names, as many as a half has room for. */
const HALF_RECORDS = 3500;

export class MappingJournal<T> {
  private older: readonly T[] = [];
  private newer: T[] = [];

  append(record: T): void {
    if (this.newer.length === HALF_RECORDS) {
      this.older = this.newer;
      this.newer = [];
    }
    this.newer.push(record);
  }

  /** Oldest first. */
  records(): readonly T[] {
    return [...this.older, ...this.newer];
  }
}
