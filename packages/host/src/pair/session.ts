/**
 * One pair link, from Hello to its end, the same on both sides: mappings and cleans both ways, policy from the agent to
 * the DNS proxy, and back to an agent that has none or an older one. Holds no transport: it is given messages and a way to send them.
 *
 * Invariant: a message that cannot be used ends the link (a snapshot: is refused) and changes nothing. A snapshot is neither
 * sent to a peer that has a newer one, nor taken in place of a newer one.
 */
import { AppError, type ChangesMessage, Exchange, monoMs, type MonoMs, type Role, type Snapshot, validateSnapshot } from '@tandem/core';
import {
  checkHello, exchangeFromWire, exchangeToWire, heardMsOf, type pairV1, seenOf, seenToWire, SNAPSHOT_BYTES_MAX, versionsToWire,
  type WireExchangeMessage, type WireMessage,
} from '@tandem/proto';
import { bootTimeMs } from 'node-reuseport';
import type { Member, PeerLink } from '../member/member.js';
import { settingMismatches, verdictSettings } from '../member/verdict-settings.js';
import { sha256 } from '../state/sha256.js';
import type { SpacedLog } from './spaced-log.js';

/** A peer that accepts the link and then says nothing is no peer. */
const HELLO_TIMEOUT_MS = 2000;
/** A snapshot that is neither acknowledged nor refused for this long ends the link. */
const SNAPSHOT_TIMEOUT_MS = 10_000;
/** Of a peer's version so much is shown. */
const VERSION_CHARACTERS_MAX = 64;
/** Why a link is down whose member closes its end. */
export const OWN_END = 'this member ends it';
/** Messages of mappings encoded in one turn of the control thread; others wait for no more than these. */
const MESSAGES_PER_TURN = 4;

export interface SessionOptions {
  readonly member: Member;
  /** For what may happen at every try. */
  readonly spaced: SpacedLog;
  /** False: the transport holds back, call `resume` when it does not any more. */
  readonly send: (message: WireMessage) => boolean;
  /** Ends the transport. */
  readonly close: (error: AppError | null) => void;
  /** The agent's side: the peer has a snapshot with this revision and hash, which is not ours, or has it under a later revision. */
  readonly onForeignSnapshot?: (revision: number, hash: string) => void;
  /** A snapshot came, or the peer has nothing better than the one on this disk. Rejects where it is not to be enforced. */
  readonly onSnapshot: (snapshot: Snapshot) => Promise<void>;
  /** By which the peer is late; the real one, unless a test has its own. */
  readonly clock?: SessionClock;
}

export interface SessionClock {
  readonly nowMs: () => MonoMs;
  /** Calls back once, after what came in meanwhile was read; returns what calls it off. */
  readonly after: (delayMs: number, callback: () => void) => () => void;
}

const BOOT_CLOCK: SessionClock = {
  nowMs: () => monoMs(bootTimeMs()),
  after: (delayMs, callback) => {
    // A process that was held up finds its timer due before it has read its sockets.
    let immediate: NodeJS.Immediate | null = null;
    const timer = setTimeout(() => {
      immediate = setImmediate(callback);
    }, delayMs);
    return () => {
      clearTimeout(timer);
      if (immediate !== null) clearImmediate(immediate);
    };
  },
};

export class PairSession {
  private readonly options: SessionOptions;
  private readonly member: Member;
  private readonly link: PeerLink;
  private readonly clock: SessionClock;
  private open = false;
  private closed = false;
  private writable = true;
  private readonly timer: NodeJS.Timeout;
  /** Calls off the look at whether the peer is late. */
  private callOff: (() => void) | null = null;
  private slice: NodeJS.Immediate | null = null;
  private requests = 0;
  private awaiting: { readonly requestId: string; readonly hash: string; readonly timer: NodeJS.Timeout } | null = null;
  /** What the peer has, was sent, or has sent. */
  private peerHash = '';
  private peerRevision = 0;
  /** Of the policy source, by its number of changes. */
  private sourceTold: number;

  constructor(options: SessionOptions) {
    this.options = options;
    this.member = options.member;
    this.clock = options.clock ?? BOOT_CLOCK;
    this.link = { exchange: new Exchange(this.member.replica), peer: this.member.peer, mismatches: [] };
    this.timer = setTimeout(() => this.fail('the peer said no Hello in time'), HELLO_TIMEOUT_MS);
    const { known } = this.member;
    this.sourceTold = this.member.heard.changes;
    this.send({
      $case: 'hello',
      value: {
        ...versionsToWire(),
        role: this.member.settings.role,
        incarnation: this.member.incarnation,
        version: this.member.version,
        snapshotRevision: BigInt(known?.revision ?? 0),
        snapshotHash: known?.hash ?? '',
        verdictSettings: { ...verdictSettings(this.member.settings) },
        seen: seenToWire(this.member.replica.vector()),
        sourceHeard: this.sourceHeard(),
      },
    });
  }

  /** True once the peer has said who it is. */
  get isOpen(): boolean {
    return this.open;
  }

  /** True once this side has ended the link. */
  get isGivenUp(): boolean {
    return this.closed;
  }

  receive(message: WireMessage): void {
    if (this.closed) return;
    try {
      this.handle(message);
    } catch (error) {
      this.end(error instanceof AppError ? error : new AppError('LINK', 'a message of the peer cannot be used', { cause: error }));
    }
  }

  /** The transport takes more again. */
  resume(): void {
    this.writable = true;
    this.pump();
  }

  /** Sends what waits, as far as the peer and the transport keep up. */
  pump(): void {
    if (!this.open || this.closed) return;
    this.offerSource();
    this.offerSnapshot();
    const { exchange } = this.link;
    let sent = 0;
    for (; this.writable && sent < MESSAGES_PER_TURN; sent++) {
      const next = exchange.next(this.clock.nowMs());
      if (next === null) break;
      this.send(exchangeToWire(next));
    }
    this.watchLateness();
    if (sent === MESSAGES_PER_TURN || exchange.isBusy) this.slice ??= setImmediate(() => this.work());
  }

  /** The transport is gone, or about to be, for this reason. */
  ended(reason: string): void {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.timer);
    if (this.awaiting !== null) clearTimeout(this.awaiting.timer);
    this.callOff?.();
    if (this.slice !== null) clearImmediate(this.slice);
    if (!this.open) return;
    this.open = false;
    this.link.exchange.linkDown();
    this.member.linkDown(this.link);
    if (this.member.settings.role === 'dns-proxy') this.member.heard.away();
    this.options.spaced.say('warn', 'the pair link is down', reason);
  }

  private handle(message: WireMessage): void {
    if (message.$case !== 'hello' && !this.open) throw new AppError('LINK', 'the peer spoke before its Hello');
    switch (message.$case) {
      case 'hello':
        this.hello(message.value);
        break;
      case 'changes':
      case 'changesAck':
      case 'digests':
      case 'buckets':
        this.exchange(message);
        break;
      case 'snapshot':
        this.snapshot(message.value);
        break;
      case 'snapshotResult':
        this.snapshotResult(message.value);
        break;
      case 'sourceHeard':
        this.source(message.value);
        break;
    }
  }

  private exchange(wire: WireExchangeMessage): void {
    const message = exchangeFromWire(wire);
    this.link.exchange.receive(message);
    if (message.kind === 'changes') this.apply(message);
    this.pump();
  }

  private apply({ sequence, mappings, cleans }: ChangesMessage): void {
    const from = this.link.peer.incarnation;
    this.member.mappings.applyCleans(cleans, from);
    this.member.mappings.merge(mappings, from).then(
      () => {
        this.link.exchange.applied(sequence);
        this.pump();
      },
      (error: unknown) => this.fail(`mappings cannot be kept: ${error instanceof Error ? error.message : String(error)}`),
    );
  }

  /** The next slice of digesting or sending; whatever else waits on this thread comes between two. */
  private work(): void {
    this.slice = null;
    if (this.closed) return;
    this.link.exchange.work();
    this.pump();
  }

  private watchLateness(): void {
    const { deadlineMs } = this.link.exchange;
    if (this.callOff !== null || deadlineMs === null) return;
    this.callOff = this.clock.after(Math.max(1, deadlineMs - this.clock.nowMs()), () => {
      this.callOff = null;
      const why = this.link.exchange.lateness(this.clock.nowMs());
      if (why === null) this.watchLateness();
      else this.fail(why);
    });
  }

  private hello(hello: pairV1.Hello): void {
    if (this.open) throw new AppError('LINK', 'the peer said Hello twice');
    const { member } = this;
    const expected: Role = member.settings.role === 'agent' ? 'dns-proxy' : 'agent';
    const protocol = checkHello(hello, expected);
    const seen = seenOf(hello, member.incarnation);
    this.source(hello.sourceHeard);
    clearTimeout(this.timer);
    this.open = true;
    this.peerHash = hello.snapshotHash;
    const revision = Number(hello.snapshotRevision);
    this.peerRevision = revision;
    this.link.peer = {
      connected: true, sinceMs: Date.now(), incarnation: hello.incarnation, revision: revision === 0 ? null : revision,
      hash: hello.snapshotHash === '' ? null : hello.snapshotHash, version: hello.version.slice(0, VERSION_CHARACTERS_MAX),
    };
    this.link.mismatches = settingMismatches(verdictSettings(member.settings), hello.verdictSettings);
    member.log.info('the pair link is up', { protocol, peerVersion: hello.version, peerIncarnation: hello.incarnation, peerSeen: seen });
    if (hello.snapshotHash !== '' && (hello.snapshotHash !== member.snapshot?.hash || revision > member.snapshot.revision)) {
      this.options.onForeignSnapshot?.(revision, hello.snapshotHash);
    }
    for (const { name, own, peers } of this.link.mismatches) {
      member.log.error('the members contradict each other in a setting', { setting: `--${name}`, own, peers });
    }
    this.link.exchange.linkUp({ incarnation: hello.incarnation, seen });
    member.linkUp(this.link);
    this.enforceKnown();
    this.pump();
  }

  /** The agent knows whether its source is heard; the DNS proxy may know better than an agent that lost its state when it was. */
  private source(said: pairV1.SourceHeard | undefined): void {
    const { heard, settings } = this.member;
    const atMs = said === undefined ? null : heardMsOf(said);
    if (settings.role === 'agent') {
      if (atMs !== null) heard.wasHeard(atMs);
    } else if (said === undefined || said.isHeard) heard.heard();
    else heard.away(atMs);
  }

  private sourceHeard(): pairV1.SourceHeard {
    const { heard } = this.member;
    return { isHeard: heard.isHeard, heardMs: heard.atMs ?? undefined };
  }

  private offerSource(): void {
    const { heard, settings } = this.member;
    if (settings.role !== 'agent' || this.sourceTold === heard.changes) return;
    this.sourceTold = heard.changes;
    this.send({ $case: 'sourceHeard', value: this.sourceHeard() });
  }

  /** What is on this disk need not wait for a peer that has nothing better. */
  private enforceKnown(): void {
    const { member, peerHash, peerRevision } = this;
    const { known } = member;
    if (member.snapshot !== null || known === null || (peerHash !== known.hash && peerRevision >= known.revision)) return;
    this.options.onSnapshot(member.heard.asOfNow(known)).catch((error: unknown) => {
      member.log.warn('the stored policy was not applied', { reason: error instanceof Error ? error.message : String(error) });
    });
  }

  /**
   * The agent's policy goes out one snapshot at a time; what changes meanwhile goes with the next one. The DNS proxy's goes to
   * an agent that has none or an older one. An agent that is behind its peer says nothing: it takes that policy, or outruns it.
   */
  private offerSnapshot(): void {
    const { member } = this;
    const snapshot = member.snapshot;
    if (snapshot === null || this.awaiting !== null || this.peerHash === snapshot.hash) return;
    const aheadBy = snapshot.revision - this.peerRevision;
    if (aheadBy < 0 || (aheadBy === 0 && member.settings.role === 'dns-proxy')) return;
    const content = Buffer.from(JSON.stringify(snapshot));
    if (content.length > SNAPSHOT_BYTES_MAX) {
      member.log.error('the snapshot is too large for the link', { bytes: content.length, allowed: SNAPSHOT_BYTES_MAX });
      this.peerHas(snapshot);
      return;
    }
    const requestId = String(++this.requests);
    const timer = setTimeout(() => this.fail('the peer neither took nor refused a snapshot in time'), SNAPSHOT_TIMEOUT_MS);
    this.awaiting = { requestId, hash: snapshot.hash, timer };
    this.peerHas(snapshot);
    this.send({ $case: 'snapshot', value: { requestId, revision: BigInt(snapshot.revision), hash: snapshot.hash, content } });
  }

  private snapshotResult(result: pairV1.SnapshotResult): void {
    const { awaiting } = this;
    if (awaiting?.requestId !== result.requestId) {
      throw new AppError('LINK', 'the peer answered a snapshot that it was not sent');
    }
    clearTimeout(awaiting.timer);
    this.awaiting = null;
    const { member } = this;
    if (result.refusal === '') this.link.peer = { ...this.link.peer, revision: Number(result.revision), hash: awaiting.hash };
    else if (member.settings.role === 'dns-proxy') member.log.info('the agent did without this policy', { reason: result.refusal });
    else member.log.error('the peer refused a snapshot', { revision: Number(result.revision), reason: result.refusal });
    this.pump();
  }

  private snapshot(message: pairV1.Snapshot): void {
    const reply = (refusal: string): void => {
      this.send({ $case: 'snapshotResult', value: { requestId: message.requestId, revision: message.revision, refusal } });
    };
    let snapshot: Snapshot;
    try {
      snapshot = validateSnapshot(JSON.parse(message.content.toString('utf8')), sha256);
      if (snapshot.hash !== message.hash) throw new AppError('SNAPSHOT_REFUSED', 'the hash beside the snapshot is another');
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.member.log.error('a snapshot was refused; the former one stays', { revision: Number(message.revision), reason });
      reply(reason);
      return;
    }
    this.peerHas(snapshot);
    const { known } = this.member;
    if (known !== null && known.hash !== snapshot.hash && known.revision > snapshot.revision) {
      reply(`revision ${snapshot.revision} is older than ${known.revision}, which is here`);
      this.enforceKnown();
      this.pump();
      return;
    }
    this.options.onSnapshot(snapshot).then(
      () => {
        this.link.peer = { ...this.link.peer, revision: snapshot.revision, hash: snapshot.hash };
        reply('');
      },
      (error: unknown) => reply(error instanceof Error ? error.message : String(error)),
    );
  }

  private peerHas({ revision, hash }: Snapshot): void {
    this.peerRevision = revision;
    this.peerHash = hash;
  }

  private send(message: WireMessage): void {
    if (!this.closed && !this.options.send(message)) this.writable = false;
  }

  private fail(reason: string): void {
    this.end(new AppError('LINK', reason));
  }

  private end(error: AppError): void {
    if (this.closed) return;
    this.options.spaced.say(this.open ? 'warn' : 'error', 'the pair link is given up', error.message);
    this.ended(error.message);
    this.options.close(error);
  }
}
