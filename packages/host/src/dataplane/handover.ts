/**
 * Handing sockets and unanswered queries over between members: this member *gives* its own to the peer, and *holds* the
 * peer's. See handover-messages.ts for what is said, held-member.ts for what is done when the other is gone.
 *
 * Each client connection goes to the peer as well, before anything is read from it.
 *
 * Invariant: a member whose peer answers at its start binds only when the peer holds its sockets and its journal; so there
 * is no moment at which a packet can arrive that only one process knows of. A peer that does not answer within
 * PEER_ANSWER_MS is not waited for: until a later dial succeeds this member is not redundant, and says so.
 */
import { rmSync } from 'node:fs';
import {
  formatSocketAddress, HeldMember, type HeldSeams, type MonoMs, type Role, type SlotMemory, type SocketAddress,
} from '@tandem/core';
import {
  acceptConnection, bootTimeMs, closeFd, connectUnix, type Journal, listenersMax, listenUnix, peerCredentials, type Reactor, ReadyEvent,
} from 'node-reuseport';
import { HANDOVER_PROTOCOL, type HandoverMessage, handoverSocketPath, receiveHandover, sendHandover } from './handover-messages.js';
import type { ClientConnection } from './client-connection.js';
import { ConnectionRecords } from './connection-records.js';
import { HeldConnections } from './held-connections.js';
import { MappedJournal } from './held-journal.js';
import { HeldListeners } from './held-sockets.js';
import { Incoming, listenersOf } from './incoming.js';
import { closeListener, createListener, type Listener, NUMBERS_PER_MEMBER } from './listeners.js';
import { MappingJournalReader } from './mapping-journal.js';
import { openRegion } from './shared-region.js';
import type { TcpClients } from './tcp-clients.js';
import type { Tokens, Watcher } from './tokens.js';

/** At its start a member waits this long for a peer that is there but does not answer; then it goes on alone. */
const PEER_ANSWER_MS = 500;
const REDIAL_MS = 100;
/** A member that is to end waits so long for a peer that is just being replaced, or that hangs. */
const PEER_BACK_MS = 10_000;
/** A peer that cannot read our journal is asked again this often: it may have been replaced. */
const REDIAL_OTHER_LAYOUT_MS = 10_000;
/** How soon a held connection that its owner has closed is let go of: looking through them costs more than a turn. */
const SWEEP_EVERY_MS = 10;
const PRIVATE = 0o600;

export interface HandoverOptions {
  readonly role: Role;
  readonly runDir: string;
  readonly journal: Journal;
  /** A planted fault: nothing is taken from a dead peer. */
  readonly noSteal: boolean;
  /** The newest journal that can be read here. */
  readonly layout: number;
  readonly seams: {
    readonly held: HeldSeams;
    readonly reactor: Reactor;
    readonly memory: SlotMemory;
    readonly clients: TcpClients;
    /** A mapping that a dead member learned, as bytes. */
    readonly onMapping: (record: Uint8Array) => void;
    readonly tokens: Tokens;
    readonly nowMs: () => MonoMs;
  };
  readonly warn: (message: string) => void;
  /** The HTTP socket, for a successor of our role. */
  readonly httpFd: number | null;
  /** A successor has our sockets: leave. */
  readonly onSuccessor: () => void;
}

/** Where our sockets came from. */
interface OwnSockets {
  readonly listeners: readonly Listener[];
  /** Bound already: they were held by the peer. */
  readonly isInherited: boolean;
}

export class Handover {
  private readonly options: HandoverOptions;
  private readonly peerRole: Role;
  private readonly listenerFd: number;
  private readonly incoming = new Set<Incoming>();
  private own: readonly Listener[] = [];
  private outgoing: number | null = null;
  private outgoingToken = -1;
  private isTaken = false;
  private redialAtMs = 0;
  private sweepAtMs = 0;
  private nextBase = NUMBERS_PER_MEMBER;
  private drainState: 'no' | 'asked' | 'adopted' = 'no';
  private drainBeforeMs: number | null = null;
  /** It was leaving when we were told to: its successor will come. */
  private expectsPeer = false;
  /** What the peer said it can read is not our journal. */
  private isUnreadable = false;

  constructor(options: HandoverOptions) {
    this.options = options;
    this.peerRole = options.role === 'agent' ? 'dns-proxy' : 'agent';
    const path = handoverSocketPath(options.runDir, options.role);
    // The API's socket of this role is held by this process already, so what lies here is a dead process's.
    rmSync(path, { force: true });
    this.listenerFd = listenUnix(path, PRIVATE);
    const token = options.seams.tokens.add({ onReady: () => this.accept() });
    options.seams.reactor.watch(this.listenerFd, token, ReadyEvent.IN);
  }

  /** The newest journal that can be read here. */
  get layout(): number {
    return this.options.layout;
  }

  /** The peer holds our sockets and journal, and we hold its. */
  get isRedundant(): boolean {
    return this.isTaken && [...this.incoming].some((one) => one.held?.isAlive === true && !one.held.isAdopted);
  }

  /** The peer reads our sockets, and holds our clients' connections. */
  get isTakenOver(): boolean {
    return this.drainState === 'adopted' && this.isTaken;
  }

  /** Members that are being answered for. */
  get adopted(): number {
    return [...this.incoming].filter((one) => one.held?.isAdopted === true).length;
  }

  /**
   * Our sockets for the addresses: a predecessor's (`legacy`), or those that the peer hands back, or new ones that the peer holds
   * now, or new ones.
   */
  acquire(addresses: readonly SocketAddress[], legacy: readonly Listener[] | null): OwnSockets {
    const wanted = addresses.map(formatSocketAddress);
    let inherited = legacy;
    let canHold = true;
    const fd = dialHandover(this.options.runDir, this.peerRole, this.options.warn);
    if (fd !== null) {
      this.send(fd, { kind: 'hello', protocol: HANDOVER_PROTOCOL, role: this.options.role, layout: this.layout, listen: wanted });
      const welcome = this.await(fd, 'welcome');
      if (welcome?.message.kind === 'welcome') {
        const held = listenersOf(welcome.message.listen, welcome.fds, wanted);
        if (inherited === null) inherited = held;
        else held?.forEach(closeListener);
        canHold = this.canHold(welcome.message.layout);
      }
    }
    this.own = inherited ?? addresses.map(createListener);
    if (fd !== null && !canHold) {
      closeFd(fd);
      this.redialAtMs = bootTimeMs() + REDIAL_OTHER_LAYOUT_MS;
    } else if (fd !== null) {
      this.share(fd);
      this.isTaken = this.await(fd, 'taken') !== null;
      if (this.isTaken) {
        this.keep(fd);
        this.shareConnections();
      } else this.giveUp(fd, 'the peer did not take our sockets in time: serving without takeover');
    }
    return { listeners: this.own, isInherited: inherited !== null };
  }

  /** We read our sockets from now on; they may have another number than when they were shared (port 0). */
  reading(listeners: readonly Listener[]): void {
    this.own = listeners;
    if (this.outgoing !== null) this.send(this.outgoing, { kind: 'reading' });
  }

  nextDeadlineMs(): number {
    let deadline = this.outgoing === null ? this.redialAtMs : Infinity;
    for (const { held } of this.incoming) if (held !== null) deadline = Math.min(deadline, held.nextDeadlineMs());
    return deadline;
  }

  tick(): void {
    const nowMs = this.options.seams.nowMs();
    const isSweeping = nowMs >= this.sweepAtMs;
    if (isSweeping) this.sweepAtMs = nowMs + SWEEP_EVERY_MS;
    for (const one of this.incoming) {
      if (isSweeping) one.connections?.sweep();
      one.held?.tick(nowMs);
      if (one.held?.isDone === true) this.incoming.delete(one);
    }
    if (this.outgoing === null && nowMs >= this.redialAtMs) this.redial(nowMs);
  }

  /**
   * To be called on every turn until it is 'over': asks the peer to read our sockets. 'over': it does, or there is nobody who
   * could. 'waiting' also while the peer itself is leaving (of two members that end at once the second waits for the first
   * one's successor), is there and does not hold our sockets yet, or hangs: for PEER_BACK_MS at most, or, not `awaitsPeer`, for its
   * word alone and PEER_ANSWER_MS.
   */
  drain(awaitsPeer: boolean): 'waiting' | 'over' {
    const nowMs = this.options.seams.nowMs();
    this.drainBeforeMs ??= nowMs + (awaitsPeer ? PEER_BACK_MS : PEER_ANSWER_MS);
    if (this.drainState === 'adopted' || nowMs >= this.drainBeforeMs) return 'over';
    if (this.drainState === 'asked') return 'waiting';
    const peers = [...this.incoming].flatMap(({ held }) => held ?? []);
    const isLeaving = peers.some((held) => held.isLeaving);
    this.expectsPeer ||= isLeaving || (!this.isUnreadable && peers.some((held) => held.isAlive));
    if (isLeaving || this.outgoing === null || !this.isTaken) return this.expectsPeer && awaitsPeer ? 'waiting' : 'over';
    this.drainState = 'asked';
    this.send(this.outgoing, { kind: 'drain' });
    return 'waiting';
  }

  /**
   * May the peer leave, now that it asks to? Not while it reads our sockets because we leave. Where both ask at once, the agent
   * goes first.
   */
  mayPeerLeave(): boolean {
    if (this.drainState === 'adopted') return false;
    return this.drainState === 'no' || this.options.role !== 'agent';
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

  /** The data plane ends, its process perhaps not: what the peer goes by must end, too. */
  close(): void {
    this.options.seams.reactor.unwatch(this.listenerFd);
    closeFd(this.listenerFd);
    if (this.outgoing !== null) closeFd(this.outgoing);
    for (const one of this.incoming) one.close();
    this.incoming.clear();
  }

  /** The member with these sockets reads them itself (again). */
  giveBackAll(except: Incoming): void {
    for (const one of this.incoming) {
      if (one === except || one.role !== except.role) continue;
      if (one.held?.isAlive === false) one.held.giveBack(this.options.seams.nowMs());
    }
  }

  /** Sockets of a dead member of this role that are read here, to be handed to its successor. */
  inheritance(role: Role): readonly Listener[] {
    for (const one of this.incoming) {
      if (one.role === role && one.held?.isAlive === false && !one.held.isDone) return one.listeners;
    }
    return [];
  }

  hold(journal: Journal, listeners: readonly Listener[]): { readonly member: HeldMember; readonly connections: HeldConnections | null } {
    const { noSteal, seams } = this.options;
    const { held, reactor, memory, clients, onMapping } = seams;
    const base = this.nextBase;
    this.nextBase = base + NUMBERS_PER_MEMBER >= listenersMax ? NUMBERS_PER_MEMBER : base + NUMBERS_PER_MEMBER;
    const region = noSteal ? null : openRegion(journal);
    const connections = region === null ? null : new HeldConnections(new ConnectionRecords(region), { clients, counters: held.counters, base });
    const lastMappings = region === null ? null : new MappingJournalReader(region.mappings.buffer, region.mappings.offset);
    const member = new HeldMember(
      held,
      new MappedJournal(journal, { reactor, memory, base, connections, lastMappings, onMapping, noSteal }),
      new HeldListeners(listeners, { reactor, clients, connections, base }),
    );
    return { member, connections };
  }

  forget(one: Incoming): void {
    this.incoming.delete(one);
  }

  warn(message: string): void {
    this.options.warn(message);
  }

  /** The peer came after us: it gets our sockets, which are bound and read already. */
  private redial(nowMs: number): void {
    this.redialAtMs = nowMs + REDIAL_MS;
    const fd = dialHandover(this.options.runDir, this.peerRole, this.options.warn);
    if (fd === null) return;
    const listen = this.own.map(({ address }) => formatSocketAddress(address));
    this.send(fd, { kind: 'hello', protocol: HANDOVER_PROTOCOL, role: this.options.role, layout: this.layout, listen });
    this.keep(fd);
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
          this.redialAtMs = bootTimeMs() + REDIAL_OTHER_LAYOUT_MS;
          return;
        }
        this.share(fd);
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
    this.isUnreadable = layout < ours;
    if (!this.isUnreadable) return true;
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
    // It was to answer for us: its successor shall.
    if (this.drainState !== 'no') this.expectsPeer = true;
    this.drainState = 'no';
  }

  private shareConnections(): void {
    this.options.seams.clients.setShare((connection) => this.shareConnection(connection));
  }

  private shareConnection({ fd, record }: ClientConnection): 'shared' | 'later' | 'alone' {
    if (this.outgoing === null || !this.isTaken) return 'alone';
    return sendHandover(this.outgoing, { kind: 'connection', ...record }, [fd]) ? 'shared' : 'later';
  }

  private share(fd: number): void {
    const listen = this.own.map(({ address }) => formatSocketAddress(address));
    this.send(fd, { kind: 'share', listen }, [this.options.journal.fd, ...this.own.flatMap(({ udp, tcp }) => [udp, tcp])]);
  }

  private giveUp(fd: number, message: string): void {
    this.options.warn(message);
    closeFd(fd);
  }

  private send(fd: number, message: HandoverMessage, fds: readonly number[] = []): void {
    if (!sendHandover(fd, message, fds)) this.options.warn(`the peer takes no handover messages (${message.kind})`);
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
  private await(fd: number, kind: HandoverMessage['kind']): Exclude<ReturnType<typeof receiveHandover>, string> | null {
    const untilMs = bootTimeMs() + PEER_ANSWER_MS;
    while (bootTimeMs() < untilMs) {
      const received = this.receive(fd);
      if (received === 'end') return null;
      if (received !== 'none') {
        if (received.message.kind === kind) return received;
        // Late: it was waited for in vain before. Sockets that nobody reads must not stay in the group.
        received.fds.forEach(closeFd);
      }
      this.accept();
      for (const one of this.incoming) one.onReady();
      Atomics.wait(pause, 0, 0, 1);
    }
    return null;
  }

  private accept(): void {
    for (let fd = acceptConnection(this.listenerFd); fd >= 0; fd = acceptConnection(this.listenerFd)) {
      if (peerCredentials(fd).uid === process.geteuid!()) {
        this.incoming.add(new Incoming(this, this.options.seams, fd));
      } else {
        this.options.warn('a handover connection from another user was refused');
        closeFd(fd);
      }
    }
  }
}

const pause = new Int32Array(new SharedArrayBuffer(4));

/** A connection to the peer's handover socket; null where nobody is there. */
function dialHandover(runDir: string, peerRole: Role, warn: (message: string) => void): number | null {
  try {
    const fd = connectUnix(handoverSocketPath(runDir, peerRole));
    if (peerCredentials(fd).uid === process.geteuid!()) return fd;
    warn('the handover socket of the peer belongs to another user: not used');
    closeFd(fd);
  } catch {
    // Nobody there: we are alone for now.
  }
  return null;
}

/**
 * The newest journal that the peer can read, asked before our own is made; null where there is no peer that answers. So a pair
 * of two releases works by the older one's layout.
 */
export function peerLayout(runDir: string, role: Role, layout: number): number | null {
  const fd = dialHandover(runDir, role === 'agent' ? 'dns-proxy' : 'agent', () => undefined);
  if (fd === null) return null;
  try {
    sendHandover(fd, { kind: 'hello', protocol: HANDOVER_PROTOCOL, role, layout, listen: [] });
    for (const untilMs = bootTimeMs() + PEER_ANSWER_MS; bootTimeMs() < untilMs; Atomics.wait(pause, 0, 0, 1)) {
      const received = receiveHandover(fd);
      if (received === 'none') continue;
      if (received === 'end') return null;
      for (const each of received.fds) closeFd(each);
      return received.message.kind === 'welcome' ? received.message.layout : null;
    }
    return null;
  } catch {
    // What is wrong is said when the peer is dialled in earnest.
    return null;
  } finally {
    closeFd(fd);
  }
}
