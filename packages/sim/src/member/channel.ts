/**
 * The Unix socket between two data planes over which sockets and journals are handed over: messages in order, none lost,
 * and an end when one side is gone. Descriptors in a message are duplicates; those nobody reads are closed.
 */
import type { Role } from '@tandem/core';
import type { EventQueue } from '../base/event-queue.js';
import type { Journal } from '../models/journal.js';
import type { MappingJournal } from '../models/mapping-journal.js';
import type { SharedSocket } from '../models/reuseport-switch.js';
import type { LearnedRecord } from './plane.js';

export type HandoverMessage =
  | { readonly kind: 'hello'; readonly role: Role }
  | { readonly kind: 'welcome'; readonly socket: SharedSocket | null }
  | { readonly kind: 'share'; readonly journal: Journal; readonly mappings: MappingJournal<LearnedRecord>; readonly socket: SharedSocket }
  | { readonly kind: 'taken' | 'reading' | 'drain' | 'adopted' | 'busy' };

const DELIVERY_MS = 0.02;

export class ChannelEnd {
  /** Called when there is something to receive. */
  onReady: () => void = () => undefined;
  private readonly queue: EventQueue;
  private readonly inbox: (HandoverMessage | 'end')[] = [];
  private other: ChannelEnd | null = null;
  private isClosed = false;

  private constructor(queue: EventQueue) {
    this.queue = queue;
  }

  static pair(queue: EventQueue): [ChannelEnd, ChannelEnd] {
    const a = new ChannelEnd(queue);
    const b = new ChannelEnd(queue);
    a.other = b;
    b.other = a;
    return [a, b];
  }

  send(message: HandoverMessage): void {
    if (this.isClosed) return;
    socketOf(message)?.duplicate();
    const { other } = this;
    this.queue.after(DELIVERY_MS, () => {
      if (other!.isClosed) socketOf(message)?.close();
      else other!.put(message);
    });
  }

  receive(): HandoverMessage | 'end' | 'none' {
    return this.inbox.shift() ?? 'none';
  }

  get isReadable(): boolean {
    return this.inbox.length > 0;
  }

  /** The other side reads its end `delayMs` later. */
  close(delayMs: number): void {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const message of this.inbox.splice(0)) if (message !== 'end') socketOf(message)?.close();
    const { other } = this;
    this.queue.after(Math.max(delayMs, DELIVERY_MS), () => {
      if (!other!.isClosed) other!.put('end');
    });
  }

  private put(message: HandoverMessage | 'end'): void {
    this.inbox.push(message);
    this.onReady();
  }
}

function socketOf(message: HandoverMessage): SharedSocket | null {
  return message.kind === 'welcome' || message.kind === 'share' ? message.socket : null;
}
