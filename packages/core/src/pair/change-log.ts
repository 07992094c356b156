/**
 * What changed here lately, by revision: each mapping and each clean that this member originated, or was taught and did
 * not know. A link reads on from the revision that its peer has seen.
 *
 * Invariant: between `floor` and `revision` every change is in the log, but of mappings that the cache does not have any more. It knows
 * a mapping by its row in the cache's table, and reads it there: one that is renewed moves to the end, as a clean does that is made
 * again. A mapping that leaves the cache is passed over from then on: what took it is in the log itself (a clean, or a mapping that
 * beats it), or is for the peer to judge (its time, a bound). It does not know how readers send what they read.
 */
import { grown, moreRows } from '../base/columns.js';
import { type Clean, type Mapping, targetOf } from '../fqdn/mapping.js';
import { type MappingTable, NO_ROW, type Row } from '../fqdn/mapping-table.js';
import { ChangeReader } from './change-reader.js';

/** Changes kept at most; the oldest goes first, and a reader that had not read it is lost. */
export const CHANGES_MAX = 65_536;

const FIRST_REVISION = 1;

/** A change's place in the columns: the log holds a list of them, the oldest first. */
export type Place = number;
export const NO_PLACE = 0;

export class ChangeLog {
  private readonly table: MappingTable;
  private readonly max: number;
  private readonly readers = new Set<ChangeReader>();
  private readonly cleans = new Map<Place, Clean>();
  private readonly placesOfCleans = new Map<string, Place>();
  /** NO_ROW: a clean, or nothing. A row's mark is its place: the two say so of each other, else the row is another mapping's by now. */
  private rows = new Uint32Array(1);
  private revisions = new Float64Array(1);
  private earlier = new Uint32Array(1);
  private later = new Uint32Array(1);
  private readonly teachers: (string | null)[] = [null];
  private free: Place = NO_PLACE;
  private oldest: Place = NO_PLACE;
  private newest: Place = NO_PLACE;
  private count = 0;
  /** What the cache held before the first change counts as one: a peer that was taught it all has seen this revision. */
  private last = FIRST_REVISION;
  private dropped = FIRST_REVISION;

  /** `table`: the cache's, whose marks are this log's from here on. `max`: changes kept. */
  constructor(table: MappingTable, max = CHANGES_MAX) {
    this.table = table;
    this.max = max;
  }

  /** Of the newest change. */
  get revision(): number {
    return this.last;
  }

  /** Changes up to and including this revision are not all here any more. */
  get floor(): number {
    return this.dropped;
  }

  get size(): number {
    return this.count;
  }

  /** A mapping, as `FqdnCache.merge` returned it. `from`: the incarnation that taught it, which is not sent it again; null for a change of our own. */
  mapping(row: Row, from: string | null): void {
    const known = this.table.mark(row);
    if (known !== NO_PLACE && this.rows[known] === row) {
      this.renew(known, from);
      return;
    }
    const place = this.add(from);
    this.rows[place] = row;
    this.table.setMark(row, place);
    this.bound();
  }

  clean(clean: Clean, from: string | null): void {
    const target = targetOf(clean);
    const known = this.placesOfCleans.get(target);
    const place = known === undefined ? this.add(from) : this.renew(known, from);
    this.cleans.set(place, clean);
    this.placesOfCleans.set(target, place);
    this.bound();
  }

  /** Reads on after a revision, without what `except` taught; null when not everything since is here. */
  reader(after: number, except: string): ChangeReader | null {
    if (after < this.dropped || after > this.last) return null;
    const reader = new ChangeReader(this, { except, after }, (one) => this.readers.delete(one));
    for (let place = this.newest; place !== NO_PLACE && this.revisions[place] > after; place = this.earlier[place]) reader.prepend(place);
    this.readers.add(reader);
    return reader;
  }

  revisionOf(place: Place): number {
    return this.revisions[place];
  }

  teacherOf(place: Place): string | null {
    return this.teachers[place];
  }

  after(place: Place): Place {
    return this.later[place];
  }

  /** False for a mapping that has left the cache. */
  isThere(place: Place): boolean {
    const row = this.rows[place];
    return row === NO_ROW || this.table.mark(row) === place;
  }

  isClean(place: Place): boolean {
    return this.rows[place] === NO_ROW;
  }

  cleanAt(place: Place): Clean {
    return this.cleans.get(place)!;
  }

  /** As it is now; null when it has left the cache. */
  mappingAt(place: Place): Mapping | null {
    return this.isThere(place) ? this.table.at(this.rows[place]) : null;
  }

  private renew(place: Place, from: string | null): Place {
    for (const reader of this.readers) reader.leaves(place);
    this.unlink(place);
    this.append(place, from);
    return place;
  }

  private add(from: string | null): Place {
    let place = this.free;
    if (place !== NO_PLACE) {
      this.free = this.later[place];
    } else {
      place = this.teachers.length;
      if (place === this.rows.length) this.grow();
    }
    this.count++;
    this.append(place, from);
    return place;
  }

  private append(place: Place, from: string | null): void {
    this.revisions[place] = ++this.last;
    this.teachers[place] = from;
    this.earlier[place] = this.newest;
    this.later[place] = NO_PLACE;
    if (this.newest === NO_PLACE) this.oldest = place;
    else this.later[this.newest] = place;
    this.newest = place;
    for (const reader of this.readers) reader.append(place);
  }

  private bound(): void {
    if (this.count > this.max) this.drop(this.oldest);
  }

  private drop(place: Place): void {
    for (const reader of this.readers) reader.dropped(place);
    this.unlink(place);
    this.dropped = this.revisions[place];
    const clean = this.cleans.get(place);
    if (clean !== undefined) {
      this.cleans.delete(place);
      this.placesOfCleans.delete(targetOf(clean));
    }
    this.rows[place] = NO_ROW;
    this.later[place] = this.free;
    this.free = place;
    this.count--;
  }

  private unlink(place: Place): void {
    const { earlier, later } = this;
    const [before, after] = [earlier[place], later[place]];
    if (before === NO_PLACE) this.oldest = after;
    else later[before] = after;
    if (after === NO_PLACE) this.newest = before;
    else earlier[after] = before;
    earlier[place] = NO_PLACE;
    later[place] = NO_PLACE;
  }

  private grow(): void {
    const places = Math.min(moreRows(this.rows.length), this.max + 2);
    this.rows = grown(this.rows, places);
    this.revisions = grown(this.revisions, places);
    this.earlier = grown(this.earlier, places);
    this.later = grown(this.later, places);
  }
}
