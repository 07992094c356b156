/**
 * A place in the change log, from which a link reads on. Whoever no longer reads closes it.
 *
 * Invariant: what is before `position` was taken, or need not be; what is behind it is in the log, or the reader is lost. It does not
 * know what is done with what it takes.
 */
import type { Clean, Mapping } from '../fqdn/mapping.js';
import { type ChangeLog, NO_PLACE, type Place } from './change-log.js';

/** A part of what there is to send. */
export interface Batch {
  readonly mappings: Mapping[];
  readonly cleans: Clean[];
}

export interface ReadFrom {
  /** Changes up to this revision are read. */
  readonly after: number;
  /** Not told what this incarnation taught. */
  readonly except: string;
}

export class ChangeReader {
  private readonly log: ChangeLog;
  private readonly except: string;
  private readonly onClose: (reader: ChangeReader) => void;
  private next: Place = NO_PLACE;
  private read: number;
  private count = 0;
  private lost = false;

  constructor(log: ChangeLog, { after, except }: ReadFrom, onClose: (reader: ChangeReader) => void) {
    this.log = log;
    this.except = except;
    this.read = after;
    this.onClose = onClose;
  }

  /** Changes that are to be taken; of mappings that have left the cache, too, until they are come to. */
  get pending(): number {
    return this.count;
  }

  /** Every change up to this revision was taken, or need not be. */
  get position(): number {
    return this.read;
  }

  /** A change went out of the log before it was taken. */
  get isLost(): boolean {
    return this.lost;
  }

  /** At most so many changes, of which at most so many cleans. */
  take(max: number, cleansMax: number): Batch {
    const { log } = this;
    const batch: Batch = { mappings: [], cleans: [] };
    while (this.count > 0 && batch.mappings.length + batch.cleans.length < max) {
      const place = this.next;
      if (this.counts(place)) {
        if (log.isClean(place) && batch.cleans.length === cleansMax) break;
        this.add(place, batch);
        this.count--;
      }
      this.read = log.revisionOf(place);
      this.next = log.after(place);
    }
    if (this.count === 0) this.skip();
    return batch;
  }

  close(): void {
    this.onClose(this);
  }

  /** The log's: an older change that is to be read. */
  prepend(place: Place): void {
    this.next = place;
    if (this.counts(place)) this.count++;
  }

  /** The log's: a new change at the end. */
  append(place: Place): void {
    if (this.next === NO_PLACE) this.next = place;
    if (this.counts(place)) this.count++;
    if (this.count === 0) this.skip();
  }

  /** The log's: a change moves to the end. */
  leaves(place: Place): void {
    if (this.log.revisionOf(place) <= this.read) return;
    if (this.counts(place)) this.count--;
    if (this.next === place) this.next = this.log.after(place);
  }

  /** The log's: a change goes for good. */
  dropped(place: Place): void {
    if (this.log.revisionOf(place) > this.read && this.counts(place) && this.log.isThere(place)) this.lost = true;
    this.leaves(place);
  }

  private add(place: Place, { mappings, cleans }: Batch): void {
    if (this.log.isClean(place)) {
      cleans.push(this.log.cleanAt(place));
      return;
    }
    const mapping = this.log.mappingAt(place);
    if (mapping !== null) mappings.push(mapping);
  }

  /** What is left came from the one who is not told again. */
  private skip(): void {
    for (let place = this.next; place !== NO_PLACE; place = this.log.after(place)) this.read = this.log.revisionOf(place);
    this.next = NO_PLACE;
  }

  private counts(place: Place): boolean {
    return this.log.teacherOf(place) !== this.except;
  }
}
