/**
 * The UDP sockets that questions go out from. Questions pick among the active ones at random; once a second one of them
 * is replaced by a fresh socket on a new port, so that a port is worth guessing for a minute at most and conntrack
 * pins none to a dead backend. A replaced socket still receives for as long as a question from it may be under way.
 */
import { bindSocket, closeFd, openSocket, type Reactor } from 'node-reuseport';
import type { MonoMs } from '@tandem/core';

const REPLACE_EVERY_MS = 1000;
/** Longer than any try takes. */
const RETIRED_FOR_MS = 3000;
const RECEIVE_BUFFER_BYTES = 1024 * 1024;

interface Port {
  readonly number: number;
  readonly fd: number;
}

export class UpstreamPorts {
  private readonly reactor: Reactor;
  private readonly family: 4 | 6;
  private readonly active: Port[] = [];
  private readonly retired: { readonly port: Port; readonly untilMs: number }[] = [];
  private readonly free: number[] = [];
  private oldest = 0;
  private replaceAtMs = 0;

  /** Family 6 sockets also reach IPv4 upstreams. */
  constructor(reactor: Reactor, family: 4 | 6, count: number) {
    this.reactor = reactor;
    this.family = family;
    const retiredMax = Math.ceil(RETIRED_FOR_MS / REPLACE_EVERY_MS) + 1;
    for (let number = count + retiredMax - 1; number >= 0; number--) this.free.push(number);
    for (let i = 0; i < count; i++) this.active.push(this.open());
  }

  numbers(): number[] {
    return this.active.map((port) => port.number);
  }

  /** Replaces and closes what is due; true when `numbers` changed. */
  tick(nowMs: MonoMs): boolean {
    while (this.retired.length > 0 && this.retired[0].untilMs <= nowMs) this.close(this.retired.shift()!.port);
    if (nowMs < this.replaceAtMs) return false;
    const first = this.replaceAtMs === 0;
    this.replaceAtMs = nowMs + REPLACE_EVERY_MS;
    if (first || this.free.length === 0) return false;
    const replaced = this.active[this.oldest];
    this.active[this.oldest] = this.open();
    this.oldest = (this.oldest + 1) % this.active.length;
    this.retired.push({ port: replaced, untilMs: nowMs + RETIRED_FOR_MS });
    return true;
  }

  closeAll(): void {
    for (const port of [...this.active, ...this.retired.map(({ port }) => port)]) this.close(port);
    this.active.length = 0;
    this.retired.length = 0;
  }

  private open(): Port {
    const number = this.free.pop()!;
    const fd = openSocket({
      type: 'udp',
      family: this.family,
      ...(this.family === 6 ? { v6Only: false } : {}),
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
    });
    bindSocket(fd, this.family === 6 ? '::' : '0.0.0.0', 0);
    this.reactor.addUpstream(fd, number);
    return { number, fd };
  }

  private close(port: Port): void {
    this.reactor.removeUpstream(port.number);
    closeFd(port.fd);
    this.free.push(port.number);
  }
}
