/**
 * The giving side of the handover: this member's shared sockets, journal and client connections, which the peer is to hold; and
 * what the peer says to it.
 *
 * Each client connection goes to the peer as well, before anything is read from it.
 *
 * Invariant: a member whose peer answers at its start binds only when the peer holds its sockets and its journal; so there
 * is no moment at which a packet can arrive that only one process knows of. A peer that does not answer within
 * PEER_ANSWER_MS is not waited for: until a later dial succeeds this member is not redundant, and says so.
 * It does not know what is held here of the peer.
 */
import { formatSocketAddress, type MonoMs, type Role, type SocketAddress, WORKERS_MAX } from '@tandem/core';
import { bootTimeMs, closeFd, ReadyEvent } from 'node-reuseport';
import type { ClientConnection } from './client-connection.js';
import type { HandoverOptions } from './handover.js';
import { dialHandover, pause, PEER_ANSWER_MS, peerOf } from './handover-dial.js';
import { HANDOVER_PROTOCOL, type HandoverMessage, type Received, receiveHandover, sendHandover } from './handover-messages.js';
import { listenersOf } from './incoming.js';
import { closeListener, createListener, fits, lackingOf, type Listener, wantedOf, withoutTwins } from './listeners.js';
import type { Watcher } from './tokens.js';

const REDIAL_MS = 100;
/** A peer that cannot read our journal, or cannot be given it, is asked again this often: it may have been replaced. */
const REDIAL_LATER_MS = 10_000;

export class Giver {
  private readonly options: HandoverOptions;
  private readonly peerRole: Role;
  private own: readonly Listener[] = [];
  private outgoing: number | null = null;
  private outgoingToken = -1;
  private isTaken = false;
  private redialAtMs = 0;
  private drainState: 'no' | 'asked' | 'adopted' = 'no';
  private adopterLost = false;
  private layoutUnknown = false;
  /** Connections to workers of the peer that gave sockets and have no counterpart here, until they hear that these are read. */
  private readonly strays: number[] = [];

  constructor(options: HandoverOptions) {
    this.options = options;
    this.peerRole = peerOf(options.role);
  }

  /** The peer holds our sockets and journal. */
  get isHeld(): boolean {
    return this.isTaken;
  }

  /** How far the peer is with reading our sockets because we leave. */
  get drain(): 'no' | 'asked' | 'adopted' {
    return this.drainState;
  }

  /** A peer that was asked to answer for us is gone: its successor shall. */
  get hasLostAdopter(): boolean {
    return this.adopterLost;
  }

  /** What the peer said it can read is not our journal. */
  get isUnreadable(): boolean {
    return this.layoutUnknown;
  }

  /**
   * Our sockets for the addresses: a predecessor's (`legacy`), or those that the peer hands back, and for addresses that have none new
   * ones, which the peer holds before they are bound. Inherited ones may be several per address: each is in its group, so each is read.
   * Whoever shared them may have ended before it had bound them. `serve` hears what comes to our own handover socket while the peer is waited for.
   */
  acquire(addresses: readonly SocketAddress[], legacy: readonly Listener[], serve: () => void): readonly Listener[] {
    const wanted = addresses.map(formatSocketAddress);
    let inherited = wantedOf(legacy, addresses);
    let canHold = true;
    const fd = dialHandover(this.options, this.peerRole, this.options.warn);
    if (fd !== null) {
      this.hello(fd, wanted);
      const welcome = this.await(fd, 'welcome', serve);
      if (welcome?.message.kind === 'welcome') {
        const held = wantedOf(listenersOf(welcome.message.listen, welcome.fds), addresses);
        if (inherited.length === 0) inherited = held;
        else held.forEach(closeListener);
        canHold = this.canHold(welcome.message.layout);
      }
    }
    inherited = this.inheritStrays(inherited, addresses, serve);
    const lacking = lackingOf(inherited, addresses);
    this.own = [...inherited, ...lacking.map((address) => createListener(address, this.options.isTransparent))];
    if (fd !== null && !canHold) {
      closeFd(fd);
      this.redialAtMs = bootTimeMs() + REDIAL_LATER_MS;
    } else if (fd !== null) {
      this.share(fd);
      this.isTaken = this.await(fd, 'taken', serve) !== null;
      if (this.isTaken) {
        this.keep(fd);
        this.shareConnections();
      } else this.giveUp(fd, 'the peer did not take our sockets in time: serving without takeover');
    }
    return this.own;
  }

  /** We read our sockets from now on; they may have another number than when they were shared (port 0). */
  reading(listeners: readonly Listener[]): void {
    this.own = listeners;
    if (this.outgoing !== null) this.send(this.outgoing, { kind: 'reading' });
    for (const fd of this.strays.splice(0)) {
      this.send(fd, { kind: 'reading' });
      closeFd(fd);
    }
  }

  /** When the peer is dialled next; Infinity while there is a connection to it. */
  nextDeadlineMs(): number {
    return this.outgoing === null ? this.redialAtMs : Infinity;
  }

  tick(nowMs: MonoMs): void {
    if (this.outgoing === null && nowMs >= this.redialAtMs) this.redial(nowMs);
  }

  /** Asks the peer, which holds our sockets, to read them: we leave. To be called again where its queue is full just now: `drain` is 'no' then. */
  askToDrain(): void {
    if (sendHandover(this.outgoing!, { kind: 'drain' })) this.drainState = 'asked';
  }

  /**
   * A successor of our own role (two of a DaemonSet's pods during a surge): it gets the shared sockets and the HTTP one, and we
   * leave. True if it is one.
   */
  yieldTo(fd: number, role: Role): boolean {
    if (role !== this.options.role) return false;
    const listen = this.own.map(({ address }) => formatSocketAddress(address));
    const { httpFd } = this.options;
    this.send(fd, { kind: 'legacy', listen }, [...this.own.flatMap(({ udp, tcp }) => [udp, tcp]), ...(httpFd === null ? [] : [httpFd])]);
    this.options.onSuccessor();
    return true;
  }

  close(): void {
    if (this.outgoing !== null) closeFd(this.outgoing);
  }

  /** The peer came after us: it gets our sockets, which are bound and read already. */
  private redial(nowMs: number): void {
    this.redialAtMs = nowMs + REDIAL_MS;
    const fd = dialHandover(this.options, this.peerRole, this.options.warn);
    if (fd === null) return;
    this.hello(fd, this.own.map(({ address }) => formatSocketAddress(address)));
    this.keep(fd);
  }

  /**
   * A predecessor may have had more workers than there are here: what the peer's workers hold of those that have no successor is joined to
   * ours. What is over the limit of one worker stays with the peer, which reads it.
   */
  private inheritStrays(ours: readonly Listener[], addresses: readonly SocketAddress[], serve: () => void): readonly Listener[] {
    const { runDir, worker, workers, warn } = this.options;
    let all = ours;
    for (let other = worker + workers; other < WORKERS_MAX; other += workers) {
      const fd = dialHandover({ runDir, worker: other }, this.peerRole, warn);
      if (fd === null) continue;
      this.hello(fd, addresses.map(formatSocketAddress));
      const welcome = this.await(fd, 'welcome', serve);
      const held = welcome?.message.kind === 'welcome' ? wantedOf(listenersOf(welcome.message.listen, welcome.fds), addresses) : [];
      // A predecessor that lived has given us some of them itself.
      const added = withoutTwins(held, all);
      if (held.length === 0 || !fits([...all, ...added], addresses)) {
        added.forEach(closeListener);
        closeFd(fd);
      } else {
        all = [...all, ...added];
        this.strays.push(fd);
      }
    }
    return all;
  }

  private hello(fd: number, listen: readonly string[]): void {
    const { role, layout, workers } = this.options;
    this.send(fd, { kind: 'hello', protocol: HANDOVER_PROTOCOL, role, layout, ...(workers === 1 ? {} : { workers }), listen });
  }

  private keep(fd: number): void {
    this.outgoing = fd;
    const watcher: Watcher = { onReady: () => this.onPeer(fd) };
    this.outgoingToken = this.options.seams.tokens.add(watcher);
    this.options.seams.reactor.watch(fd, this.outgoingToken, ReadyEvent.IN);
  }

  /** What the holder of our sockets says. */
  private onPeer(fd: number): void {
    for (;;) {
      const received = this.receive(fd);
      if (received === 'none') return;
      if (received === 'end') {
        this.lose(fd);
        return;
      }
      const { message, fds } = received;
      for (const each of fds) closeFd(each);
      if (message.kind === 'welcome') {
        if (!this.canHold(message.layout)) {
          this.lose(fd);
          this.redialAtMs = bootTimeMs() + REDIAL_LATER_MS;
          return;
        }
        if (!this.share(fd)) {
          // Whom nothing reaches now may be reached later.
          this.lose(fd);
          this.redialAtMs = bootTimeMs() + REDIAL_LATER_MS;
          return;
        }
      } else if (message.kind === 'taken') {
        this.isTaken = true;
        this.shareConnections();
        this.send(fd, { kind: 'reading' });
      } else if (message.kind === 'adopted') this.drainState = 'adopted';
      else if (message.kind === 'busy') this.drainState = 'no';
    }
  }

  /** A peer of an older release may not know our journal: it then cannot answer for us. */
  private canHold(layout: number): boolean {
    const ours = this.options.journal.layout.version;
    this.layoutUnknown = layout < ours;
    if (!this.layoutUnknown) return true;
    this.options.warn(`the peer knows journals up to layout ${layout}, ours is ${ours}: working without takeover; restart this member to use the peer's`);
    return false;
  }

  private lose(fd: number): void {
    this.options.seams.reactor.unwatch(fd);
    this.options.seams.tokens.remove(this.outgoingToken);
    closeFd(fd);
    this.outgoing = null;
    this.isTaken = false;
    this.options.seams.clients.setShare(() => 'alone');
    if (this.drainState !== 'no') this.adopterLost = true;
    this.drainState = 'no';
  }

  private shareConnections(): void {
    this.options.seams.clients.setShare((connection) => this.shareConnection(connection));
  }

  private shareConnection({ fd, record }: ClientConnection): 'shared' | 'later' | 'alone' {
    if (this.outgoing === null || !this.isTaken) return 'alone';
    return sendHandover(this.outgoing, { kind: 'connection', ...record }, [fd]) ? 'shared' : 'later';
  }

  private share(fd: number): boolean {
    const listen = this.own.map(({ address }) => formatSocketAddress(address));
    return this.send(fd, { kind: 'share', listen }, [this.options.journal.fd, ...this.own.flatMap(({ udp, tcp }) => [udp, tcp])]);
  }

  private giveUp(fd: number, message: string): void {
    this.options.warn(message);
    closeFd(fd);
  }

  private send(fd: number, message: HandoverMessage, fds: readonly number[] = []): boolean {
    const isSent = sendHandover(fd, message, fds);
    if (!isSent) this.options.warn(`the peer takes no handover messages (${message.kind})`);
    return isSent;
  }

  private receive(fd: number): ReturnType<typeof receiveHandover> {
    try {
      return receiveHandover(fd);
    } catch (error) {
      this.options.warn(error instanceof Error ? error.message : String(error));
      return 'end';
    }
  }

  /**
   * Only at the start, before the first query: the peer's next message, null when it does not come in time. A peer that
   * starts at the same moment waits for us likewise, so it is served meanwhile.
   */
  private await(fd: number, kind: HandoverMessage['kind'], serve: () => void): Received | null {
    const untilMs = bootTimeMs() + PEER_ANSWER_MS;
    while (bootTimeMs() < untilMs) {
      const received = this.receive(fd);
      if (received === 'end') return null;
      if (received !== 'none') {
        if (received.message.kind === kind) return received;
        // Late: it was waited for in vain before. Sockets that nobody reads must not stay in the group.
        received.fds.forEach(closeFd);
      }
      serve();
      pause();
    }
    return null;
  }
}
