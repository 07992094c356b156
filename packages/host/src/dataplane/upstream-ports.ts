/**
 * The UDP sockets that questions go out from. Questions pick among the active ones at random; once a second one of them
 * is replaced by a fresh socket on a new port, so that a port is worth guessing for a minute at most and conntrack
 * pins none to a dead backend. A replaced socket still receives for as long as a question from it may be under way.
 *
 * Each is connected to one upstream: the kernel then drops what others send, and routes once instead of per packet.
 */
import { type MonoMs, type SocketAddress } from '@tandem/core';
import { bindSocket, closeFd, connectSocket, openSocket, type Reactor } from 'node-reuseport';

const REPLACE_EVERY_MS = 1000;
/** Longer than any try takes. */
const RETIRED_FOR_MS = 3000;
const RETIRED_MAX = Math.ceil(RETIRED_FOR_MS / REPLACE_EVERY_MS) + 1;
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
    const numbers = count * upstreams.length + RETIRED_MAX * upstreams.length;
    for (let number = numbers - 1; number >= 0; number--) this.free.push(number);
    this.active = upstreams.map((upstream) => Array.from({ length: count }, () => this.open(upstream)));
  }

  /** Per upstream, as `QueryPath.setPorts` takes them. */
  numbers(): number[][] {
    return this.active.map((ports) => ports.map((port) => port.number));
  }

  /** Replaces and closes what is due; true when `numbers` changed. */
  tick(nowMs: MonoMs): boolean {
    while (this.retired.length > 0 && this.retired[0].untilMs <= nowMs) this.close(this.retired.shift()!.port);
    if (nowMs < this.replaceAtMs) return false;
    const isFirst = this.replaceAtMs === 0;
    this.replaceAtMs = nowMs + REPLACE_EVERY_MS;
    if (isFirst || this.free.length < this.upstreams.length) return false;
    this.active.forEach((ports, i) => {
      const at = this.replaced % ports.length;
      this.retired.push({ port: ports[at], untilMs: nowMs + RETIRED_FOR_MS });
      ports[at] = this.open(this.upstreams[i]);
    });
    this.replaced++;
    return true;
  }

  closeAll(): void {
    for (const port of [...this.active.flat(), ...this.retired.map(({ port }) => port)]) this.close(port);
    this.active.length = 0;
    this.retired.length = 0;
  }

  private open(upstream: SocketAddress): Port {
    const number = this.free.pop()!;
    const { family } = upstream;
    const fd = openSocket({ type: 'udp', family, receiveBufferBytes: RECEIVE_BUFFER_BYTES });
    bindSocket(fd, family === 6 ? '::' : '0.0.0.0', 0);
    connectSocket(fd, upstream.address, upstream.port);
    this.reactor.addUpstream(fd, number, { connected: true, segment: true });
    return { number, fd };
  }

  private close(port: Port): void {
    this.reactor.removeUpstream(port.number);
    closeFd(port.fd);
    this.free.push(port.number);
  }
}
