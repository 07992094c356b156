/**
 * How much may wait in the shared sockets: much for a burst, little where more is asked than is answered for long. There every query would
 * wait as long as it takes to answer all that fits, and be answered late, if not too late; and what has waited long has left the caches.
 * Only of a member's own sockets: those of a peer that it answers for stay as they are.
 */
import { QUEUED_MAX_MS } from '@tandem/core';
import { type Reactor, setReceiveBuffer } from 'node-reuseport';
import type { Listener } from './listeners.js';

/**
 * Some 40,000 small queries, as the kernel counts them: a member that has just started, with cold code on busy cores, is behind by
 * several tenths of a second at 25,000 queries/s; what does not fit is lost.
 */
export const BURST_BUFFER_BYTES = 16 * 1024 * 1024;
/** Some 2,500. */
const OVERLOAD_BUFFER_BYTES = 1024 * 1024;

export class ReceiveBuffers {
  private readonly reactor: Pick<Reactor, 'queuedMs'>;
  private readonly fds: readonly number[];
  private readonly isShort: boolean[];

  /** The reactor has the listeners by their places in the list. A socket may come from a member that was overloaded. */
  constructor(reactor: Pick<Reactor, 'queuedMs'>, listeners: readonly Listener[]) {
    this.reactor = reactor;
    this.fds = listeners.map(({ udp }) => udp);
    this.isShort = this.fds.map(() => true);
    this.tick();
  }

  /** To be called every now and then. What has waited until it is dropped was no burst. */
  tick(): void {
    for (let index = 0; index < this.fds.length; index++) {
      const queuedMs = this.reactor.queuedMs(index);
      const isShort = this.isShort[index] ? queuedMs > 0 : queuedMs >= QUEUED_MAX_MS;
      if (isShort === this.isShort[index]) continue;
      this.isShort[index] = isShort;
      setReceiveBuffer(this.fds[index], isShort ? OVERLOAD_BUFFER_BYTES : BURST_BUFFER_BYTES);
    }
  }
}
