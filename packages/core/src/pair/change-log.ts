/**
 * What changed here lately, by revision: each mapping and each clean that this member originated, or was taught and did
 * not know. A link reads on from the revision that its peer has seen.
 *
 * Invariant: between `floor` and `revision` every change is in the log. It holds the cache's own copies of mappings, and knows
 * them by identity: one that is renewed in place is renewed in here, too, and moves to the end, as a clean does that is made
 * again. A mapping that left the cache and came back is there twice until the former goes; the later one beats it wherever it
 * is merged. It does not know how readers send what they read.
 */
import { type Clean, type Mapping, targetOf } from '../fqdn/mapping.js';

/** Changes kept at most; the oldest goes first, and a reader that had not read it is lost. */
export const CHANGES_MAX = 65_536;

const FIRST_REVISION = 1;

/** A part of what there is to send. */
export interface Batch {
  readonly mappings: Mapping[];
  readonly cleans: Clean[];
}

/** A mapping itself, or the target of a clean as text. */
type Key = Mapping | string;

interface Entry {
  readonly key: Key;
  revision: number;
  /** Incarnation of the member that taught it; null for a change of our own. */
  from: string | null;
  content: Mapping | Clean;
  before: Entry | null;
  after: Entry | null;
}

export class ChangeLog {
  private readonly max: number;
  private readonly byKey = new Map<Key, Entry>();
  private readonly readers = new Set<ChangeReader>();
  private oldest: Entry | null = null;
  private newest: Entry | null = null;
  /** What the cache held before the first change counts as one: a peer that was taught it all has seen this revision. */
  private last = FIRST_REVISION;
  private dropped = FIRST_REVISION;

  /** `max`: changes kept. */
  constructor(max = CHANGES_MAX) {
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
    return this.byKey.size;
  }

  /** The cache's own copy, as `FqdnCache.merge` returned it. `from`: the incarnation that taught it, which is not sent it again; null for a change of our own. */
  mapping(mapping: Mapping, from: string | null): void {
    this.put(mapping, mapping, from);
  }

  clean(clean: Clean, from: string | null): void {
    this.put(targetOf(clean), clean, from);
  }

  /** Reads on after a revision, without what `except` taught; null when not everything since is here. */
  reader(after: number, except: string): ChangeReader | null {
    if (after < this.dropped || after > this.last) return null;
    const reader = new ChangeReader(except, after, (one) => this.readers.delete(one));
    for (let entry = this.newest; entry !== null && entry.revision > after; entry = entry.before) reader.prepend(entry);
    this.readers.add(reader);
    return reader;
  }

  private put(key: Key, content: Mapping | Clean, from: string | null): void {
    let entry = this.byKey.get(key);
    if (entry === undefined) {
      entry = { key, revision: 0, from, content, before: null, after: null };
      this.byKey.set(key, entry);
    } else {
      for (const reader of this.readers) reader.leaves(entry);
      this.unlink(entry);
    }
    entry.revision = ++this.last;
    entry.from = from;
    entry.content = content;
    entry.before = this.newest;
    if (this.newest === null) this.oldest = entry;
    else this.newest.after = entry;
    this.newest = entry;
    for (const reader of this.readers) reader.append(entry);
    if (this.byKey.size > this.max) this.drop(this.oldest!);
  }

  private drop(entry: Entry): void {
    for (const reader of this.readers) reader.dropped(entry);
    this.unlink(entry);
    this.byKey.delete(entry.key);
    this.dropped = entry.revision;
  }

  private unlink(entry: Entry): void {
    if (entry.before === null) this.oldest = entry.after;
    else entry.before.after = entry.after;
    if (entry.after === null) this.newest = entry.before;
    else entry.after.before = entry.before;
    entry.before = null;
    entry.after = null;
  }
}

/** A place in the log. Whoever no longer reads closes it. */
export class ChangeReader {
  private readonly except: string;
  private readonly onClose: (reader: ChangeReader) => void;
  private next: Entry | null = null;
  private read: number;
  private count = 0;
  private lost = false;

  constructor(except: string, after: number, onClose: (reader: ChangeReader) => void) {
    this.except = except;
    this.read = after;
    this.onClose = onClose;
  }

  /** Changes that are to be taken. */
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
    const batch: Batch = { mappings: [], cleans: [] };
    while (this.count > 0 && batch.mappings.length + batch.cleans.length < max) {
      const entry = this.next!;
      if (this.counts(entry)) {
        if (isMapping(entry.content)) batch.mappings.push(entry.content);
        else if (batch.cleans.length === cleansMax) break;
        else batch.cleans.push(entry.content);
        this.count--;
      }
      this.read = entry.revision;
      this.next = entry.after;
    }
    if (this.count === 0) this.skip();
    return batch;
  }

  close(): void {
    this.onClose(this);
  }

  /** The log's: an older entry that is to be read. */
  prepend(entry: Entry): void {
    this.next = entry;
    if (this.counts(entry)) this.count++;
  }

  /** The log's: a new entry at the end. */
  append(entry: Entry): void {
    this.next ??= entry;
    if (this.counts(entry)) this.count++;
    if (this.count === 0) this.skip();
  }

  /** The log's: an entry moves to the end. */
  leaves(entry: Entry): void {
    if (entry.revision <= this.read) return;
    if (this.counts(entry)) this.count--;
    if (this.next === entry) this.next = entry.after;
  }

  /** The log's: an entry goes for good. */
  dropped(entry: Entry): void {
    if (entry.revision > this.read && this.counts(entry)) this.lost = true;
    this.leaves(entry);
  }

  /** What is left came from the one who is not told again. */
  private skip(): void {
    for (let entry = this.next; entry !== null; entry = entry.after) this.read = entry.revision;
    this.next = null;
  }

  private counts(entry: Entry): boolean {
    return entry.from !== this.except;
  }
}

function isMapping(content: Mapping | Clean): content is Mapping {
  return 'name' in content;
}
