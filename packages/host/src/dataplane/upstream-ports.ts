/**
 * The UDP sockets that questions go out from. Questions pick among the active ones at random; once a second one of them
 * is replaced by a fresh socket on a new port, so that a port is worth guessing for a minute at most and conntrack
 * pins none to a dead backend. A replaced socket still receives for as long as a question from it may be under way.
 *
 * Each is connected to one upstream: the kernel then drops what others send, and routes once instead of per packet. Transparent mode's
 * are not, as each question goes to the server that its client chose: there they are for all servers of a family.
 */
import { type MonoMs, type SocketAddress } from '@tandem/core';
import { bindSocket, closeFd, connectSocket, openSocket, type Reactor, upstreamsMax } from 'node-reuseport';

const REPLACE_EVERY_MS = 1000;
/** Longer than any try takes. */
const RETIRED_FOR_MS = 3000;
/** Sockets per upstream that ordinary replacement keeps retired. */
const ORDINARY_RETIRED = Math.ceil(RETIRED_FOR_MS / REPLACE_EVERY_MS) + 1;
const RECEIVE_BUFFER_BYTES = 1024 * 1024;

/** Whom a socket is for: one server, or every server of a family. */
export type Upstream = SocketAddress | { readonly address: null; readonly family: 4 | 6 };

export const ANY_SERVER: readonly Upstream[] = [{ address: null, family: 4 }, { address: null, family: 6 }];

interface Port {
  readonly number: number;
  readonly fd: number;
}

export class UpstreamPorts {
  private readonly reactor: Reactor;
  private readonly upstreams: readonly Upstream[];
  /** Per upstream. */
  private readonly active: Port[][];
  private readonly retired: { readonly port: Port; readonly untilMs: number }[] = [];
  private readonly free: number[] = [];
  private readonly count: number;
  private firstError: unknown = null;
  private replaced = 0;
  private replaceAtMs = 0;

  /** `count` sockets per upstream. @throws the system's error when no upstream can be reached; later ones are tried again. */
  constructor(reactor: Reactor, upstreams: readonly Upstream[], count: number) {
    this.reactor = reactor;
    this.upstreams = upstreams;
    for (let number = upstreamsMax - 1; number >= 0; number--) this.free.push(number);
    this.count = count;
    this.active = upstreams.map((upstream) => this.openAll(upstream));
    if (upstreams.length > 0 && this.active.every((ports) => ports.length === 0)) throw this.firstError;
  }

  /** Per upstream, as `QueryPath.setPorts` takes them. */
  numbers(): number[][] {
    return this.active.map((ports) => ports.map((port) => port.number));
  }

  /** True when `tick` has something to do. */
  isDue(nowMs: MonoMs): boolean {
    return nowMs >= this.replaceAtMs || (this.retired.length > 0 && this.retired[0].untilMs <= nowMs);
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
    for (const [i, upstream] of this.upstreams.entries()) {
      if (this.active[i].length === 0) this.active[i] = this.openAll(upstream);
      else this.replace(i, nowMs, silent);
    }
    this.replaced++;
    return true;
  }

  closeAll(): void {
    for (const port of [...this.active.flat(), ...this.retired.map(({ port }) => port)]) this.close(port);
    this.active.length = 0;
    this.retired.length = 0;
  }

  /** One socket of the upstream, or all of them; where the kernel has none for us now, the old ones stay. */
  private replace(i: number, nowMs: MonoMs, all: boolean): void {
    const ports = this.active[i];
    // All at once only while few are retired: a long silence must not use up the numbers.
    const turns = all && this.retired.length <= this.upstreams.length * ORDINARY_RETIRED ? ports.length : 1;
    for (let turn = 0; turn < turns; turn++) {
      const at = (this.replaced + turn) % ports.length;
      const port = this.tryOpen(this.upstreams[i]);
      if (port === null) return;
      this.retired.push({ port: ports[at], untilMs: nowMs + RETIRED_FOR_MS });
      ports[at] = port;
    }
  }

  /** As many as can be had: all or, where the upstream cannot be reached now, none. */
  private openAll(upstream: Upstream): Port[] {
    const ports: Port[] = [];
    for (let n = 0; n < this.count; n++) {
      const port = this.tryOpen(upstream);
      if (port === null) break;
      ports.push(port);
    }
    return ports;
  }

  private tryOpen(upstream: Upstream): Port | null {
    if (this.free.length === 0) return null;
    try {
      return this.open(upstream);
    } catch (error) {
      this.firstError ??= error;
      return null;
    }
  }

  private open(upstream: Upstream): Port {
    const { family } = upstream;
    const fd = openSocket({ type: 'udp', family, receiveBufferBytes: RECEIVE_BUFFER_BYTES });
    try {
      bindSocket(fd, family === 6 ? '::' : '0.0.0.0', 0);
      if (upstream.address !== null) connectSocket(fd, upstream.address, upstream.port);
      const number = this.free[this.free.length - 1];
      this.reactor.addUpstream(fd, number, { connected: upstream.address !== null, segment: true });
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
