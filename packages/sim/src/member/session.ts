/**
 * One pair link from Hello to its end: what host's session.ts says, in the same order, as bytes of tandem.pair.v1.
 *
 * Invariant: as there, a message that cannot be used ends the link and changes nothing. Keepalive is left out.
 */
import { AppError, Exchange, type ExchangeMessage, type Role, type Snapshot } from '@tandem/core';
import { checkHello, exchangeFromWire, exchangeToWire, pairV1, seenOf, seenToWire, versionsToWire } from '@tandem/proto';
import type { Control } from './control.js';

type Message = NonNullable<pairV1.LinkRequest['message']> | NonNullable<pairV1.LinkResponse['message']>;

/** As in host. */
const HELLO_TIMEOUT_MS = 2000;
/** Between two slices of digesting. */
const SLICE_MS = 0.05;

const ROLE_OF_PEER: Readonly<Record<Role, Role>> = { agent: 'dns-proxy', 'dns-proxy': 'agent' };

export class Session {
  readonly exchange: Exchange;
  private readonly control: Control;
  private readonly role: Role;
  private readonly transmit: (bytes: Uint8Array) => void;
  private readonly hangUp: () => void;
  private open = false;
  private closed = false;
  private requests = 0;
  private awaiting: string | null = null;
  private peerHash = '';
  private peerRevision = 0;
  private peer = '';
  private isWorkDue = false;
  private isWatching = false;

  constructor(control: Control, role: Role, transport: { readonly send: (bytes: Uint8Array) => void; readonly close: () => void }) {
    this.control = control;
    this.role = role;
    this.transmit = transport.send;
    this.hangUp = transport.close;
    this.exchange = new Exchange(control.replica);
  }

  start(): void {
    const { snapshot } = this.control;
    this.control.process.after(HELLO_TIMEOUT_MS, () => {
      if (!this.open && !this.closed) this.giveUp();
    });
    this.send({
      $case: 'hello',
      value: {
        ...versionsToWire(),
        role: this.role,
        incarnation: this.control.replica.incarnation,
        version: 'sim',
        snapshotRevision: BigInt(snapshot?.revision ?? 0),
        snapshotHash: snapshot?.hash ?? '',
        verdictSettings: {},
        seen: seenToWire(this.control.replica.vector()),
        sourceHeard: undefined,
      },
    });
  }

  get isClosed(): boolean {
    return this.closed;
  }

  receive(bytes: Uint8Array): void {
    if (this.closed) return;
    try {
      const decoded = this.role === 'agent' ? pairV1.LinkRequest.decode(bytes) : pairV1.LinkResponse.decode(bytes);
      if (decoded.message !== undefined) this.handle(decoded.message);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.control.world.checkers.onLinkRefused(this.control, error);
      this.giveUp();
    }
  }

  pump(): void {
    if (!this.open || this.closed) return;
    this.offerSnapshot();
    for (let next = this.next(); next !== null; next = this.next()) this.send(exchangeToWire(next));
    this.watchLateness();
    if (!this.exchange.isBusy || this.isWorkDue) return;
    this.isWorkDue = true;
    this.control.process.after(SLICE_MS, () => this.work());
  }

  ended(): void {
    if (this.closed) return;
    this.closed = true;
    if (!this.open) return;
    this.open = false;
    this.exchange.linkDown();
    this.control.linkDown(this);
  }

  private handle(message: Message): void {
    if (message.$case !== 'hello' && !this.open) throw new AppError('LINK', 'the peer spoke before its Hello');
    switch (message.$case) {
      case 'hello':
        this.hello(message.value);
        break;
      case 'changes':
      case 'changesAck':
      case 'digests':
      case 'buckets':
        this.exchanged(exchangeFromWire(message));
        break;
      case 'snapshot':
        this.snapshot(message.value);
        break;
      case 'snapshotResult':
        this.snapshotResult(message.value.requestId);
        break;
      default:
        throw new AppError('LINK', 'a message that this version does not know');
    }
  }

  private hello(hello: pairV1.Hello): void {
    if (this.open) throw new AppError('LINK', 'the peer said Hello twice');
    checkHello(hello, ROLE_OF_PEER[this.role]);
    this.open = true;
    this.peer = hello.incarnation;
    this.peerHash = hello.snapshotHash;
    this.peerRevision = Number(hello.snapshotRevision);
    this.exchange.linkUp({ incarnation: hello.incarnation, seen: seenOf(hello, this.control.replica.incarnation) });
    this.control.linkUp(this);
    this.pump();
  }

  private exchanged(message: ExchangeMessage): void {
    this.exchange.receive(message);
    if (message.kind === 'changes') {
      this.control.fromLink(message, this.peer);
      this.exchange.applied(message.sequence);
    }
    this.pump();
  }

  /** What the exchange says next, but for what a planted defect keeps to itself. */
  private next(): ExchangeMessage | null {
    const { plant } = this.control.world;
    const message = this.exchange.next(this.control.nowMs());
    if (message?.kind === 'digests' && plant.skipsFullSync) {
      this.exchange.receive({ kind: 'buckets', pass: message.pass, buckets: [] });
      return this.next();
    }
    return message?.kind === 'changes' && plant.forgetsCleans ? { ...message, cleans: [] } : message;
  }

  private work(): void {
    this.isWorkDue = false;
    if (this.closed) return;
    this.exchange.work();
    this.pump();
  }

  private watchLateness(): void {
    const { deadlineMs } = this.exchange;
    if (this.isWatching || deadlineMs === null) return;
    this.isWatching = true;
    this.control.process.after(Math.max(1, deadlineMs - this.control.nowMs()), () => {
      this.isWatching = false;
      if (this.closed) return;
      if (this.exchange.lateness(this.control.nowMs()) === null) this.watchLateness();
      else this.giveUp();
    });
  }

  private giveUp(): void {
    this.hangUp();
    this.ended();
  }

  private offerSnapshot(): void {
    const { snapshot } = this.control;
    if (snapshot === null || this.awaiting !== null || this.peerHash === snapshot.hash) return;
    const aheadBy = snapshot.revision - this.peerRevision;
    if (aheadBy < 0 || (aheadBy === 0 && this.role === 'dns-proxy')) return;
    this.awaiting = String(++this.requests);
    this.peerHas(snapshot);
    const content = Buffer.from(this.control.world.policies.memory.bytesOf(snapshot));
    this.send({ $case: 'snapshot', value: { requestId: this.awaiting, revision: BigInt(snapshot.revision), hash: snapshot.hash, content } });
  }

  private snapshotResult(requestId: string): void {
    if (this.awaiting !== requestId) throw new AppError('LINK', 'the peer answered a snapshot that it was not sent');
    this.awaiting = null;
    this.pump();
  }

  private snapshot(message: pairV1.Snapshot): void {
    const snapshot: Snapshot = this.control.world.policies.memory.snapshotOf(message.content);
    this.peerHas(snapshot);
    const { requestId, revision } = message;
    this.control.fromPeer(snapshot, (refusal) => this.send({ $case: 'snapshotResult', value: { requestId, revision, refusal } }));
  }

  private peerHas({ revision, hash }: Snapshot): void {
    this.peerRevision = revision;
    this.peerHash = hash;
  }

  private send(message: Message): void {
    if (this.closed) return;
    const bytes = this.role === 'agent'
      ? pairV1.LinkResponse.encode({ message: message }).finish()
      : pairV1.LinkRequest.encode({ message: message }).finish();
    this.transmit(bytes);
  }
}
