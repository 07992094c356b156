/**
 * The network of the pair link: streams of messages, each a copy of bytes.
 *
 * Invariant: within a stream nothing is lost, repeated or reordered; two streams (an old and a new link) may overtake
 * each other. A partition ends every stream, at each end after a while of its own, and what was under way is lost.
 */
import type { EventQueue } from '../base/event-queue.js';
import type { RandomStream } from '../base/random-stream.js';

export interface StreamEnd {
  onMessage(bytes: Uint8Array): void;
  onClosed(): void;
}

export class LossyLink {
  delayMs: readonly [number, number] = [0.05, 2];
  private readonly queue: EventQueue;
  private readonly random: RandomStream;
  private readonly streams = new Set<Stream>();
  private cutNow = false;

  constructor(queue: EventQueue, random: RandomStream) {
    this.queue = queue;
    this.random = random;
  }

  get isCut(): boolean {
    return this.cutNow;
  }

  /** A stream between two ends; null while the network is cut. */
  connect(a: StreamEnd, b: StreamEnd): Stream | null {
    if (this.cutNow) return null;
    const stream = new Stream(this.queue, () => this.random.between(this.delayMs[0], this.delayMs[1]), [a, b], () => this.streams.delete(stream));
    this.streams.add(stream);
    return stream;
  }

  cut(): void {
    this.cutNow = true;
    for (const stream of [...this.streams]) stream.breakOff();
  }

  heal(): void {
    this.cutNow = false;
  }

  /** Ends the streams that are up, nothing else. */
  reset(): void {
    for (const stream of [...this.streams]) stream.breakOff();
  }
}

export class Stream {
  private readonly queue: EventQueue;
  private readonly delay: () => number;
  private readonly ends: readonly [StreamEnd, StreamEnd];
  private readonly onEnd: () => void;
  /** When the latest message to each end arrives: none may overtake it. */
  private readonly arrivesMs = [0, 0];
  private isBroken = false;
  private readonly closed = [false, false];

  constructor(queue: EventQueue, delay: () => number, ends: readonly [StreamEnd, StreamEnd], onEnd: () => void) {
    this.queue = queue;
    this.delay = delay;
    this.ends = ends;
    this.onEnd = onEnd;
  }

  /** To the other end than `from` (0 or 1). */
  send(from: number, bytes: Uint8Array): void {
    if (this.isBroken || this.closed[from]) return;
    const to = 1 - from;
    this.arrivesMs[to] = Math.max(this.arrivesMs[to], this.queue.nowMs + this.delay());
    this.queue.at(this.arrivesMs[to], () => {
      if (!this.isBroken && !this.closed[to]) this.ends[to].onMessage(bytes);
    });
  }

  /** One end closes; the other learns of it after what was sent before. */
  close(from: number): void {
    if (this.closed[from]) return;
    this.closed[from] = true;
    this.onEnd();
    const to = 1 - from;
    this.queue.at(Math.max(this.arrivesMs[to], this.queue.nowMs + this.delay()), () => this.end(to));
  }

  breakOff(): void {
    if (this.isBroken) return;
    this.isBroken = true;
    this.onEnd();
    this.queue.after(this.delay(), () => this.end(0));
    this.queue.after(this.delay(), () => this.end(1));
  }

  private end(which: number): void {
    if (this.closed[which]) return;
    this.closed[which] = true;
    this.ends[which].onClosed();
  }
}
