/**
 * Two members' stream sides in one process, without a query path: the test is the path. One owns connections, the other holds
 * duplicates of them and takes them when the test says that the owner is gone or hangs.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { Counters, monoMs, type MonoMs, SLOT, slotPayload, type SlotMemory, slotWord, type SocketAddress, TAKEN } from '@tandem/core';
import {
  bindSocket, closeFd, connectUnix, Control, EAGAIN, Journal, listenSocket, listenUnix, localAddress, openSocket, Reactor, readyStride, connectTcp,
  acceptConnection, receiveInto, receiveWithFds, sendFrom, sendWithFds,
} from 'node-reuseport';
import type { ClientConnection } from '../client-connection.js';
import { ConnectionRecords } from '../connection-records.js';
import { HeldConnections } from '../held-connections.js';
import { MappedJournal } from '../held-journal.js';
import { createRegion, openRegion, regionBytes, type SharedRegion } from '../shared-region.js';
import { slotMemory } from '../slot-memory.js';
import { UnsentBudget } from '../stream.js';
import { TcpClients } from '../tcp-clients.js';
import { Tokens } from '../tokens.js';
import { Messages } from './messages.js';
import { newDir } from './rig.js';

const SLOTS = 64;
export const BATCH = 4;
const RECORDS = 16;
const IDLE_MS = 10_000;
/** Little, so that a client that does not read is soon felt. */
const SEND_BUFFER_BYTES = 16 * 1024;
/** Where the thief numbers the owner's listeners. */
export const HELD_BASE = 16;

/** One member: its journal, its connections, and the queries that its path was given. */
export class StreamSide {
  readonly journal: Journal;
  readonly reactor: Reactor;
  readonly memory: SlotMemory;
  readonly region: SharedRegion;
  readonly records: ConnectionRecords;
  readonly clients: TcpClients;
  readonly unsent = new UnsentBudget();
  /** Queries that nobody has answered yet, in the order they came. */
  readonly asked: number[] = [];
  readonly slotsFree: number;
  nowMs: MonoMs = monoMs(1000);
  private readonly tokens = new Tokens();

  constructor() {
    this.journal = Journal.create({ slots: SLOTS, batch: BATCH, extraBytes: regionBytes(RECORDS) });
    this.reactor = new Reactor(this.journal);
    this.memory = slotMemory(this.journal);
    this.region = createRegion(this.journal, RECORDS);
    this.records = new ConnectionRecords(this.region);
    const { reactor, memory, tokens, unsent, records } = this;
    this.clients = new TcpClients(
      { reactor, memory, tokens, unsent, records, nowMs: () => this.nowMs, onQuery: (slot) => this.asked.push(slot) },
      { connections: RECORDS / 2, connectionsPerClient: RECORDS / 2, idleTimeoutMs: IDLE_MS },
    );
    this.turn();
    this.slotsFree = this.freeSlots;
  }

  get freeSlots(): number {
    return this.reactor.control[Control.FREE_SLOTS];
  }

  /** One turn of the loop. */
  turn(timeoutMs = 0): void {
    this.clients.flush();
    this.reactor.step(0, timeoutMs);
    this.tokens.recycle();
    const { ready, control } = this.reactor;
    for (let i = 0; i < control[Control.READY]; i++) this.tokens.dispatch(ready[i * readyStride], ready[i * readyStride + 1]);
    this.clients.tick();
  }

  /** Turns until it is so. */
  until(what: string, isSo: () => boolean): void {
    for (let turns = 0; !isSo(); turns++) {
      if (turns === 1000) throw new Error(`${what}: not within ${turns} turns`);
      this.turn(1);
    }
  }

  question(slot: number): Buffer {
    const start = slotPayload(this.memory, slot);
    return Buffer.from(this.memory.bytes.subarray(start, start + this.memory.words[slotWord(this.memory, slot) + SLOT.length]));
  }

  /** Answers the oldest query with these bytes, or with its own, and writes at once. */
  answer(bytes?: Uint8Array): number {
    const slot = this.prepare(bytes);
    this.clients.flush();
    return slot;
  }

  /** The same, to be written at the end of the turn. */
  prepare(bytes?: Uint8Array): number {
    const slot = this.asked.shift()!;
    const answer = bytes ?? new Uint8Array(this.question(slot));
    this.clients.reply(slot, answer, 0, answer.length);
    return slot;
  }

  close(): void {
    this.clients.closeAll();
    this.reactor.close();
    this.journal.release();
  }
}

export class Stage {
  readonly owner = new StreamSide();
  readonly thief = new StreamSide();
  /** As the thief maps it. */
  readonly peer: Journal;
  readonly held: HeldConnections;
  readonly mapped: MappedJournal;
  readonly counters = new Counters();
  readonly server: SocketAddress;
  readonly listener: number;
  private readonly wire: { readonly giver: number; readonly holder: number };
  /** What the owner holds of the thief, once it does. */
  private back: { readonly held: HeldConnections; readonly mapped: MappedJournal; readonly peer: Journal } | null = null;

  constructor(t: Test) {
    const { owner, thief } = this;
    this.peer = Journal.open(owner.journal.fd);
    const region = openRegion(this.peer)!;
    this.held = new HeldConnections(new ConnectionRecords(region), { clients: thief.clients, counters: this.counters, base: HELD_BASE });
    this.mapped = new MappedJournal(this.peer, {
      reactor: thief.reactor, memory: thief.memory, base: HELD_BASE, lastMappings: null, onMapping: () => undefined, connections: this.held, noSteal: false,
    });
    this.wire = socketPair();
    this.listener = openSocket({ type: 'tcp', family: 4, sendBufferBytes: SEND_BUFFER_BYTES });
    bindSocket(this.listener, '127.0.0.1', 0);
    listenSocket(this.listener, RECORDS);
    this.server = localAddress(this.listener);
    owner.clients.setShare((connection) => this.share(connection, this.held));
    owner.clients.addListener(this.listener, 0);
    t.teardown(() => this.close());
  }

  /** As HeldMember does: connections first, then the slots. Gives what became of each slot that was owed. */
  take(isGone: boolean): readonly number[] {
    this.held.take(isGone, this.thief.nowMs);
    return takeSlots(this.mapped, this.thief, { isGone });
  }

  /** The owner is awake: what only the thief can answer. */
  takeStranded(most = Infinity): readonly number[] {
    return takeSlots(this.mapped, this.thief, { isStranded: true, most });
  }

  /** The same of so many slots at most, from an owner that hangs: the thief stops in the midst of it. */
  takeSome(most: number): readonly number[] {
    this.held.take(false, this.thief.nowMs);
    return takeSlots(this.mapped, this.thief, { most });
  }

  /** From now on the owner holds what the thief has taken. */
  holdBack(): void {
    const { owner, thief } = this;
    const peer = Journal.open(thief.journal.fd);
    const held = new HeldConnections(new ConnectionRecords(openRegion(peer)!), { clients: owner.clients, counters: this.counters, base: HELD_BASE });
    const mapped = new MappedJournal(peer, {
      reactor: owner.reactor, memory: owner.memory, base: HELD_BASE, lastMappings: null, onMapping: () => undefined, connections: held, noSteal: false,
    });
    this.back = { held, mapped, peer };
    thief.clients.setShare((connection) => this.share(connection, held));
  }

  /** The thief hangs: the owner takes from it, as `take`. */
  takeBack(): readonly number[] {
    const { held, mapped } = this.back!;
    held.take(false, this.owner.nowMs);
    return takeSlots(mapped, this.owner, {});
  }

  /** The thief is awake: what only the owner can answer. */
  takeStrandedBack(): readonly number[] {
    return takeSlots(this.back!.mapped, this.owner, { isStranded: true });
  }

  private share({ fd, record }: ClientConnection, held: HeldConnections): 'shared' {
    sendWithFds(this.wire.giver, new Uint8Array(1), [fd]);
    held.add(record, receiveWithFds(this.wire.holder, 1, 1)!.fds[0]);
    return 'shared';
  }

  private close(): void {
    this.held.close();
    this.back?.held.close();
    this.back?.peer.release();
    this.owner.close();
    this.thief.close();
    this.peer.release();
    for (const fd of [this.listener, this.wire.giver, this.wire.holder]) closeFd(fd);
  }
}

interface Taking {
  readonly isGone?: boolean;
  readonly isStranded?: boolean;
  readonly most?: number;
}

function takeSlots(mapped: MappedJournal, by: StreamSide, { isGone = false, isStranded = false, most = Infinity }: Taking): readonly number[] {
  const codes: number[] = [];
  for (const slot of [...mapped.owed()]) {
    if (codes.length === most) break;
    if (!(isStranded ? mapped.mustTake(slot) : mapped.mayTake(slot))) continue;
    const code = mapped.take(slot, isGone);
    codes.push(code);
    if (code === TAKEN.query) by.asked.push(mapped.taken[0]);
  }
  return codes;
}

/** A client whose every step is a system call: what it sent is with the server when `send` returns. */
export class RawClient {
  readonly fd: number;
  /** Messages that came, whole. */
  readonly received: Buffer[] = [];
  private readonly messages = new Messages();
  private isClosed = false;

  constructor(t: Test, server: SocketAddress) {
    this.fd = connectTcp(server);
    t.teardown(() => this.close());
  }

  send(bytes: Uint8Array): void {
    if (sendFrom(this.fd, bytes, 0, bytes.length) !== bytes.length) throw new Error('the socket took less');
  }

  /** Reads what there is. 'open': no more for now; 'end'; or −errno. */
  read(): 'open' | 'end' | number {
    for (;;) {
      const count = receiveInto(this.fd, buffer, 0, buffer.length, false);
      if (count === -EAGAIN) return 'open';
      if (count <= 0) return count === 0 ? 'end' : count;
      this.received.push(...this.messages.push(buffer.slice(0, count)));
    }
  }

  close(): void {
    if (!this.isClosed) closeFd(this.fd);
    this.isClosed = true;
  }
}

const buffer = new Uint8Array(1 << 20);

/** Both ends of a Unix connection that carries descriptors. */
function socketPair(): { readonly giver: number; readonly holder: number } {
  const dir = newDir();
  const path = join(dir, 'pair.sock');
  const listener = listenUnix(path, 0o600);
  const giver = connectUnix(path);
  const holder = acceptConnection(listener);
  closeFd(listener);
  rmSync(dir, { recursive: true });
  return { giver, holder };
}
