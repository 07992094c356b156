/**
 * The UDP sockets that questions go out from. Questions pick among the active ones at random; once a second one of them
 * is replaced by a fresh socket on a new port, so that a port is worth guessing for a minute at most and conntrack
 * pins none to a dead backend. A replaced socket still receives for as long as a question from it may be under way.
 *
 * Each is connected to one upstream: the kernel then drops what others send, and routes once instead of per packet.
 */
import { type MonoMs, type SocketAddress } from '@tandem/core';
import { bindSocket, closeFd, connectSocket, openSocket, type Reactor, upstreamsMax } from 'node-reuseport';

const REPLACE_EVERY_MS = 1000;
/** Longer than any try takes. */
const RETIRED_FOR_MS = 3000;
/** Sockets per upstream that ordinary replacement keeps retired. */
const ORDINARY_RETIRED = Math.ceil(RETIRED_FOR_MS / REPLACE_EVERY_MS) + 1;
const RECEIVE_BUFFER_BYTES = 1024 * 1024;

interface Port {
  readonly number: number;
  readonly fd: number;
}

export class UpstreamPorts {
  private readonly reactor: Reactor;
  private readonly upstreams: readonly SocketAddress[];
  /** Per upstream. */
  private readonly active: Port[][];
  private readonly retired: { readonly port: Port; readonly untilMs: number }[] = [];
  private readonly free: number[] = [];
  private replaced = 0;
  private replaceAtMs = 0;

  /** `count` sockets per upstream. */
  constructor(reactor: Reactor, upstreams: readonly SocketAddress[], count: number) {
    this.reactor = reactor;
    this.upstreams = upstreams;
    for (let number = upstreamsMax - 1; number >= 0; number--) this.free.push(number);
    this.active = upstreams.map((upstream) => Array.from({ length: count }, () => this.open(upstream)));
  }

  /** Per upstream, as `QueryPath.setPorts` takes them. */
  numbers(): number[][] {
    return this.active.map((ports) => ports.map((port) => port.number));
  }

  /**
   * Replaces and closes what is due; true when `numbers` changed. `silent`: no upstream has answered lately, so
   * all sockets are replaced: a socket keeps the source address that it was connected with, which the host may have lost.
   */
  tick(nowMs: MonoMs, silent: boolean): boolean {
    while (this.retired.length > 0 && this.retired[0].untilMs <= nowMs) this.close(this.retired.shift()!.port);
    if (nowMs < this.replaceAtMs) return false;
    const isFirst = this.replaceAtMs === 0;
    this.replaceAtMs = nowMs + REPLACE_EVERY_MS;
    if (isFirst) return false;
    const turns = silent && this.retired.length <= this.upstreams.length * ORDINARY_RETIRED ? this.active[0].length : 1;
    for (let turn = 0; turn < turns; turn++) if (!this.replaceOne(nowMs)) break;
    return true;
  }

  closeAll(): void {
    for (const port of [...this.active.flat(), ...this.retired.map(({ port }) => port)]) this.close(port);
    this.active.length = 0;
    this.retired.length = 0;
  }

  /** One socket per upstream; false when the kernel has none for us now: the old ones stay. */
  private replaceOne(nowMs: MonoMs): boolean {
    const at = this.replaced++ % this.active[0].length;
    for (const [i, ports] of this.active.entries()) {
      const port = this.tryOpen(this.upstreams[i]);
      if (port === null) return false;
      this.retired.push({ port: ports[at], untilMs: nowMs + RETIRED_FOR_MS });
      ports[at] = port;
    }
    return true;
  }

  private tryOpen(upstream: SocketAddress): Port | null {
    if (this.free.length === 0) return null;
    try {
      return this.open(upstream);
    } catch {
      return null;
    }
  }

  private open(upstream: SocketAddress): Port {
    const { family } = upstream;
    const fd = openSocket({ type: 'udp', family, receiveBufferBytes: RECEIVE_BUFFER_BYTES });
    try {
      bindSocket(fd, family === 6 ? '::' : '0.0.0.0', 0);
      connectSocket(fd, upstream.address, upstream.port);
      const number = this.free[this.free.length - 1];
      this.reactor.addUpstream(fd, number, { connected: true, segment: true });
      this.free.pop();
      return { number, fd };
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  }

  private close(port: Port): void {
    this.reactor.removeUpstream(port.number);
    closeFd(port.fd);
    this.free.push(port.number);
  }
}
