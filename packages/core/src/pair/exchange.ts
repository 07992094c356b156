/**
 * Mappings to and from the peer: everything once when the link comes up, then each change, in bounded messages that
 * are acknowledged. Since merging is a join, sending too much or twice is only a waste.
 *
 * Invariant: while the link is up, every mapping that was in the cache at link-up or was offered since is acknowledged,
 * under way, waiting here, gone from the cache, or sent by the pass over the cache that is under way or comes next.
 * Does not know how bytes travel.
 */
import type { FqdnCache, Mapping } from '../fqdn/cache.js';

/** Mappings in one message at most. */
export const MAPPINGS_PER_MESSAGE = 512;
/** Messages not yet acknowledged at most; a slow peer then holds the sender back. */
export const MESSAGES_UNACKED_MAX = 16;
/** Changes that wait for their turn at most; beyond that the whole cache is sent once more, after the pass under way. */
const CHANGES_MAX = 20_000;
/** During a pass changes have so much of each message, so that neither holds up the other. */
const CHANGES_PER_MESSAGE = MAPPINGS_PER_MESSAGE / 2;

export interface MappingsMessage {
  readonly sequence: number;
  readonly mappings: readonly Mapping[];
}

export class MappingExchange {
  private readonly cache: FqdnCache;
  private readonly changes = new Line();
  /** The cache as it was when the pass began. */
  private readonly pass = new Line();
  private isPassOwed = false;
  private sequence = 0;
  private acked = 0;
  private up = false;

  constructor(cache: FqdnCache) {
    this.cache = cache;
  }

  /** Mappings that the peer has not acknowledged yet; those under way are counted as whole messages. */
  get lag(): number {
    const owed = this.isPassOwed ? this.cache.size : 0;
    return this.changes.length + this.pass.length + owed + (this.sequence - this.acked) * MAPPINGS_PER_MESSAGE;
  }

  linkUp(): void {
    this.up = true;
    this.sequence = 0;
    this.acked = 0;
    this.changes.set([]);
    this.startPass();
  }

  linkDown(): void {
    this.up = false;
    this.isPassOwed = false;
    this.changes.set([]);
    this.pass.set([]);
  }

  /** A mapping that this member learned, and has in its cache. */
  offer(mapping: Mapping): void {
    // The pass to come takes it from the cache.
    if (!this.up || this.isPassOwed) return;
    this.changes.push(mapping);
    if (this.changes.length <= CHANGES_MAX) return;
    this.changes.set([]);
    this.isPassOwed = true;
  }

  /** The next message to send, or null while there is none or the peer is behind. */
  next(): MappingsMessage | null {
    if (!this.up || this.sequence - this.acked >= MESSAGES_UNACKED_MAX) return null;
    if (this.pass.length === 0 && this.isPassOwed) this.startPass();
    const changes = this.changes.take(this.pass.length === 0 ? MAPPINGS_PER_MESSAGE : CHANGES_PER_MESSAGE);
    const mappings = [...changes, ...this.pass.take(MAPPINGS_PER_MESSAGE - changes.length)];
    return mappings.length === 0 ? null : { sequence: ++this.sequence, mappings };
  }

  acknowledged(sequence: number): void {
    if (sequence > this.acked && sequence <= this.sequence) this.acked = sequence;
  }

  private startPass(): void {
    this.isPassOwed = false;
    this.pass.set([...this.cache.everything()]);
  }
}

/** First in, first out. */
class Line {
  private items: Mapping[] = [];
  private position = 0;

  get length(): number {
    return this.items.length - this.position;
  }

  set(items: Mapping[]): void {
    this.items = items;
    this.position = 0;
  }

  push(mapping: Mapping): void {
    this.items.push(mapping);
  }

  take(max: number): Mapping[] {
    const taken = this.items.slice(this.position, this.position + max);
    this.position += taken.length;
    // What was taken is let go of now and then, not one by one.
    if (this.position === this.items.length) this.set([]);
    else if (this.position > CHANGES_MAX) this.set(this.items.slice(this.position));
    return taken;
  }
}
