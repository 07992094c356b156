/**
 * A member's data plane: host's loop over the modelled kernel, around core's own QueryPath and HeldMember.
 *
 * One turn, as there: read what came, hand it to the path, do what is due, send, arm, beat, sleep. A turn takes no time
 * unless the process is stopped in the middle of it.
 */
import {
  Counters, formatAddress, monoMs, NO_FLOWS, OPENING, type LearnedMapping, type MonoMs, type Opening, PEER_TICK_MS, type PolicyIndex, QueryPath, SLOT, type Snapshot, slotWord,
} from '@tandem/core';
import { nameToString } from '@tandem/dns';
import type { Event } from '../base/event-queue.js';
import { EVENT } from '../base/transcript.js';
import { CodePoints } from '../models/code-points.js';
import { ANSWER_BYTES, BATCH, type Journal, STATE } from '../models/journal.js';
import { Reactor } from '../models/reactor.js';
import { MappingJournal } from '../models/mapping-journal.js';
import type { Query } from '../models/datagram.js';
import type { SharedSocket } from '../models/reuseport-switch.js';
import type { Answer, AnswerReceiver } from '../models/upstream.js';
import type { PolicyMemory } from '../run/policy-memory.js';
import type { World } from '../run/world.js';
import type { ChannelEnd } from './channel.js';
import { Handover } from './handover.js';
import type { SimProcess } from './process.js';
import { ALIEN_WORDS, PORTS, serverOf, UPSTREAM_PORT, UPSTREAM_WORDS } from './upstreams.js';
import { SimWire } from './wire.js';

/** As in host. */
const SPARE_SHARE = 0.5;
const REFUSAL_SHARE = 0.1;
const STOP_MS = 2600;
/** Of a UDP socket. */
const ANSWERS_MAX = 1024;
const RING_MAX = 10_000;

export interface LearnedRecord {
  readonly endpointId: number;
  readonly name: string;
  readonly address: string;
  readonly ttlSeconds: number;
  readonly lookupMs: MonoMs;
  /** Where the answer waits for the address to be opened; null: another member's, which is gone. */
  readonly waiting: { readonly slot: number; readonly answer: number } | null;
}

export type ToPlane =
  | { readonly kind: 'policy'; readonly snapshot: Snapshot; readonly done: () => void }
  | { readonly kind: 'opened'; readonly slot: number; readonly answer: number }
  | { readonly kind: 'forget' | 'stop' };

export interface PlaneEvents {
  learned(record: LearnedRecord): void;
  stopped(): void;
}

export class Plane implements AnswerReceiver {
  readonly journal: Journal;
  readonly points = new CodePoints();
  readonly counters = new Counters();
  /** What was learned last, for the peer. */
  readonly mappings = new MappingJournal<LearnedRecord>();
  readonly path: QueryPath;
  readonly handover: Handover;
  readonly process: SimProcess;
  readonly reactor: Reactor;
  /** When an upstream first answered the query here. */
  readonly answeredMs = new Map<Query, number>();
  /** Mappings that the control thread has not read. */
  ringLength = 0;
  private readonly world: World;
  private readonly wire: SimWire;
  private readonly events: PlaneEvents;
  private readonly answers: Answer[] = [];
  private readonly inbox: ToPlane[] = [];
  private readonly source = { words: UPSTREAM_WORDS, addressAt: 0, fromPort: UPSTREAM_PORT, port: 0 };
  private readonly slotsForQueries: number;
  private sleeping: Event | null = null;
  private wakesAtMs = Infinity;
  private index: PolicyIndex | null = null;
  private isRunning = false;
  private hasEnded = false;
  private isTurning = false;
  private stopping = false;
  private stopByMs = 0;
  private isQuiet = false;
  private nowMs: MonoMs;
  private addressBytes: Uint8Array = new Uint8Array(0);

  constructor(world: World, process: SimProcess, events: PlaneEvents) {
    this.world = world;
    this.process = process;
    this.events = events;
    this.nowMs = world.clock.nowMs();
    const { slots } = world.options;
    this.slotsForQueries = Math.max(1, Math.floor(slots * SPARE_SHARE * (1 - REFUSAL_SHARE)));
    this.journal = world.journals.take(process.number, slots);
    this.reactor = new Reactor(this.journal, this.points, world.outletOf(this), () => this.wake());
    this.reactor.reserve = Math.floor(slots * SPARE_SHARE);
    this.wire = new SimWire(this.reactor, {
      released: (slot, offset, length) => {
        // What the peer has taken meanwhile leaves by nobody's hand here.
        if (this.journal.states[slot] === this.reactor.expected[slot]) world.checkers.onRelease(this, slot, offset, length);
      },
    });
    this.path = new QueryPath(world.pathSettings(this.slotsForQueries), {
      memory: this.journal,
      wire: this.wire,
      sink: { learned: (mapping) => this.learned(mapping) },
      random: process.random.fork('path'),
      counters: this.counters,
      flows: NO_FLOWS,
    });
    this.path.setPorts(PORTS);
    this.handover = new Handover({
      role: process.role,
      journal: this.journal,
      mappings: this.mappings,
      reactor: this.reactor,
      onMapping: (record) => this.passOn({ ...record, waiting: null }),
      held: {
        counters: this.counters,
        flush: () => this.wire.flush(),
        replyTaken: (slot, offset, length) => {
          this.noteTaken(slot, true);
          this.wire.replyTaken(slot, offset, length);
        },
        onTaken: (slot, owner) => {
          this.noteTaken(slot, false);
          this.path.onTaken(slot, owner);
        },
      },
      defects: world.plant,
      nowMs: () => this.nowMs,
      after: (delayMs, fn) => process.after(delayMs, fn),
      dial: () => world.dialHandover(process.role),
      createSocket: () => world.kernel.create(),
      wake: () => this.wake(),
      onReading: (isReading) => world.note(isReading ? EVENT.adopt : EVENT.return, process.number),
    });
  }

  /** Takes or makes its socket, then turns. */
  start(snapshot: Snapshot | null, onServing: () => void): void {
    if (snapshot !== null) this.enforce(snapshot);
    else if (this.world.plant.allowsWithoutSnapshot) this.path.setPolicy(this.memory.indexOf(this.world.policies.openToAll, null));
    this.nowMs = this.clock();
    this.handover.acquire((socket) => this.serve(socket, onServing));
  }

  get isServing(): boolean {
    return this.isRunning;
  }

  /** Takes connections of the peer's data plane. */
  get listens(): boolean {
    return !this.hasEnded;
  }

  accept(channel: ChannelEnd): void {
    this.handover.accept(channel);
  }

  tell(message: ToPlane): void {
    this.inbox.push(message);
    if (this.isRunning) this.wake();
  }

  onAnswer(answer: Answer): void {
    if (!this.process.isAlive || this.hasEnded || this.answers.length >= ANSWERS_MAX) return;
    this.answers.push(answer);
    this.wake();
  }

  /** Something happened that a sleeping data plane is woken by. */
  wake(): void {
    if (!this.isRunning || this.isTurning || !this.process.isAlive) return;
    this.sleepUntil(this.world.queue.nowMs + this.process.wakeLatencyMs());
  }

  /** The process is dead: what the kernel does then. */
  died(eofMs: number): void {
    this.isRunning = false;
    this.hasEnded = true;
    this.reactor.detach();
    this.handover.close(eofMs);
  }

  /** Why the slots and lists of a member without work are not empty; '' when they are. */
  leaks(): string {
    const { path, reactor, journal } = this;
    if (path.underWay !== 0) return `${path.underWay} queries are under way`;
    if (path.nextDeadlineMs() !== Infinity) return 'a timer of the query path is set';
    if (reactor.free.length + reactor.armed !== journal.slotCount) {
      return `${journal.slotCount - reactor.free.length - reactor.armed} slots are leaked`;
    }
    const odd = journal.states.findIndex((_, slot) => journal.state(slot) !== STATE.free && journal.state(slot) !== STATE.armed);
    if (odd >= 0) return `slot ${odd} is in state ${journal.state(odd)}`;
    return this.handover.heldCount > 1 ? 'members are held that are gone' : '';
  }

  private serve(socket: SharedSocket, onServing: () => void): void {
    socket.bind();
    this.reactor.addListener(0, socket, true);
    this.isRunning = true;
    this.world.checkers.onServing(this, 0);
    this.handover.reading();
    this.reactor.arm();
    onServing();
    this.sleepUntil(this.world.queue.nowMs);
  }

  private clock(): MonoMs {
    return this.world.clock.nowMs();
  }

  private sleepUntil(timeMs: number): void {
    if (this.sleeping?.run !== null && this.sleeping !== null) {
      if (this.wakesAtMs <= timeMs) return;
      this.world.queue.cancel(this.sleeping);
    }
    this.wakesAtMs = timeMs;
    this.sleeping = this.world.queue.at(timeMs, () => {
      this.sleeping = null;
      this.process.run(() => this.turn());
    });
  }

  private turn(): void {
    if (!this.isRunning || this.isTurning) return;
    this.isTurning = true;
    this.nowMs = this.clock();
    this.reactor.beat();
    this.reactor.receive(this.nowMs);
    this.path.startBatch(this.nowMs);
    this.readMessages();
    this.readQueries();
    this.readAnswers();
    this.handover.onReady();
    this.path.onTick();
    this.handover.tick();
    this.leave();
    this.world.checkers.onTurn(this, this.slotsForQueries);
    this.wire.flush();
    this.isTurning = false;
    if (!this.isNeeded()) {
      this.end();
      return;
    }
    this.reactor.arm();
    this.reactor.beat();
    this.sleep();
  }

  private readMessages(): void {
    for (const message of this.inbox.splice(0)) {
      switch (message.kind) {
        case 'policy':
          this.enforce(message.snapshot);
          message.done();
          break;
        case 'forget':
          this.path.forgetMappings(null);
          break;
        case 'opened':
          this.path.onOpened(message.slot, message.answer);
          break;
        case 'stop':
          this.stopping = true;
      }
    }
  }

  private readQueries(): void {
    const { reactor, journal, path } = this;
    for (const slot of reactor.received) {
      journal.cursor = slot + 1;
      this.world.checkers.onReading(this, slot);
      this.points.hit('reading');
      path.onQuery(slot);
    }
    journal.cursor = 0;
  }

  private readAnswers(): void {
    const { journal, source } = this;
    const answers = this.answers.splice(0, BATCH);
    for (const [i, answer] of answers.entries()) {
      const offset = journal.answerOffset + i * ANSWER_BYTES;
      journal.bytes.set(answer.bytes, offset);
      source.words = answer.server < 0 ? ALIEN_WORDS : UPSTREAM_WORDS;
      source.addressAt = answer.server < 0 ? 0 : answer.server * 4;
      source.port = answer.port;
      if (answer.isMatching && !this.answeredMs.has(answer.query)) this.answeredMs.set(answer.query, this.nowMs);
      this.path.onAnswer(journal.bytes, offset, answer.bytes.length, source);
    }
  }

  private sleep(): void {
    const { world, path, handover } = this;
    const isReady = this.reactor.isReadable || this.answers.length > 0 || this.inbox.length > 0 || handover.isReadable;
    const deadlineMs = Math.min(path.nextDeadlineMs(), handover.nextDeadlineMs());
    const waitMs = isReady ? 0 : Math.max(0, Math.min(PEER_TICK_MS, Math.ceil(deadlineMs - this.nowMs)));
    this.sleepUntil(world.queue.nowMs + waitMs + this.process.wakeLatencyMs());
  }

  private isNeeded(): boolean {
    if (!this.stopping || !this.isQuiet) return true;
    return this.nowMs < this.stopByMs && this.path.underWay > 0;
  }

  /** Reading goes on until the peer has taken over. */
  private leave(): void {
    if (!this.stopping || this.isQuiet || this.handover.drain() !== 'over') return;
    this.isQuiet = true;
    this.stopByMs = this.nowMs + STOP_MS;
    this.reactor.setReceiving(0, false);
  }

  private end(): void {
    this.isRunning = false;
    this.hasEnded = true;
    this.reactor.close();
    this.handover.close(0);
    this.events.stopped();
  }

  private get memory(): PolicyMemory {
    return this.world.policies.memory;
  }

  private enforce(snapshot: Snapshot): void {
    this.index = this.memory.indexOf(snapshot, this.index);
    this.path.setPolicy(this.index);
    this.world.checkers.onEnforced(this, snapshot.revision);
  }

  private learned(mapping: LearnedMapping): Opening {
    this.world.checkers.onLearned(this, mapping);
    const end = mapping.nameOffset + mapping.nameLength;
    const record: LearnedRecord = {
      endpointId: mapping.endpointId,
      name: nameToString(mapping.bytes, mapping.nameOffset, mapping.nameOffset, end),
      address: formatAddress(this.bytesOf(mapping.address)),
      ttlSeconds: mapping.ttlSeconds,
      lookupMs: monoMs(mapping.lookupMs),
      waiting: { slot: mapping.slot, answer: mapping.answer },
    };
    this.mappings.append(record);
    if (!this.passOn(record)) return OPENING.full;
    return this.world.datapath.mode === 'none' || this.world.plant.opensNothing ? OPENING.open : OPENING.pending;
  }

  /** To the control thread; false when it is too far behind. */
  private passOn(record: LearnedRecord): boolean {
    if (this.ringLength >= RING_MAX) return false;
    this.ringLength++;
    this.events.learned(record);
    return true;
  }

  /** The learner writes every address to the same place. */
  private bytesOf(address: Uint32Array): Uint8Array {
    if (this.addressBytes.buffer !== address.buffer) this.addressBytes = new Uint8Array(address.buffer, address.byteOffset, address.byteLength);
    return this.addressBytes;
  }

  private noteTaken(slot: number, isAnswer: boolean): void {
    const datagram = this.journal.datagrams[slot];
    if (datagram !== null) this.answeredMs.delete(datagram.query);
    this.world.note(EVENT.taken, this.process.number, datagram?.query.number ?? 0, isAnswer ? 1 : 0);
  }

  /** The endpoint that has the address by the policy in force; 0 for none. */
  endpointIdOf(address: Uint32Array): number {
    const row = this.index?.endpointAt(address, 0) ?? -1;
    return row < 0 ? 0 : this.index!.endpoint(row).id;
  }

  /** Which upstream the slot's question goes to. */
  serverOf(slot: number): number {
    return serverOf(this.journal.words, slotWord(this.journal, slot) + SLOT.upstreamAddress);
  }
}
