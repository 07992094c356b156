/**
 * Handing sockets and unanswered queries over between members: this member *gives* its own to the peer (giver.ts), and *holds*
 * the peer's (holder.ts). Here is what takes both to say: whether the two are redundant, and when one may leave. See
 * handover-messages.ts for what is said, core's HeldMember for what is done when the other is gone.
 *
 * Invariant: a member leaves when the other reads its sockets. Of two that would leave at once one waits for the other's
 * successor, but neither for longer than PEER_BACK_MS. It does not know how sockets come and go.
 */
import type { HeldSeams, MonoMs, Role, Settings, SlotMemory, SocketAddress } from '@tandem/core';
import { bootTimeMs, closeFd, type Journal, type Reactor } from 'node-reuseport';
import { Giver } from './giver.js';
import { dialHandover, pause, PEER_ANSWER_MS, peerOf } from './handover-dial.js';
import { HANDOVER_PROTOCOL, receiveHandover, sendHandover } from './handover-messages.js';
import { Holder } from './holder.js';
import type { Listener } from './listeners.js';
import type { TcpClients } from './tcp-clients.js';
import type { Tokens } from './tokens.js';

/** A member that is to end waits so long for a peer that is just being replaced, or that hangs. */
const PEER_BACK_MS = 10_000;

export interface HandoverOptions {
  readonly role: Role;
  readonly runDir: string;
  /** Our number among this member's workers, and how many they are. */
  readonly worker: number;
  readonly workers: number;
  /** New sockets take redirected packets. */
  readonly isTransparent: boolean;
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
  /** A member shares its flow ring in this journal, which stays open until the end of it is told. */
  readonly onFlows: (key: number, role: Role, journalFd: number) => void;
  readonly onFlowsEnded: (key: number) => void;
}

export class Handover {
  private readonly options: HandoverOptions;
  private readonly giver: Giver;
  private readonly holder: Holder;
  private drainBeforeMs: number | null = null;
  /** It was leaving when we were told to, or was lost while it answered for us: its successor will come. */
  private expectsPeer = false;

  constructor(options: HandoverOptions) {
    this.options = options;
    this.giver = new Giver(options);
    this.holder = new Holder(options, { yieldTo: (fd, role) => this.giver.yieldTo(fd, role), mayPeerLeave: () => this.mayPeerLeave() });
  }

  /** The peer holds our sockets and journal, and we hold its. */
  get isRedundant(): boolean {
    return this.giver.isHeld && this.holder.isHolding;
  }

  /** The peer holds our sockets and journal. */
  get isHeld(): boolean {
    return this.giver.isHeld;
  }

  /** The peer reads our sockets, and holds our clients' connections. */
  get isTakenOver(): boolean {
    return this.giver.drain === 'adopted' && this.giver.isHeld;
  }

  /** Members that are being answered for. */
  get adopted(): number {
    return this.holder.adopted;
  }

  /** How many workers the peer has; 0: there is no peer. */
  get peerWorkers(): number {
    return this.holder.peerWorkers;
  }

  /** When the peer's data plane was seen to turn last; 0: there is no peer. */
  get peerBeatAtMs(): number {
    return this.holder.peerBeatAtMs;
  }

  /** Our sockets for the addresses, from wherever they are to be had; see Giver. */
  acquire(addresses: readonly SocketAddress[], legacy: readonly Listener[]): readonly Listener[] {
    return this.giver.acquire(addresses, legacy, () => this.holder.serve());
  }

  /** We read our sockets from now on; they may have another number than when they were shared (port 0). */
  reading(listeners: readonly Listener[]): void {
    this.giver.reading(listeners);
  }

  nextDeadlineMs(): number {
    return Math.min(this.giver.nextDeadlineMs(), this.holder.nextDeadlineMs());
  }

  tick(): void {
    const nowMs = this.options.seams.nowMs();
    this.holder.tick(nowMs);
    this.giver.tick(nowMs);
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
    if (this.giver.drain === 'adopted' || nowMs >= this.drainBeforeMs) return 'over';
    if (this.giver.drain === 'asked') return 'waiting';
    const { members } = this.holder;
    const isLeaving = members.some((held) => held.isLeaving);
    this.expectsPeer ||= isLeaving || this.giver.hasLostAdopter || (!this.giver.isUnreadable && members.some((held) => held.isAlive));
    if (isLeaving || !this.giver.isHeld) return this.expectsPeer && awaitsPeer ? 'waiting' : 'over';
    this.giver.askToDrain();
    return 'waiting';
  }

  /** The data plane ends, its process perhaps not: what the peer goes by must end, too. */
  close(): void {
    this.giver.close();
    this.holder.close();
  }

  /**
   * May the peer leave, now that it asks to? Not while it reads our sockets because we leave. Where both ask at once, the agent
   * goes first.
   */
  private mayPeerLeave(): boolean {
    if (this.giver.drain === 'adopted') return false;
    return this.giver.drain === 'no' || this.options.role !== 'agent';
  }
}

/**
 * The newest journal that the peer can read, asked before our own is made; null where there is no peer that answers. So a pair
 * of two releases works by the older one's layout.
 */
export function peerLayout({ runDir, role }: Pick<Settings, 'runDir' | 'role'>, worker: number, layout: number): number | null {
  const fd = dialHandover({ runDir, worker }, peerOf(role), () => undefined);
  if (fd === null) return null;
  try {
    sendHandover(fd, { kind: 'hello', protocol: HANDOVER_PROTOCOL, role, layout, listen: [] });
    for (const untilMs = bootTimeMs() + PEER_ANSWER_MS; bootTimeMs() < untilMs; pause()) {
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
