/**
 * Who holds whose sockets: what host's handover.ts, giver.ts and holder.ts say and do, over a modelled Unix socket. The decisions about a
 * held member are core's own (HeldMember).
 *
 * Invariant: as there, a member whose peer answers at its start binds only when the peer holds its socket and its journal.
 */
import { HeldMember, type HeldSeams, monoMs, type Role } from '@tandem/core';
import type { Journal } from '../models/journal.js';
import type { MappingJournal } from '../models/mapping-journal.js';
import type { Reactor } from '../models/reactor.js';
import type { SharedSocket } from '../models/reuseport-switch.js';
import type { ChannelEnd, HandoverMessage } from './channel.js';
import { LISTENERS_PER_MEMBER } from '../models/take.js';
import { type HeldDefects, SimHeldJournal, SimHeldSockets } from './held.js';
import type { LearnedRecord } from './plane.js';

/** As in host. */
const PEER_ANSWER_MS = 500;
const REDIAL_MS = 100;
const PEER_BACK_MS = 10_000;
const LISTENER_NUMBERS_MAX = 256;

type ShareMessage = Extract<HandoverMessage, { readonly kind: 'share' }>;

export interface HandoverOptions {
  readonly role: Role;
  readonly journal: Journal;
  readonly mappings: MappingJournal<LearnedRecord>;
  readonly reactor: Reactor;
  readonly held: HeldSeams;
  /** A mapping that a dead member learned. */
  readonly onMapping: (record: LearnedRecord) => void;
  readonly defects: HeldDefects;
  readonly nowMs: () => number;
  /** Runs later, unless the process is gone. */
  readonly after: (delayMs: number, fn: () => void) => void;
  /** A connection to the peer's data plane; null when there is none. */
  readonly dial: () => ChannelEnd | null;
  readonly createSocket: () => SharedSocket;
  /** Something is to be read. */
  readonly wake: () => void;
  readonly onReading: (isReading: boolean) => void;
}

export class Handover {
  private readonly options: HandoverOptions;
  private readonly incoming = new Set<Incoming>();
  private own: SharedSocket | null = null;
  private outgoing: ChannelEnd | null = null;
  private isTaken = false;
  private redialAtMs = 0;
  private nextBase = LISTENERS_PER_MEMBER;
  private drainState: 'no' | 'asked' | 'adopted' = 'no';
  private drainBeforeMs: number | null = null;
  /** It was leaving when we were told to: its successor will come. */
  private expectsPeer = false;
  private isAcquiring = false;
  private acquired: ((socket: SharedSocket) => void) | null = null;

  constructor(options: HandoverOptions) {
    this.options = options;
  }

  /** The peer holds our socket and journal, and we hold its. */
  get isRedundant(): boolean {
    return this.isTaken && [...this.incoming].some((one) => one.held?.isAlive === true && !one.held.isAdopted);
  }

  /** Members that are not dropped yet. */
  get heldCount(): number {
    return [...this.incoming].filter((one) => one.held !== null && !one.held.isDone).length;
  }

  get adopted(): number {
    return [...this.incoming].filter((one) => one.held?.isAdopted === true).length;
  }

  /** Handed back by the peer, or a new one that the peer holds now, or a new one: `then` is told once. */
  acquire(then: (socket: SharedSocket) => void): void {
    this.acquired = then;
    this.isAcquiring = true;
    const channel = this.options.dial();
    if (channel === null) {
      this.finishAcquiring();
      return;
    }
    this.outgoing = channel;
    channel.onReady = () => this.options.after(0.5, () => this.onReady());
    channel.send({ kind: 'hello', role: this.options.role });
    this.options.after(PEER_ANSWER_MS, () => {
      if (this.isAcquiring && this.own === null) this.giveUp();
    });
  }

  /** We read our socket from now on. */
  reading(): void {
    this.outgoing?.send({ kind: 'reading' });
  }

  /** The peer calls. */
  accept(channel: ChannelEnd): void {
    this.incoming.add(new Incoming(this, channel));
    // While it waits for its own peer, a member serves those that call.
    channel.onReady = () => {
      if (this.isAcquiring) this.options.after(0.5, () => this.onReady());
      else this.options.wake();
    };
  }

  get isReadable(): boolean {
    return this.outgoing?.isReadable === true || [...this.incoming].some((one) => one.channel.isReadable);
  }

  onReady(): void {
    this.readPeer();
    for (const one of this.incoming) one.onReady();
  }

  nextDeadlineMs(): number {
    let deadline = this.outgoing === null ? this.redialAtMs : Infinity;
    for (const { held } of this.incoming) if (held !== null) deadline = Math.min(deadline, held.nextDeadlineMs());
    return deadline;
  }

  tick(): void {
    const nowMs = monoMs(this.options.nowMs());
    for (const one of this.incoming) {
      one.held?.tick(nowMs);
      if (one.held?.isDone === true) this.incoming.delete(one);
    }
    if (this.outgoing === null && nowMs >= this.redialAtMs) this.redial(nowMs);
  }

  /** On every turn until it is 'over', as in host: waits for a peer that is leaving itself, is there and does not hold our socket yet, or hangs. */
  drain(): 'waiting' | 'over' {
    const nowMs = this.options.nowMs();
    this.drainBeforeMs ??= nowMs + PEER_BACK_MS;
    if (this.drainState === 'adopted' || nowMs >= this.drainBeforeMs) return 'over';
    if (this.drainState === 'asked') return 'waiting';
    const peers = [...this.incoming].flatMap(({ held }) => held ?? []);
    const isLeaving = !this.options.defects.leavesTogether && peers.some((held) => held.isLeaving);
    this.expectsPeer ||= isLeaving || peers.some((held) => held.isAlive);
    if (isLeaving || this.outgoing === null || !this.isTaken) return this.expectsPeer ? 'waiting' : 'over';
    this.drainState = 'asked';
    this.outgoing.send({ kind: 'drain' });
    return 'waiting';
  }

  /** Not while it reads our socket because we leave. Where both ask at once, the agent goes first. */
  mayPeerLeave(): boolean {
    if (this.options.defects.leavesTogether) return true;
    if (this.drainState === 'adopted') return false;
    return this.drainState === 'no' || this.options.role !== 'agent';
  }

  /** A successor of `except`'s role reads its socket itself. */
  giveBackAll(except: Incoming): void {
    for (const one of this.incoming) {
      if (one === except || one.role !== except.role) continue;
      if (one.held?.isAlive === false) one.held.giveBack(monoMs(this.options.nowMs()));
    }
  }

  /** The socket of a dead member of this role that is read here, to be handed to its successor. */
  inheritance(role: Role): SharedSocket | null {
    for (const one of this.incoming) {
      if (one.role === role && one.held?.isAlive === false && !one.held.isDone) return one.socket;
    }
    return null;
  }

  hold({ journal, mappings, socket }: ShareMessage): HeldMember {
    const { reactor, held, defects, nowMs, onReading, onMapping } = this.options;
    const base = this.nextBase;
    this.nextBase = base + LISTENERS_PER_MEMBER >= LISTENER_NUMBERS_MAX ? LISTENERS_PER_MEMBER : base + LISTENERS_PER_MEMBER;
    const options = { reactor, base, defects, nowMs, lastMappings: mappings, onMapping };
    return new HeldMember(held, new SimHeldJournal(journal, options), new SimHeldSockets(socket, options, onReading));
  }

  forget(one: Incoming): void {
    this.incoming.delete(one);
  }

  nowMs(): number {
    return this.options.nowMs();
  }

  /** The data plane ends: the peer reads the end of each connection. */
  close(delayMs: number): void {
    this.outgoing?.close(delayMs);
    for (const one of this.incoming) one.close(delayMs);
    this.incoming.clear();
    this.own?.close();
    this.own = null;
  }

  private redial(nowMs: number): void {
    this.redialAtMs = nowMs + REDIAL_MS;
    const channel = this.options.dial();
    if (channel === null) return;
    this.outgoing = channel;
    channel.onReady = () => this.options.wake();
    channel.send({ kind: 'hello', role: this.options.role });
  }

  private readPeer(): void {
    const { outgoing } = this;
    if (outgoing === null) return;
    for (let message = outgoing.receive(); message !== 'none'; message = outgoing.receive()) {
      if (message === 'end') {
        this.lose();
        return;
      }
      this.fromHolder(message);
    }
  }

  /** What the holder of our socket says. */
  private fromHolder(message: HandoverMessage): void {
    switch (message.kind) {
      case 'welcome':
        this.welcome(message.socket);
        break;
      case 'taken':
        this.isTaken = true;
        if (this.isAcquiring) this.finishAcquiring();
        else this.outgoing!.send({ kind: 'reading' });
        break;
      case 'adopted':
        this.drainState = 'adopted';
        break;
      case 'busy':
        this.drainState = 'no';
        break;
      default:
    }
  }

  private welcome(socket: SharedSocket | null): void {
    if (!this.isAcquiring) {
      socket?.close();
      this.share();
      return;
    }
    this.own = socket ?? this.options.createSocket();
    this.share();
    this.options.after(PEER_ANSWER_MS, () => {
      if (this.isAcquiring) this.giveUp();
    });
  }

  private share(): void {
    const { journal, mappings } = this.options;
    this.outgoing!.send({ kind: 'share', journal, mappings, socket: this.own! });
  }

  /** The peer does not answer in time. */
  private giveUp(): void {
    this.outgoing?.close(0);
    this.outgoing = null;
    this.finishAcquiring();
  }

  private finishAcquiring(): void {
    if (!this.isAcquiring) return;
    this.isAcquiring = false;
    if (this.outgoing !== null) this.outgoing.onReady = () => this.options.wake();
    this.own ??= this.options.createSocket();
    this.acquired!(this.own);
  }

  private lose(): void {
    this.outgoing?.close(0);
    this.outgoing = null;
    this.isTaken = false;
    // It was to answer for us: its successor shall.
    if (this.drainState !== 'no') this.expectsPeer = true;
    this.drainState = 'no';
    if (this.isAcquiring) this.finishAcquiring();
  }
}

/** A member that gives its socket and journal here. */
class Incoming {
  role: Role | null = null;
  held: HeldMember | null = null;
  socket: SharedSocket | null = null;
  readonly channel: ChannelEnd;
  private readonly handover: Handover;

  constructor(handover: Handover, channel: ChannelEnd) {
    this.handover = handover;
    this.channel = channel;
  }

  onReady(): void {
    for (let message = this.channel.receive(); message !== 'none'; message = this.channel.receive()) {
      if (message === 'end') {
        this.end();
        return;
      }
      this.handle(message);
    }
  }

  /** This process is gone: so are its descriptors. */
  close(delayMs: number): void {
    this.channel.close(delayMs);
    if (this.held?.isDone === false) this.socket?.close();
  }

  private handle(message: HandoverMessage): void {
    switch (message.kind) {
      case 'hello':
        this.role = message.role;
        this.channel.send({ kind: 'welcome', socket: this.handover.inheritance(message.role) });
        break;
      case 'share':
        this.socket = message.socket;
        this.held = this.handover.hold(message);
        this.channel.send({ kind: 'taken' });
        break;
      case 'reading':
        this.handover.giveBackAll(this);
        break;
      case 'drain':
        this.drain();
        break;
      default:
    }
  }

  private drain(): void {
    const mayLeave = this.handover.mayPeerLeave();
    if (mayLeave) this.held?.drain();
    this.channel.send({ kind: mayLeave ? 'adopted' : 'busy' });
  }

  private end(): void {
    this.channel.close(0);
    if (this.held === null) this.handover.forget(this);
    else this.held.end(monoMs(this.handover.nowMs()));
  }
}
