/**
 * Handing sockets and unanswered queries over between members: this member *gives* its own to the peer, and *holds* the
 * peer's. See handover-messages.ts for what is said, held-member.ts for what is done when the other is gone.
 *
 * Invariant: a member whose peer answers at its start binds only when the peer holds its sockets and its journal; so there
 * is no moment at which a packet can arrive that only one process knows of. A peer that does not answer within
 * PEER_ANSWER_MS is not waited for: until a later dial succeeds this member is not redundant, and says so.
 */
import { rmSync } from 'node:fs';
import {
  AppError, formatSocketAddress, HeldMember, type HeldSeams, type MonoMs, parseSocketAddress, type Role, type SlotMemory, type SocketAddress,
} from '@tandem/core';
import {
  acceptConnection, bootTimeMs, closeFd, connectUnix, Journal, layoutVersion, listenersMax, listenUnix, peerCredentials, type Reactor, ReadyEvent,
} from 'node-reuseport';
import { HANDOVER_PROTOCOL, type HandoverMessage, handoverSocketPath, receiveHandover, sendHandover } from './handover-messages.js';
import { MappedJournal } from './held-journal.js';
import { HeldListeners } from './held-sockets.js';
import { createListener, type Listener, NUMBERS_PER_MEMBER } from './listeners.js';
import type { TcpClients } from './tcp-clients.js';
import type { Tokens, Watcher } from './tokens.js';

/** At its start a member waits this long for a peer that is there but does not answer; then it goes on alone. */
const PEER_ANSWER_MS = 500;
const REDIAL_MS = 100;
const PRIVATE = 0o600;

export interface HandoverOptions {
  readonly role: Role;
  readonly runDir: string;
  readonly journal: Journal;
  /** A planted fault: nothing is taken from a dead peer. */
  readonly noSteal: boolean;
  readonly seams: {
    readonly held: HeldSeams;
    readonly reactor: Reactor;
    readonly memory: SlotMemory;
    readonly clients: TcpClients;
    readonly tokens: Tokens;
    readonly nowMs: () => MonoMs;
  };
  readonly warn: (message: string) => void;
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
  private nextBase = NUMBERS_PER_MEMBER;
  private onAdopted: (() => void) | null = null;

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

  /** The peer holds our sockets and journal, and we hold its. */
  get isRedundant(): boolean {
    return this.isTaken && [...this.incoming].some((one) => one.held?.isAlive === true && !one.held.isAdopted);
  }

  /** Members that are being answered for. */
  get adopted(): number {
    return [...this.incoming].filter((one) => one.held?.isAdopted === true).length;
  }

  /** Our sockets for the addresses: handed back by the peer, or new ones that the peer holds now, or new ones. */
  acquire(addresses: readonly SocketAddress[]): OwnSockets {
    const wanted = addresses.map(formatSocketAddress);
    let inherited: readonly Listener[] | null = null;
    const fd = this.dial();
    if (fd !== null) {
      this.send(fd, { kind: 'hello', protocol: HANDOVER_PROTOCOL, role: this.options.role, layout: layoutVersion, listen: wanted });
      const welcome = this.await(fd, 'welcome');
      if (welcome?.message.kind === 'welcome') inherited = listenersOf(welcome.message.listen, welcome.fds, wanted);
    }
    this.own = inherited ?? addresses.map(createListener);
    if (fd !== null) {
      this.share(fd);
      this.isTaken = this.await(fd, 'taken') !== null;
      if (this.isTaken) this.keep(fd);
      else this.giveUp(fd, 'the peer did not take our sockets in time: serving without takeover');
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
    for (const one of this.incoming) {
      one.held?.tick(nowMs);
      if (one.held?.isDone === true) this.incoming.delete(one);
    }
    if (this.outgoing === null && nowMs >= this.redialAtMs) this.redial(nowMs);
  }

  /** Asks the peer to read our sockets; `then` is called once it does. False: there is no peer that could. */
  drain(then: () => void): boolean {
    if (this.outgoing === null || !this.isTaken) return false;
    this.onAdopted = then;
    this.send(this.outgoing, { kind: 'drain' });
    return true;
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

  hold(journal: Journal, listeners: readonly Listener[]): HeldMember {
    const { held, reactor, memory, clients } = this.options.seams;
    const base = this.nextBase;
    this.nextBase = base + NUMBERS_PER_MEMBER >= listenersMax ? NUMBERS_PER_MEMBER : base + NUMBERS_PER_MEMBER;
    return new HeldMember(
      held,
      new MappedJournal(journal, { reactor, memory, base, noSteal: this.options.noSteal }),
      new HeldListeners(listeners, { reactor, clients, base }),
    );
  }

  forget(one: Incoming): void {
    this.incoming.delete(one);
  }

  warn(message: string): void {
    this.options.warn(message);
  }

  /** A connection without a member behind it. */
  private dial(): number | null {
    try {
      const fd = connectUnix(handoverSocketPath(this.options.runDir, this.peerRole));
      if (peerCredentials(fd).uid === process.geteuid!()) return fd;
      this.options.warn('the handover socket of the peer belongs to another user: not used');
      closeFd(fd);
    } catch {
      // Nobody there: we are alone for now.
    }
    return null;
  }

  /** The peer came after us: it gets our sockets, which are bound and read already. */
  private redial(nowMs: number): void {
    this.redialAtMs = nowMs + REDIAL_MS;
    const fd = this.dial();
    if (fd === null) return;
    const listen = this.own.map(({ address }) => formatSocketAddress(address));
    this.send(fd, { kind: 'hello', protocol: HANDOVER_PROTOCOL, role: this.options.role, layout: layoutVersion, listen });
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
      if (message.kind === 'welcome') this.share(fd);
      else if (message.kind === 'taken') {
        this.isTaken = true;
        this.send(fd, { kind: 'reading' });
      } else if (message.kind === 'adopted') this.onAdopted?.();
    }
  }

  private lose(fd: number): void {
    this.options.seams.reactor.unwatch(fd);
    this.options.seams.tokens.remove(this.outgoingToken);
    closeFd(fd);
    this.outgoing = null;
    this.isTaken = false;
    this.onAdopted?.();
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
      if (received !== 'none') return received.message.kind === kind ? received : null;
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

/** A member that gives its sockets and journal here. */
class Incoming implements Watcher {
  role: Role | null = null;
  held: HeldMember | null = null;
  listeners: readonly Listener[] = [];
  private readonly handover: Handover;
  private readonly seams: HandoverOptions['seams'];
  private readonly fd: number;
  private readonly token: number;

  constructor(handover: Handover, seams: HandoverOptions['seams'], fd: number) {
    this.handover = handover;
    this.seams = seams;
    this.fd = fd;
    this.token = seams.tokens.add(this);
    seams.reactor.watch(fd, this.token, ReadyEvent.IN);
  }

  onReady(): void {
    try {
      for (let received = receiveHandover(this.fd); received !== 'none'; received = receiveHandover(this.fd)) {
        if (received === 'end') {
          this.end();
          return;
        }
        this.handle(received.message, received.fds);
      }
    } catch (error) {
      this.handover.warn(error instanceof Error ? error.message : String(error));
      this.end();
    }
  }

  private handle(message: HandoverMessage, fds: readonly number[]): void {
    switch (message.kind) {
      case 'hello':
        this.hello(message.role, message.layout);
        break;
      case 'share':
        this.share(message.listen, fds);
        break;
      case 'reading':
        this.handover.giveBackAll(this);
        break;
      case 'drain':
        this.held?.drain();
        sendHandover(this.fd, { kind: 'adopted' });
        break;
      default:
        throw new AppError('LINK', `a giver does not say ${message.kind}`);
    }
  }

  private hello(role: Role, layout: number): void {
    if (layout !== layoutVersion) {
      throw new AppError('LINK', `the peer's journal has layout ${layout}, ours ${layoutVersion}: working without takeover`);
    }
    this.role = role;
    const listeners = this.handover.inheritance(role);
    const listen = listeners.map(({ address }) => formatSocketAddress(address));
    sendHandover(this.fd, { kind: 'welcome', listen }, listeners.flatMap(({ udp, tcp }) => [udp, tcp]));
  }

  private share(listen: readonly string[], fds: readonly number[]): void {
    const [journalFd, ...sockets] = fds;
    if (this.held !== null || journalFd === undefined || sockets.length !== 2 * listen.length) {
      for (const fd of fds) closeFd(fd);
      throw new AppError('LINK', 'a share does not fit its descriptors');
    }
    try {
      const journal = Journal.open(journalFd);
      this.listeners = listenersOf(listen, sockets, listen)!;
      this.held = this.handover.hold(journal, this.listeners);
    } catch (error) {
      for (const fd of sockets) closeFd(fd);
      throw error;
    } finally {
      closeFd(journalFd);
    }
    sendHandover(this.fd, { kind: 'taken' });
  }

  private end(): void {
    this.seams.reactor.unwatch(this.fd);
    this.seams.tokens.remove(this.token);
    closeFd(this.fd);
    if (this.held === null) this.handover.forget(this);
    else this.held.end(this.seams.nowMs());
  }
}

/** Listeners from a message; null (descriptors closed) when the addresses are not the wanted ones. */
function listenersOf(listen: readonly string[], fds: readonly number[], wanted: readonly string[]): readonly Listener[] | null {
  if (listen.length === 0 || listen.join() !== wanted.join() || fds.length !== 2 * listen.length) {
    for (const fd of fds) closeFd(fd);
    return null;
  }
  return listen.map((text, i) => ({ udp: fds[2 * i], tcp: fds[2 * i + 1], address: parseSocketAddress(text)! }));
}
