/**
 * What happened, as a hash over every event and, when asked for, as lines. Two runs of one seed have the same hash.
 *
 * Each event is a code and three numbers, so that a run without lines builds no strings.
 */

/** Event names, in the order of their codes. */
export const EVENTS = [
  'start', 'serve', 'killed', 'exit', 'pause', 'resume', 'drain', 'starve', 'fed', 'query', 'ask', 'upstream', 'reply', 'client', 'lost',
  'adopt', 'return', 'taken', 'policy', 'publish', 'link', 'cut', 'heal', 'clean', 'learned', 'disk', 'fault', 'phase', 'opened', 'cut-off',
] as const;
export type EventName = (typeof EVENTS)[number];
export const EVENT = Object.fromEntries(EVENTS.map((name, code) => [name, code])) as Record<EventName, number>;

export type Listener = (timeMs: number, event: number, a: number, b: number, c: number) => void;

export class Transcript {
  private high = 0x811c9dc5;
  private low = 0xc2b2ae35;
  private events = 0;
  private readonly listener: Listener | null;

  constructor(listener: Listener | null = null) {
    this.listener = listener;
  }

  get count(): number {
    return this.events;
  }

  /** Numbers below 2^32 count whole, times to a 1024th of a millisecond. */
  add(timeMs: number, event: number, a = 0, b = 0, c = 0): void {
    this.events++;
    this.mix(Math.floor(timeMs * 1024) | 0);
    this.mix(event);
    this.mix(a);
    this.mix(b);
    this.mix(c);
    if (this.listener !== null) this.listener(timeMs, event, a, b, c);
  }

  /** 16 hexadecimal digits. */
  hash(): string {
    return [this.high, this.low].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  }

  private mix(value: number): void {
    this.high = Math.imul(this.high ^ value, 0x01000193);
    this.low = Math.imul(this.low ^ value ^ (this.high >>> 13), 0x85ebca6b);
  }
}
