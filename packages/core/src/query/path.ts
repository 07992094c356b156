/**
 * The way of a query: admit → identify → decide → forward → learn → reply. All branches are here; each step has a file.
 *
 * Events come in (`onQuery`, `onAnswer`, `onTick`, …), seam calls go out; a handler runs to completion and nothing
 * calls back into it. Every query that enters leaves by exactly one `Wire.reply` or `Wire.drop`, within
 * TRIES × TRY_TIMEOUT_MS plus the waits that the settings allow; one that is taken over late still has one try.
 */
import { AnswerView, EDE, FLAG, QueryView, RCODE, SCAN, scanAnswer, scanQuery } from '@tandem/dns';
import type { MonoMs, Random } from '../base/seams.js';
import { ALLOW_NO_POLICY, DENY, type PolicyIndex } from '../policy/decide.js';
import type { NameTable } from '../policy/name-table.js';
import { ADMITTED, admit, ClientShares, NOT_A_QUERY } from './admit.js';
import { BatchClock } from './batch-clock.js';
import { COUNTER, type Counters, LATENCY, wholeUs } from './counters.js';
import { Decider, REFUSED } from './decide.js';
import { type FlowSink, OUTCOME, type Outcome } from './flow-sink.js';
import { Forwarder, type AnswerSource } from './forward.js';
import { HeldAnswers } from './hold.js';
import { Identifier, STALE } from './identify.js';
import { Learner, type MappingSink, type PassedOn } from './learn.js';
import { EDE_TEXT, QueryLimiter } from './limits.js';
import { givesPrivateAddress } from './private-addresses.js';
import { NO_EDE, Replier } from './reply.js';
import { SearchExpansions } from './search-expansions.js';
import { DEATHS_MAX, QUEUED_MAX_MS, TAKEN_ANSWERED_WITHIN_MS, TRIES, TRY_TIMEOUT_MS, type PathSettings } from './settings.js';
import { NO_SLOT, SlotList } from './slot-list.js';
import { receivedAtMs, SLOT, SLOT_FLAG, slotPayload, slotWord, type SlotMemory, type Wire } from './slots.js';

export interface PathSeams {
  readonly memory: SlotMemory;
  readonly wire: Wire;
  readonly sink: MappingSink;
  readonly random: Random;
  readonly counters: Counters;
  readonly flows: FlowSink;
}

/** ID of a client that is no endpoint but may ask. */
const STRANGER_ID = 0;
const NOTHING: readonly number[] = [];

export class QueryPath {
  private readonly memory: SlotMemory;
  private readonly wire: Wire;
  private readonly counters: Counters;
  private readonly flows: FlowSink;
  private readonly settings: PathSettings;
  private readonly view = new QueryView();
  private readonly answer = new AnswerView();
  private readonly shares: ClientShares;
  private readonly identifier: Identifier;
  private readonly limiter: QueryLimiter;
  private readonly decider: Decider;
  /** null: a refused expansion is refused like any name. */
  private readonly expansions: SearchExpansions | null;
  private readonly forwarder: Forwarder;
  private readonly learner: Learner;
  private readonly replier: Replier;
  private readonly held: HeldAnswers;
  private readonly clock = new BatchClock();
  /** Queries over the concurrency limit that wait for their turn. */
  private readonly queued: SlotList;
  private readonly endpointIdOfSlot: Uint16Array;
  /** The names that may have private addresses, for the slot's client; null: every name may. */
  private readonly privateNamesOfSlot: (NameTable | null)[];
  private readonly clientBytesOfSlot: Uint16Array;
  /** 1: the query was another member's. */
  private readonly takenOfSlot: Uint8Array;
  private readonly underWayMax: number;
  private index: PolicyIndex | null = null;

  constructor(settings: PathSettings, seams: PathSeams) {
    const { memory, wire, counters, random } = seams;
    const own = { ...seams, clock: this.clock };
    this.settings = settings;
    this.memory = memory;
    this.wire = wire;
    this.counters = counters;
    this.flows = seams.flows;
    this.shares = new ClientShares(memory.slotCount, random);
    this.limiter = new QueryLimiter(counters, settings.auditMode);
    this.identifier = new Identifier(memory, settings.attestedMark ?? null);
    this.decider = new Decider(memory, settings);
    this.expansions = settings.searchDomains === null ? null : new SearchExpansions(this.decider, settings.searchDomains);
    this.forwarder = new Forwarder(own, settings.clientPorts ?? false);
    this.learner = new Learner(own, settings);
    this.replier = new Replier(own, settings.dnsCompression);
    this.held = new HeldAnswers(memory, wire, settings.responseMaxDelayMs);
    this.queued = new SlotList(memory.slotCount);
    this.endpointIdOfSlot = new Uint16Array(memory.slotCount);
    this.privateNamesOfSlot = new Array<NameTable | null>(memory.slotCount).fill(null);
    this.clientBytesOfSlot = new Uint16Array(memory.slotCount);
    this.takenOfSlot = new Uint8Array(memory.slotCount);
    this.underWayMax = settings.concurrencyLimit === 0 ? Infinity : settings.concurrencyLimit;
  }

  /** From here on this policy decides, whole. Questions under way keep the verdict that they got. */
  setPolicy(index: PolicyIndex): void {
    this.index = index;
    this.flows.setRevision(index.snapshot.revision);
    this.identifier.setIndex(index);
    this.decider.setIndex(index);
    this.limiter.setIndex(index);
    this.expansions?.setIndex(index);
  }

  /** The interface that bridged pods' packets come in by (transparent mode). */
  setDiverted(interfaceIndex: number): void {
    this.identifier.setDiverted(interfaceIndex);
  }

  /** Addresses of endpoints whose place is gone (transparent mode). */
  setDisplaced(addresses: readonly string[]): void {
    this.identifier.setDisplaced(addresses);
  }

  /** Source port numbers that new questions may use, per upstream (transparent mode: for IPv4 and for IPv6 servers). */
  setPorts(ports: readonly (readonly number[])[]): void {
    this.forwarder.setPorts(ports);
    this.decider.setReachable(ports.map((numbers) => numbers.length > 0));
  }

  /** The cache has these no more, so they are news again; null, as after a forced clean: every answer is. */
  forgetMappings(mappings: readonly PassedOn[] | null): void {
    this.learner.forget(mappings);
  }

  get underWay(): number {
    return this.forwarder.underWay + this.queued.size + this.held.size;
  }

  /** A batch of events begins; the clock is read once per batch. */
  startBatch(nowMs: MonoMs): void {
    this.clock.nowMs = nowMs;
    this.flows.startBatch(nowMs);
    this.forwarder.startBatch();
  }

  /** When `onTick` has something to do; Infinity if never. */
  nextDeadlineMs(): number {
    return Math.min(this.forwarder.firstDeadlineMs(), this.queued.firstDeadlineMs(), this.held.firstDeadlineMs());
  }

  onQuery(slot: number): void {
    if (this.clock.nowMs - receivedAtMs(this.memory, slot) >= QUEUED_MAX_MS) {
      this.counters.add(COUNTER.queries);
      this.counters.add(COUNTER.overdue);
      this.wire.drop(slot);
      return;
    }
    this.takenOfSlot[slot] = 0;
    this.receive(slot, false);
  }

  /** Reads the query. `hasPassed`: another member has let it pass already, so it is not held to the rate again. */
  receive(slot: number, hasPassed: boolean): void {
    const { counters, memory, view } = this;
    const word = slotWord(memory, slot);
    counters.add(COUNTER.queries);
    if ((memory.words[word + SLOT.flags] & SLOT_FLAG.tcp) !== 0) counters.add(COUNTER.tcp_queries);

    const admission = admit(memory, slot, view);
    if (admission === NOT_A_QUERY) {
      counters.add(COUNTER.unanswerable);
      this.wire.drop(slot);
      return;
    }
    if (admission !== ADMITTED) {
      counters.add(COUNTER.malformed);
      this.undecided(slot, OUTCOME.malformed);
      this.replier.small(slot, view, admission, NO_EDE);
      return;
    }
    const index = this.index;
    if (index === null) {
      counters.add(COUNTER.no_snapshot);
      counters.dns.refused(view.type);
      this.undecided(slot, OUTCOME.noSnapshot);
      this.replier.small(slot, view, RCODE.refused, EDE.notReady);
      return;
    }
    const row = this.identifier.identify(slot);
    if (row < 0) {
      this.onStranger(slot, row === STALE);
      return;
    }
    const limits = this.limiter.of(row);
    let upstream = this.decider.decide(slot, row, memory.bytes, view);
    const { id } = index.endpoint(row);
    this.flows.decided(slot, id, this.decider.rule);
    if (upstream === REFUSED) {
      if (!this.settings.auditMode) {
        this.refuse(slot, row);
        return;
      }
      counters.add(COUNTER.audited);
      upstream = this.decider.anyway(slot);
    } else if (limits !== null) {
      const overrun = this.limiter.overrun(row, memory.bytes, view, hasPassed ? null : this.clock.nowMs);
      if (overrun !== null) {
        this.countDenied();
        this.flows.end(slot, overrun === EDE_TEXT.queryRate ? OUTCOME.queryRate : OUTCOME.labelEntropy);
        this.replier.small(slot, view, RCODE.refused, EDE.blocked, overrun);
        return;
      }
      if (this.limiter.audited !== OUTCOME.answered) this.flows.audited(slot, this.limiter.audited);
    }
    counters.add(COUNTER.allowed);
    this.endpointIdOfSlot[slot] = id;
    this.privateNamesOfSlot[slot] = limits === null ? null : limits.privateNames;
    this.forward(slot, upstream);
  }

  /**
   * A query that was another member's, which did not answer it. It is read like a new one, unless it may be what ended its
   * owner: the one that the owner died reading, or one that outlived two owners.
   */
  onTaken(slot: number, owner: { readonly isGone: boolean; readonly wasReading: boolean }): void {
    const { memory, counters } = this;
    const word = slotWord(memory, slot);
    counters.add(COUNTER.taken);
    if (owner.isGone) memory.words[word + SLOT.deaths]++;
    if (owner.isGone && (owner.wasReading || memory.words[word + SLOT.deaths] > DEATHS_MAX)) {
      counters.add(COUNTER.taken_unparsed);
      this.undecided(slot, OUTCOME.unparsed);
      this.replier.unparsed(slot, RCODE.servFail);
    } else {
      // Its ID is kept aside once it is asked.
      const hasPassed = memory.words[word + SLOT.clientId] !== 0;
      this.replier.restoreId(slot, memory.bytes, slotPayload(memory, slot));
      memory.words[word + SLOT.clientId] = 0;
      this.takenOfSlot[slot] = 1;
      this.receive(slot, hasPassed);
    }
  }

  /** A datagram from an upstream, or one message of a TCP stream. `bytes` is the slot memory for UDP. */
  onAnswer(bytes: Uint8Array, offset: number, length: number, source: AnswerSource): void {
    const { counters, answer } = this;
    const slot = this.forwarder.match(bytes, offset, length, source);
    if (slot === NO_SLOT) {
      counters.add(COUNTER.upstream_unmatched);
      return;
    }
    const scan = scanAnswer(bytes, offset, length, answer);
    const isWhole = scan === SCAN.ok || scan === SCAN.trailingBytes || answer.questionCount === 0;
    if (!isWhole && (answer.flags & FLAG.truncated) === 0) {
      // Right ID, question and address, but broken: it may be forged, so the true one is still awaited.
      counters.add(COUNTER.upstream_malformed);
      return;
    }
    this.forwarder.finish(slot);
    counters.latency(LATENCY.upstream, wholeUs(this.clock.nowMs - this.forwarder.askedAtMs(slot)));
    if (!isWhole) {
      counters.dns.answer(answer);
      this.shares.leave(slot);
      this.replier.cut(slot, bytes, offset, answer.nameStart === 0 ? 0 : answer.questionEnd - answer.nameStart);
      this.startQueued();
      return;
    }
    const privateNames = this.privateNamesOfSlot[slot];
    if (privateNames !== null && !this.mayPass(slot, privateNames, bytes, offset)) return;
    counters.dns.answer(answer);
    const endpointId = this.endpointIdOfSlot[slot];
    const opening =
      endpointId === STRANGER_ID ? NOTHING : this.learner.learn(slot, endpointId, bytes, offset, answer);
    if (opening.length > 0) {
      if (this.held.hold(slot, this.learner.answer, bytes.slice(offset, offset + length), opening, this.clock.nowMs)) {
        counters.add(COUNTER.held);
        this.startQueued();
        return;
      }
      counters.add(COUNTER.hold_overflow);
    }
    this.answerClient(slot, bytes, offset, length);
  }

  /** The stream to the slot's upstream broke before its answer came; `id` is the message ID that it asked under. */
  onAskFailed(slot: number, id: number): void {
    if (this.forwarder.asksUnder(slot, id)) this.tryAgain(slot);
  }

  /** The datapath is open for one more mapping that this answer (`LearnedMapping.answer`) to the slot's query taught. */
  onOpened(slot: number, answer: number): void {
    const opening = this.held.opened(slot, answer);
    if (opening === null) return;
    this.learner.opened(opening, answer);
    this.release(slot);
  }

  /** Time has passed: silent upstreams, full waiting rooms, late datapaths. */
  onTick(): void {
    const { counters } = this;
    const { nowMs } = this.clock;
    for (let slot = this.forwarder.overdue(); slot !== NO_SLOT; slot = this.forwarder.overdue()) {
      this.tryAgain(slot);
    }
    while (this.queued.firstDeadlineMs() <= nowMs) {
      const slot = this.queued.first();
      this.queued.remove(slot);
      counters.add(COUNTER.semaphore_rejected);
      this.fail(slot, EDE.other, OUTCOME.overload);
    }
    while (this.held.firstDeadlineMs() <= nowMs) {
      if (!this.release(this.held.first())) break;
      counters.add(COUNTER.hold_timeout);
    }
  }

  private refuse(slot: number, row: number): void {
    const { counters, expansions, view } = this;
    this.flows.end(slot, OUTCOME.refused);
    const isExpansion = expansions?.isOfAllowed(slot, row, this.memory.bytes, view) === true;
    this.countDenied();
    if (isExpansion) counters.add(COUNTER.search_expansions);
    this.replier.small(slot, view, isExpansion ? RCODE.nxDomain : this.settings.rejectRcode, EDE.blocked);
  }

  /** Keeps private addresses from names that may not have them; false when the client has been told so. */
  private mayPass(slot: number, privateNames: NameTable, bytes: Uint8Array, offset: number): boolean {
    if (!givesPrivateAddress(bytes, offset, this.answer)) return true;
    this.scanAgain(slot);
    if (privateNames.match(this.memory.bytes, this.view) >= 0) return true;
    this.counters.add(this.settings.auditMode ? COUNTER.private_address_audited : COUNTER.private_address_refused);
    if (this.settings.auditMode) {
      this.flows.audited(slot, OUTCOME.privateAddress);
      return true;
    }
    this.shares.leave(slot);
    this.flows.end(slot, OUTCOME.privateAddress);
    this.replier.failure(slot, this.settings.rejectRcode, EDE.blocked, EDE_TEXT.privateAddress);
    this.startQueued();
    return false;
  }

  /** `isStale`: the address is an endpoint's, which is elsewhere. */
  private onStranger(slot: number, isStale: boolean): void {
    this.counters.add(isStale ? COUNTER.identity_stale : COUNTER.unknown_endpoint);
    const isRefused = isStale || this.settings.unknownEndpoint === 'refuse';
    if (isRefused && !this.settings.auditMode) {
      this.countDenied();
      this.undecided(slot, isStale ? OUTCOME.identityStale : OUTCOME.stranger);
      this.replier.small(slot, this.view, RCODE.refused, EDE.prohibited);
      return;
    }
    const isAudited = isRefused;
    if (isAudited) this.counters.add(COUNTER.audited);
    this.counters.add(COUNTER.allowed);
    this.flows.decided(slot, STRANGER_ID, isAudited ? DENY : ALLOW_NO_POLICY);
    this.endpointIdOfSlot[slot] = STRANGER_ID;
    this.privateNamesOfSlot[slot] = null;
    this.forward(slot, this.decider.anyway(slot));
  }

  private countDenied(): void {
    this.counters.add(COUNTER.denied);
    this.counters.dns.refused(this.view.type);
  }

  /** The query in `view` may be asked; is there room? */
  private forward(slot: number, upstream: number): void {
    this.counters.dns.allowed(this.view.type);
    this.clientBytesOfSlot[slot] = this.replier.clientBytes(slot, this.view);
    this.shares.enter(this.memory, slot);
    const questionBytes = this.view.questionEnd - this.view.nameStart;
    if (this.underWay >= this.settings.slotsForQueries && !this.makeRoom(slot)) return;
    if (this.queued.size === 0 && this.forwarder.underWay < this.underWayMax) {
      this.ask(slot, upstream, questionBytes);
    } else if (this.settings.concurrencyGraceMs > 0) {
      this.queued.append(slot, this.clock.nowMs + this.settings.concurrencyGraceMs);
    } else {
      this.counters.add(COUNTER.semaphore_rejected);
      this.fail(slot, EDE.other, OUTCOME.overload);
    }
  }

  /**
   * Slots are short: the client that holds most of them loses a query; false if that is the new one. It loses the one that it asked
   * last, which has waited least: the others are about to be answered. One that is at its second try waited longest.
   */
  private makeRoom(slot: number): boolean {
    this.counters.add(COUNTER.shed);
    this.shares.findHeaviest(this.clock.nowMs);
    const victim = this.shares.isHeaviest(slot)
      ? NO_SLOT
      : this.forwarder.newest((candidate) => this.shares.ofHeaviest(candidate));
    if (victim === NO_SLOT) {
      this.fail(slot, EDE.other, OUTCOME.overload);
      return false;
    }
    this.forwarder.finish(victim);
    this.fail(victim, EDE.other, OUTCOME.overload);
    return true;
  }

  private ask(slot: number, upstream: number, questionBytes: number): void {
    this.counters.add(COUNTER.asked);
    this.forwarder.start(slot, upstream, questionBytes);
  }

  private tryAgain(slot: number): void {
    const ageMs = this.clock.nowMs - receivedAtMs(this.memory, slot);
    const isTooLate = this.takenOfSlot[slot] === 1 && ageMs + TRY_TIMEOUT_MS > TAKEN_ANSWERED_WITHIN_MS;
    if (isTooLate || this.forwarder.tries(slot) >= TRIES) {
      this.forwarder.finish(slot);
      this.counters.add(COUNTER.upstream_timeout);
      this.counters.latency(LATENCY.timedOut, wholeUs(ageMs));
      this.fail(slot, EDE.noReachableAuthority, OUTCOME.upstreamTimeout);
      return;
    }
    this.counters.add(COUNTER.retried);
    this.counters.add(COUNTER.asked);
    this.scanAgain(slot);
    this.forwarder.keepTry(slot);
    const row = this.rowOf(slot);
    let upstream = row < 0 ? REFUSED : this.decider.elsewhere(slot, row, this.memory.bytes, this.view);
    if (upstream === REFUSED) {
      const isAnybodys = this.settings.auditMode || this.endpointIdOfSlot[slot] === STRANGER_ID;
      // Policy may have changed since; a question under way keeps the verdict that it got.
      upstream = isAnybodys ? this.decider.anywhereElse(slot) : this.decider.current(slot);
    }
    this.forwarder.again(slot, upstream);
  }

  private release(slot: number): boolean {
    const heldSinceMs = this.held.sinceMs(slot);
    const bytes = this.held.take(slot);
    if (bytes === null) return false;
    this.counters.latency(LATENCY.held, wholeUs(this.clock.nowMs - heldSinceMs));
    this.answerClient(slot, bytes.bytes, bytes.offset, bytes.length);
    return true;
  }

  private answerClient(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    this.shares.leave(slot);
    this.replier.upstream(slot, bytes, offset, length, this.clientBytesOfSlot[slot]);
    this.startQueued();
  }

  private undecided(slot: number, outcome: Outcome): void {
    this.flows.decided(slot, STRANGER_ID, ALLOW_NO_POLICY);
    this.flows.end(slot, outcome);
  }

  private fail(slot: number, ede: number, outcome: Outcome): void {
    this.shares.leave(slot);
    this.flows.end(slot, outcome);
    this.replier.failure(slot, RCODE.servFail, ede);
    this.startQueued();
  }

  /** Places under the concurrency limit may be free: the queries that wait longest get them. */
  private startQueued(): void {
    while (this.queued.size > 0 && this.forwarder.underWay < this.underWayMax) {
      const slot = this.queued.first();
      this.counters.latency(LATENCY.queued, wholeUs(this.clock.nowMs - this.queued.firstDeadlineMs() + this.settings.concurrencyGraceMs));
      this.queued.remove(slot);
      this.scanAgain(slot);
      this.ask(slot, this.decider.current(slot), this.view.questionEnd - this.view.nameStart);
    }
  }

  private scanAgain(slot: number): void {
    const length = this.memory.words[slotWord(this.memory, slot) + SLOT.length];
    scanQuery(this.memory.bytes, slotPayload(this.memory, slot), length, this.view);
  }

  private rowOf(slot: number): number {
    return this.identifier.identify(slot);
  }
}
