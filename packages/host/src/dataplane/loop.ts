/**
 * The data plane, assembled: journal, sockets, reactor, streams and the query path, and the loop that drives them.
 *
 * Each turn sends what the last one listed, waits, and hands what came to the path. Holds no decisions: those are core's.
 */
import {
  type AnswerSource, COUNTER, Counters, type LearnedMapping, type MappingSink, monoMs, type MonoMs, NO_FLOWS,
  OPENING, type Opening, PEER_TICK_MS, PolicyIndex, QueryPath, type SlotMemory, type Snapshot, type SocketAddress,
} from '@tandem/core';
import { answerRowStride, bootTimeMs, Control, type Journal, Reactor, ReadyEvent, readyStride } from 'node-reuseport';
import { FlowWriter } from '../flows/flow-writer.js';
import { wallTimes } from '../state/wall-times.js';
import { ClientPorts } from './client-ports.js';
import { ConnectionRecords } from './connection-records.js';
import { plantFaults } from './faults.js';
import { Handover, peerLayout } from './handover.js';
import { bindListener, closeListener, isWildcard, type Listener } from './listeners.js';
import { MappingJournalWriter } from './mapping-journal.js';
import { MappingNotice } from './mapping-notice.js';
import { MappingRingWriter } from './mapping-ring.js';
import { type FromWorker, GAUGE, type ToWorker, type WorkerData } from './messages.js';
import { createJournal, flowsAt, newRing, regionOf } from './own-memory.js';
import { pathSettings, SPARE_SHARE } from './path-settings.js';
import { ReceiveBuffers } from './receive-buffers.js';
import { isStolenIn, slotMemory } from './slot-memory.js';
import { SecureRandom } from './random.js';
import { UnsentBudget } from './stream.js';
import { TcpClients } from './tcp-clients.js';
import { TcpUpstreams } from './tcp-upstreams.js';
import { Tokens } from './tokens.js';
import type { Opener } from './opener.js';
import { ANY_SERVER, UpstreamPorts } from './upstream-ports.js';
import { ReactorWire } from './wire.js';

/** A query's promised time, and a little. */
const STOP_MS = 2600;
/**
 * Behind a turn with traffic comes mostly another at once: what is due next is looked for only where it does not. Found out in each turn, it
 * would be a fraction a turn, which is an object on V8's heap.
 */
const BUSY_WAIT_MS = 1;
const ADDRESS_WORDS_AT = 4;

export class DataPlaneLoop {
  private readonly say: (message: FromWorker) => void;
  private readonly opener: Opener | null;
  private readonly journal: Journal;
  private readonly reactor: Reactor;
  private readonly memory: SlotMemory;
  private readonly wire: ReactorWire;
  private readonly path: QueryPath;
  private readonly ports: UpstreamPorts;
  /** Null: questions leave with the node's address. */
  private readonly clientPorts: ClientPorts | null;
  private readonly tokens = new Tokens();
  private readonly clients: TcpClients;
  private readonly upstreams: TcpUpstreams;
  private readonly counters: Counters;
  private readonly gauges: Float64Array;
  private readonly ring: MappingRingWriter;
  private readonly notice = new MappingNotice();
  private readonly lastMappings: MappingJournalWriter;
  private readonly source: AnswerSource;
  private readonly handover: Handover;
  private readonly cursor: Int32Array;
  private readonly listeners: readonly Listener[];
  private readonly receiveBuffers: ReceiveBuffers;
  private index: PolicyIndex | null = null;
  private nowMs: MonoMs = monoMs(bootTimeMs());
  private answeredBefore = 0;
  private timeoutsBefore = 0;
  private slowTickAtMs = 0;
  private isBusy = false;
  private stopping = false;
  private awaitsPeer = false;
  private stopByMs = 0;
  private isQuiet = false;

  /** Binds everything; throws the system's error when an address is not to be had. */
  constructor(data: WorkerData, say: (message: FromWorker) => void, opener: Opener | null) {
    const { settings } = data;
    this.say = say;
    this.opener = opener;
    this.gauges = new Float64Array(data.gauges);
    this.counters = new Counters(new Float64Array(data.counters));
    this.ring = new MappingRingWriter(data.mappingRing);
    const { layout } = data.faults;
    const version = Math.min(layout, peerLayout(settings, data.worker, layout) ?? layout);
    this.journal = createJournal(settings, data.worker, version);
    this.journal.sayWhenDying();
    this.reactor = new Reactor(this.journal);
    this.reactor.reserve = Math.floor(settings.slots * SPARE_SHARE);
    this.memory = slotMemory(this.journal);
    this.wire = new ReactorWire(this.reactor, this.memory);
    const region = regionOf(this.journal, settings, data.worker);
    const paths = pathSettings(settings);
    const random = new SecureRandom();
    const sink: MappingSink = { learned: (mapping) => this.passOn(mapping) };
    this.path = new QueryPath(paths, {
      memory: this.memory,
      wire: this.wire,
      sink,
      random,
      counters: this.counters,
      flows: settings.enableHubble ? new FlowWriter(newRing(region.flows, data.release), this.memory, { ...paths, bootedAtMs: () => wallTimes().bootedAtMs, isStolen: isStolenIn(this.journal) }) : NO_FLOWS,
    });
    // Written by the control thread, which is told of it with the addresses.
    if (region.packetFlows.length > 0) newRing(region.packetFlows, data.release);
    this.lastMappings = new MappingJournalWriter(region.mappings.buffer, region.mappings.offset);
    const streams = {
      reactor: this.reactor,
      memory: this.memory,
      tokens: this.tokens,
      unsent: new UnsentBudget(),
      records: new ConnectionRecords(region),
      nowMs: () => this.nowMs,
      onQuery: (slot: number) => this.read(slot),
    };
    this.clients = new TcpClients(streams, {
      connections: settings.tcpConnections,
      connectionsPerClient: settings.tcpConnectionsPerClient,
      idleTimeoutMs: settings.tcpIdleTimeoutMs,
    });
    this.upstreams = new TcpUpstreams(streams, this.path, settings.clientAddressUpstream);
    this.wire.setStreams(this.clients, this.upstreams);
    plantFaults(data.faults, this.path, this.memory);
    this.clientPorts = settings.clientAddressUpstream ? new ClientPorts(this.reactor, this.memory, random) : null;
    if (this.clientPorts !== null) this.wire.setClientPorts((slot, except) => this.clientPorts!.numberFor(slot, except, this.nowMs));
    const upstreams = this.clientPorts !== null ? [] : settings.mode === 'transparent' ? ANY_SERVER : settings.upstreams;
    this.ports = new UpstreamPorts(this.reactor, upstreams, settings.upstreamPorts);
    this.path.setPorts(this.ports.numbers());
    if (opener !== null) this.watchOpener(opener);
    this.source = { words: this.reactor.answers, addressAt: 0, fromPort: 0, port: 0 };
    if (data.diverted > 0) this.path.setDiverted(data.diverted);
    if (data.displaced.length > 0) this.path.setDisplaced(data.displaced);
    if (data.snapshot !== null) this.enforce(data.snapshot);
    this.handover = new Handover({
      role: settings.role,
      runDir: settings.runDir,
      worker: data.worker,
      workers: settings.workers,
      isTransparent: settings.mode === 'transparent',
      journal: this.journal,
      seams: {
        ...streams,
        clients: this.clients,
        onMapping: (record) => this.passOnRecord(record),
        held: {
          counters: this.counters,
          flush: () => this.wire.flush(),
          replyTaken: (slot, offset, length) => this.wire.replyTaken(slot, offset, length),
          onTaken: (slot, owner) => this.readTaken(slot, owner),
        },
      },
      noSteal: data.faults.noSteal,
      layout,
      warn: (message) => this.say({ kind: 'warning', message }),
      httpFd: data.httpFd,
      onSuccessor: () => this.say({ kind: 'succeeded' }),
      onFlows: (key, role, journalFd) => this.say({ kind: 'peer-flows', key, role, flows: { journalFd } }),
      onFlowsEnded: (key) => this.say({ kind: 'peer-flows-ended', key }),
    });
    this.cursor = new Int32Array(this.journal.buffer, this.journal.layout.cursorOffset, 1);
    this.listeners = this.listen(settings.listen, data.legacy ?? []);
    this.receiveBuffers = new ReceiveBuffers(this.reactor, this.listeners);
    this.say({
      kind: 'listening', addresses: this.listeners.map(({ address }) => address), wakeFd: this.reactor.wakeFd,
      flows: settings.enableHubble ? flowsAt(this.journal, region) : null,
    });
  }

  /** Turns until told to stop, and then until what is under way is answered. `nextMessage` gives what the control thread said, null when that is all. */
  run(nextMessage: () => ToWorker | null): void {
    try {
      this.turn(nextMessage);
    } catch (error) {
      // The process is about to end; what was being read is not to be read by the peer.
      new Int32Array(this.journal.buffer, this.journal.layout.dyingOffset, 1)[0] = 1;
      throw error;
    }
    this.close();
  }

  private turn(nextMessage: () => ToWorker | null): void {
    while (this.isNeeded()) {
      const { control } = this.reactor;
      this.clients.flush();
      this.upstreams.flush();
      this.reactor.step(this.wire.takeRows(), this.isBusy ? BUSY_WAIT_MS : this.waitMs());
      this.nowMs = monoMs(control[Control.NOW_MS]);
      this.path.startBatch(this.nowMs);
      this.tokens.recycle();
      if (control[Control.WOKEN] > 0) this.readMessages(nextMessage);
      // Whole numbers, and not fractions, which would be objects on V8's heap.
      const received = control[Control.RECEIVED] | 0;
      const answers = control[Control.ANSWERS] | 0;
      this.isBusy = received + answers > 0;
      this.takeBatch(received, answers, control[Control.READY] | 0);
      this.tick();
      this.opener?.flush(this.nowMs);
    }
  }

  /** Answers that wait for their addresses to be open go out as soon as these are. */
  private watchOpener(opener: Opener): void {
    const opened = (slot: number, answer: number): void => this.path.onOpened(slot, answer);
    this.reactor.watch(opener.fd, this.tokens.add({ onReady: () => opener.take(opened) }), ReadyEvent.IN);
  }

  private takeBatch(received: number, answers: number, ready: number): void {
    const { reactor, path, source } = this;
    for (let i = 0; i < received; i++) this.read(reactor.received[i]);
    for (let i = 0; i < answers; i++) {
      const row = i * answerRowStride;
      source.port = reactor.answers[row + 2];
      source.fromPort = reactor.answers[row + 3];
      source.addressAt = row + ADDRESS_WORDS_AT;
      path.onAnswer(this.memory.bytes, reactor.answers[row], reactor.answers[row + 1], source);
    }
    for (let i = 0; i < ready; i++) {
      this.tokens.dispatch(reactor.ready[i * readyStride], reactor.ready[i * readyStride + 1]);
    }
  }

  /** Should reading this query end the process, the peer knows which one it was. */
  private read(slot: number): void {
    this.cursor[0] = slot + 1;
    this.path.onQuery(slot);
    this.cursor[0] = 0;
  }

  /** As `read`: a member that hung and wakes finds which of its queries ended the one that took it. */
  private readTaken(slot: number, owner: { readonly isGone: boolean; readonly wasReading: boolean }): void {
    this.cursor[0] = slot + 1;
    this.path.onTaken(slot, owner);
    this.cursor[0] = 0;
  }

  private tick(): void {
    const { path } = this;
    path.onTick();
    this.clients.tick();
    this.upstreams.tick();
    this.handover.tick();
    if (this.stopping && !this.isQuiet) this.leave();
    if (this.nowMs >= this.notice.dueAtMs) {
      this.notice.told(this.nowMs);
      if (this.ring.mustNotify()) this.say({ kind: 'mappings' });
    }
    const { gauges } = this;
    gauges[GAUGE.underWay] = path.underWay;
    gauges[GAUGE.tcpConnections] = this.clients.count;
    gauges[GAUGE.freeSlots] = this.reactor.control[Control.FREE_SLOTS];
    gauges[GAUGE.heartbeatMs] = this.nowMs;
    if (this.nowMs >= this.slowTickAtMs || this.stopping) this.slowTick();
  }

  /** What costs more than a store to find out, and changes by ticks. */
  private slowTick(): void {
    const { gauges } = this;
    this.slowTickAtMs = this.nowMs + PEER_TICK_MS;
    this.receiveBuffers.tick();
    this.counters.set(COUNTER.crossed, this.reactor.control[Control.CROSSED]);
    this.clientPorts?.tick(this.nowMs);
    if (this.ports.isDue(this.nowMs) && this.ports.tick(this.nowMs, this.isSilent())) this.path.setPorts(this.ports.numbers());
    gauges[GAUGE.redundant] = this.handover.isRedundant ? 1 : 0;
    gauges[GAUGE.adopted] = this.handover.adopted;
    gauges[GAUGE.held] = this.handover.isHeld ? 1 : 0;
    gauges[GAUGE.draining] = this.stopping ? (this.isQuiet ? 2 : 1) : 0;
    gauges[GAUGE.peerHeartbeatMs] = this.handover.peerBeatAtMs;
    gauges[GAUGE.peerWorkers] = this.handover.peerWorkers;
    if (this.opener !== null) gauges[GAUGE.openFailures] = this.opener.failures;
  }

  /** Queries have timed out since an upstream last answered. */
  private isSilent(): boolean {
    const answered = this.counters.get('answered');
    const timeouts = this.counters.get('upstream_timeout');
    if (answered !== this.answeredBefore) {
      this.answeredBefore = answered;
      this.timeoutsBefore = timeouts;
    }
    return timeouts !== this.timeoutsBefore;
  }

  private waitMs(): number {
    const deadline = Math.min(
      this.path.nextDeadlineMs(),
      this.clients.nextDeadlineMs(),
      this.upstreams.nextDeadlineMs(),
      this.handover.nextDeadlineMs(),
      this.opener?.nextDeadlineMs() ?? Infinity,
      this.notice.dueAtMs,
    );
    return Math.max(0, Math.min(PEER_TICK_MS, Math.ceil(deadline - this.nowMs)));
  }

  private readMessages(nextMessage: () => ToWorker | null): void {
    for (let message = nextMessage(); message !== null; message = nextMessage()) {
      switch (message.kind) {
        case 'policy':
          this.enforce(message.snapshot);
          this.say({ kind: 'policy-applied', revision: message.snapshot.revision });
          break;
        case 'diverted':
          this.path.setDiverted(message.interfaceIndex);
          break;
        case 'displaced':
          this.path.setDisplaced(message.addresses);
          break;
        case 'forget-mappings':
          this.path.forgetMappings(message.mappings);
          this.opener?.forget(message.mappings);
          break;
        case 'stop':
          this.stopping = true;
          this.awaitsPeer = message.awaitsPeer;
          break;
      }
    }
  }

  /** Until told to stop; then until the peer reads our sockets, and what is under way is answered. */
  private isNeeded(): boolean {
    if (!this.stopping || !this.isQuiet) return true;
    if (this.nowMs >= this.stopByMs) return false;
    return this.path.underWay > 0 || !this.clients.isSettled;
  }

  /** Reading goes on until the peer has taken over; without a peer the queries in the sockets have nobody. */
  private leave(): void {
    if (this.handover.drain(this.awaitsPeer) !== 'over') return;
    this.isQuiet = true;
    this.stopByMs = this.nowMs + STOP_MS;
    this.listeners.forEach((_, index) => this.reactor.pauseListener(index));
    this.clients.stop();
    this.say({ kind: 'quiet' });
  }

  private enforce(snapshot: Snapshot): void {
    this.index = PolicyIndex.build(snapshot, this.index);
    this.path.setPolicy(this.index);
    this.opener?.setPolicy(snapshot);
  }

  private passOn(mapping: LearnedMapping): Opening {
    this.lastMappings.append(mapping);
    if (!this.ring.write(mapping)) return OPENING.full;
    this.notice.added(this.nowMs, mapping.isRenewal);
    return this.opener?.learned(mapping) ?? OPENING.open;
  }

  private passOnRecord(record: Uint8Array): void {
    if (this.ring.copy(record)) this.notice.added(this.nowMs, false);
    else this.counters.add(COUNTER.learn_dropped);
  }

  private listen(addresses: readonly SocketAddress[], legacy: readonly Listener[]): readonly Listener[] {
    const bound = this.handover.acquire(addresses, legacy).map(bindListener);
    bound.forEach(({ udp, tcp, address }, index) => {
      this.reactor.addListener(udp, index, { replyFromServerAddress: isWildcard(address) });
      this.clients.addListener(tcp, index);
    });
    this.handover.reading(bound);
    return bound;
  }

  private close(): void {
    this.clients.flush();
    if (this.notice.dueAtMs !== Infinity) this.say({ kind: 'mappings' });
    this.reactor.flush(this.wire.takeRows());
    // The peer goes on with the connections as soon as this process ends.
    if (this.handover.isTakenOver) this.clients.leaveAll();
    else this.clients.closeAll();
    this.handover.close();
    this.upstreams.closeAll();
    this.ports.closeAll();
    this.clientPorts?.closeAll();
    if (this.opener !== null) {
      this.reactor.unwatch(this.opener.fd);
      this.opener.close();
    }
    this.listeners.forEach((listener, index) => {
      this.reactor.removeListener(index);
      closeListener(listener);
    });
    this.reactor.close();
    this.journal.release();
  }
}
