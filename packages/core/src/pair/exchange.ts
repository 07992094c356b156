/**
 * Mappings to and from the peer: everything once when the link comes up, then each change, in bounded messages that
 * are acknowledged. Since merging is a join, sending too much or twice is only a waste.
 *
 * Invariant: while the link is up, every mapping that was in the cache at link-up or was offered since is acknowledged,
 * under way, or waiting here. Does not know how bytes travel.
 */
import type { FqdnCache, Mapping } from '../fqdn/cache.js';

/** Mappings in one message at most. */
export const MAPPINGS_PER_MESSAGE = 512;
/** Messages not yet acknowledged at most; a slow peer then holds the sender back. */
export const MESSAGES_UNACKED_MAX = 16;
/** Changes that wait for their turn at most; beyond that the whole cache is sent again. */
const WAITING_MAX = 20_000;

export interface MappingsMessage {
  readonly sequence: number;
  readonly mappings: readonly Mapping[];
}

export class MappingExchange {
  private readonly cache: FqdnCache;
  private waiting: Mapping[] = [];
  private position = 0;
  private sequence = 0;
  private acked = 0;
  private up = false;

  constructor(cache: FqdnCache) {
    this.cache = cache;
  }

  /** Mappings that the peer has not acknowledged yet, to the next message. */
  get lag(): number {
    return this.waiting.length - this.position + (this.sequence - this.acked) * MAPPINGS_PER_MESSAGE;
  }

  linkUp(): void {
    this.up = true;
    this.sequence = 0;
    this.acked = 0;
    this.sendAll();
  }

  linkDown(): void {
    this.up = false;
    this.waiting = [];
    this.position = 0;
  }

  /** A mapping that this member learned. */
  offer(mapping: Mapping): void {
    if (!this.up) return;
    if (this.waiting.length - this.position >= WAITING_MAX) this.sendAll();
    else this.waiting.push(mapping);
  }

  /** The next message to send, or null while there is none or the peer is behind. */
  next(): MappingsMessage | null {
    if (!this.up || this.position >= this.waiting.length) return null;
    if (this.sequence - this.acked >= MESSAGES_UNACKED_MAX) return null;
    const mappings = this.waiting.slice(this.position, this.position + MAPPINGS_PER_MESSAGE);
    this.position += mappings.length;
    if (this.position === this.waiting.length) {
      this.waiting = [];
      this.position = 0;
    }
    return { sequence: ++this.sequence, mappings };
  }

  acknowledged(sequence: number): void {
    if (sequence > this.acked && sequence <= this.sequence) this.acked = sequence;
  }

  private sendAll(): void {
    this.waiting = [...this.cache.everything()];
    this.position = 0;
  }
}
