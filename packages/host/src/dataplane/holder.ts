/**
 * The holding side of the handover: this member's handover socket, and the members that gave their sockets and journals on it.
 * What is said on one connection: incoming.ts; what is done when a member is gone: core's HeldMember.
 *
 * Invariant: a dead member's sockets are kept until its successor reads them, or this data plane ends. It does not know who
 * holds this member's own.
 */
import { rmSync } from 'node:fs';
import { HeldMember, type MonoMs, type Role } from '@tandem/core';
import { acceptConnection, closeFd, type Journal, listenersMax, listenersPerMember, listenUnix, peerCredentials, ReadyEvent } from 'node-reuseport';
import { ConnectionRecords } from './connection-records.js';
import type { HandoverOptions } from './handover.js';
import { handoverSocketPath } from './handover-messages.js';
import { HeldConnections } from './held-connections.js';
import { MappedJournal } from './held-journal.js';
import { HeldListeners } from './held-sockets.js';
import { Incoming } from './incoming.js';
import type { Listener } from './listeners.js';
import { MappingJournalReader } from './mapping-journal.js';
import { openRegion } from './shared-region.js';

/** How soon a held connection that its owner has closed is let go of: looking through them costs more than a turn. */
const SWEEP_EVERY_MS = 10;
const PRIVATE = 0o600;

/** What givers want of this member's own sockets. */
export interface OwnSide {
  /** A successor of our own role gets them. True if it is one. */
  yieldTo(fd: number, role: Role): boolean;
  /** May the peer leave, now that it asks to? */
  mayPeerLeave(): boolean;
}

export class Holder {
  readonly own: OwnSide;
  private readonly options: HandoverOptions;
  private readonly listenerFd: number;
  /** Walked by index: it is looked at on every turn, and an iterator is an object. */
  private readonly incoming: Incoming[] = [];
  private sweepAtMs = 0;
  private nextBase = listenersPerMember;

  constructor(options: HandoverOptions, own: OwnSide) {
    this.options = options;
    this.own = own;
    const path = handoverSocketPath(options.runDir, options.role, options.worker);
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

  /** The members that gave their sockets and journals, dead ones that are answered for among them. */
  get members(): readonly HeldMember[] {
    return this.incoming.flatMap(({ held }) => held ?? []);
  }

  /** A member that answers for itself is held. */
  get isHolding(): boolean {
    // By index, here and below: an iterator is an object on V8's heap, and these are asked a hundred times a second.
    for (let i = 0; i < this.incoming.length; i++) {
      const { held } = this.incoming[i];
      if (held?.isAlive === true && !held.isAdopted) return true;
    }
    return false;
  }

  /** Members that are being answered for. */
  get adopted(): number {
    let count = 0;
    for (let i = 0; i < this.incoming.length; i++) if (this.incoming[i].held?.isAdopted === true) count++;
    return count;
  }

  /** When the data plane of a member that lives was seen to turn last; 0: there is none. */
  get peerBeatAtMs(): number {
    let beatAtMs = 0;
    for (let i = 0; i < this.incoming.length; i++) {
      const { held } = this.incoming[i];
      if (held?.isAlive === true) beatAtMs = Math.max(beatAtMs, held.beatAtMs);
    }
    return beatAtMs;
  }

  /** How many workers the member has that lives, of two the newer one; 0: there is none. */
  get peerWorkers(): number {
    for (let i = this.incoming.length - 1; i >= 0; i--) {
      if (this.incoming[i].held?.isAlive === true) return this.incoming[i].workers;
    }
    return 0;
  }

  nextDeadlineMs(): number {
    let deadline = Infinity;
    for (let i = 0; i < this.incoming.length; i++) {
      const { held } = this.incoming[i];
      if (held !== null) deadline = Math.min(deadline, held.nextDeadlineMs());
    }
    return deadline;
  }

  tick(nowMs: MonoMs): void {
    const isSweeping = nowMs >= this.sweepAtMs;
    if (isSweeping) this.sweepAtMs = nowMs + SWEEP_EVERY_MS;
    for (let i = this.incoming.length - 1; i >= 0; i--) {
      const one = this.incoming[i];
      if (isSweeping) one.connections?.sweep();
      one.held?.tick(nowMs);
      if (one.held?.isDone === true) this.forget(one);
    }
  }

  /** Hears what was said here, where the reactor does not turn. */
  serve(): void {
    this.accept();
    for (const one of [...this.incoming]) one.onReady();
  }

  close(): void {
    this.options.seams.reactor.unwatch(this.listenerFd);
    closeFd(this.listenerFd);
    for (const one of [...this.incoming]) one.close();
    this.incoming.length = 0;
  }

  /** The member with these sockets reads them itself (again). */
  giveBackAll(except: Incoming): void {
    for (const one of [...this.incoming]) {
      if (one === except || one.role !== except.role) continue;
      if (one.held?.isAlive !== false) continue;
      // A worker that only takes over what one of another number had shares nothing on this connection.
      if (except.held !== null) one.heldListeners?.leaveTo(except.listeners);
      one.held.giveBack(this.options.seams.nowMs());
    }
  }

  /** Sockets of a dead member of this role that are read here, to be handed to its successor. */
  inheritance(role: Role): readonly Listener[] {
    for (const one of [...this.incoming]) {
      if (one.role === role && one.held?.isAlive === false && !one.held.isDone) return one.listeners;
    }
    return [];
  }

  /** What a member shares besides: its flows. `key` names it until `flowsEnded`. */
  flows(key: number, role: Role, journal: Journal): void {
    const region = openRegion(journal);
    if (region !== null && region.flows.length + region.packetFlows.length > 0) this.options.onFlows(key, role, journal.fd);
  }

  flowsEnded(key: number): void {
    this.options.onFlowsEnded(key);
  }

  hold(journal: Journal, listeners: readonly Listener[]): { readonly member: HeldMember; readonly heldListeners: HeldListeners; readonly connections: HeldConnections | null } {
    const { noSteal, seams } = this.options;
    const { held, reactor, memory, clients, onMapping } = seams;
    const base = this.nextBase;
    this.nextBase = base + listenersPerMember >= listenersMax ? listenersPerMember : base + listenersPerMember;
    const region = noSteal ? null : openRegion(journal);
    const connections = region === null ? null : new HeldConnections(new ConnectionRecords(region), { clients, counters: held.counters, base });
    const lastMappings = region === null ? null : new MappingJournalReader(region.mappings.buffer, region.mappings.offset);
    const heldListeners = new HeldListeners(listeners, { reactor, clients, connections, base });
    const member = new HeldMember(held, new MappedJournal(journal, { reactor, memory, base, connections, lastMappings, onMapping, noSteal }), heldListeners);
    return { member, heldListeners, connections };
  }

  forget(one: Incoming): void {
    const at = this.incoming.indexOf(one);
    if (at >= 0) this.incoming.splice(at, 1);
  }

  warn(message: string): void {
    this.options.warn(message);
  }

  private accept(): void {
    for (let fd = acceptConnection(this.listenerFd); fd >= 0; fd = acceptConnection(this.listenerFd)) {
      if (peerCredentials(fd).uid === process.geteuid!()) {
        this.incoming.push(new Incoming(this, this.options.seams, fd));
      } else {
        this.options.warn('a handover connection from another user was refused');
        closeFd(fd);
      }
    }
  }
}
