/**
 * One data plane as the control thread sees it: a worker thread that answers queries, told of policy, and telling of
 * mappings. A worker that ends unasked takes the process with it: the peer is serving, and a dead worker in a living
 * process would look alive.
 */
import type { Worker } from 'node:worker_threads';
import { AppError, COUNTER_WORDS, Counters, type PassedOn, type Role, type Settings, type Snapshot, type SocketAddress } from '@tandem/core';
import { wake } from 'node-reuseport';
import { readFaults } from './faults.js';
import type { MappingRecord } from './mapping-record.js';
import { createMappingRing, MappingRingReader } from './mapping-ring.js';
import type { Listener } from './listeners.js';
import { type FlowsAt, type FromWorker, GAUGE, GAUGE_WORDS, type ToWorker, type WorkerData } from './messages.js';
import { dataPlaneThread } from '../thread.js';

/** Mappings taken from the ring before other work of this thread gets its turn. */
const MAPPINGS_PER_TURN = 1000;

/** May come before the addresses are bound. */
const EARLY: ReadonlySet<FromWorker['kind']> = new Set(['warning', 'peer-flows', 'peer-flows-ended'] as const);
/** No peer's key: it names this worker's own flow rings. */
export const OWN_FLOWS = 0;

export interface DataPlaneEvents {
  readonly onMappings: (records: readonly MappingRecord[]) => void;
  /** The snapshot with this revision decides from now on. */
  readonly onPolicyApplied: (revision: number) => void;
  /** Something that an operator should know. */
  readonly onWarning?: (message: string) => void;
  /** A member's flow rings, our own (OWN_FLOWS) first. They are to be mapped at once. */
  readonly onFlows?: (key: number, role: Role, flows: FlowsAt) => void;
  readonly onFlowsEnded?: (key: number) => void;
  /** A successor of our role has our sockets and waits for our end. */
  readonly onSucceeded?: () => void;
  /** The worker ended unasked. */
  readonly onCrash: (error: Error) => void;
}

/** What other parts of the process, or a predecessor, hold for a data plane. */
export interface InheritedSockets {
  /** Shared sockets of one or several of a predecessor's workers. */
  readonly legacy: readonly Listener[] | null;
  /** The HTTP socket, to be left to a successor. */
  readonly httpFd: number | null;
  /** The data plane's number among the member's workers. */
  readonly worker?: number;
  /** This program's version, for who reads its flows. */
  readonly release?: string;
  /** URL of a module that is an `OpenerModule`: it opens learned addresses in the kernel. */
  readonly opener?: string | null;
  /** The interface that bridged pods' packets come in by; 0: none. */
  readonly diverted?: number;
  /** Endpoints' addresses whose place is gone. */
  readonly displaced?: readonly string[];
}

const NO_SOCKETS: InheritedSockets = { legacy: null, httpFd: null };

export interface Gauges {
  readonly underWay: number;
  readonly tcpConnections: number;
  readonly freeSlots: number;
  readonly heartbeatMs: number;
  /** 1: each of the two could answer for the other. */
  readonly redundant: number;
  /** Members that are being answered for. */
  readonly adopted: number;
  /** 1: the peer holds our sockets and journal. */
  readonly held: number;
  /** 0: no; 1: told to end, and reading until the peer does; 2: reading no more, finishing what is under way. */
  readonly draining: number;
  /** When the peer's data plane was seen to turn last, as `heartbeatMs`; 0: there is no peer. */
  readonly peerHeartbeatMs: number;
  /** Learned addresses that the kernel refused to open. */
  readonly openFailures: number;
  /** How many workers the peer has; 0: there is no peer. */
  readonly peerWorkers: number;
}

export class DataPlane {
  readonly counters: Counters;
  /** As bound: port 0 is replaced by the one that the kernel chose. */
  readonly addresses: readonly SocketAddress[];
  private readonly worker: Worker;
  private readonly events: DataPlaneEvents;
  private readonly wakeFd: number;
  private readonly ring: MappingRingReader;
  private readonly gaugeWords: Float64Array;
  private stopped: (() => void) | null = null;
  private isTold = false;
  /** Resolves when it reads no more, or has ended. */
  private readonly quiet = Promise.withResolvers<void>();

  private constructor(worker: Worker, data: WorkerData, listening: Extract<FromWorker, { kind: 'listening' }>, events: DataPlaneEvents) {
    this.worker = worker;
    this.events = events;
    this.addresses = listening.addresses;
    this.wakeFd = listening.wakeFd;
    this.counters = new Counters(new Float64Array(data.counters));
    this.ring = new MappingRingReader(data.mappingRing);
    this.gaugeWords = new Float64Array(data.gauges);
    worker.on('message', (message: FromWorker) => {
      this.onMessage(message);
    });
    worker.on('error', (error) => {
      events.onCrash(error instanceof Error ? error : new Error(String(error)));
    });
    worker.on('exit', (code) => {
      // What it learned last, and told nobody of.
      for (let isMore = true; isMore; ) isMore = this.readOnce();
      this.quiet.resolve();
      if (this.stopped !== null) this.stopped();
      else events.onCrash(new Error(`the data plane's thread ended with code ${code}`));
    });
  }

  /** Resolves once every address is bound. @throws AppError UNAVAILABLE naming the address that is not to be had. */
  static async start(
    settings: Settings, snapshot: Snapshot | null, events: DataPlaneEvents, sockets: InheritedSockets = NO_SOCKETS, worker = dataPlaneThread(),
  ): Promise<DataPlane> {
    const faults = readFaults();
    if (faults.text !== '' && (sockets.worker ?? 0) === 0) events.onWarning?.(`faults are planted here: ${faults.text}`);
    const data: WorkerData = {
      settings,
      snapshot,
      counters: new SharedArrayBuffer(COUNTER_WORDS * Float64Array.BYTES_PER_ELEMENT),
      mappingRing: createMappingRing(),
      gauges: new SharedArrayBuffer(GAUGE_WORDS * Float64Array.BYTES_PER_ELEMENT),
      faults,
      worker: 0,
      release: '',
      opener: null,
      diverted: 0,
      displaced: [],
      ...sockets,
    };
    worker.ref();
    const first = await new Promise<FromWorker>((resolve, reject) => {
      worker.once('error', reject);
      worker.on('message', function first(message: FromWorker) {
        // What a peer says while the sockets are being bound.
        if (message.kind === 'warning') events.onWarning?.(message.message);
        else if (message.kind === 'peer-flows') events.onFlows?.(message.key, message.role, message.flows);
        else if (message.kind === 'peer-flows-ended') events.onFlowsEnded?.(message.key);
        if (EARLY.has(message.kind)) return;
        worker.off('error', reject);
        worker.off('message', first);
        resolve(message);
      });
      worker.postMessage(data);
    });
    if (first.kind === 'failed') throw new AppError('UNAVAILABLE', first.message, { details: { errno: first.code } });
    if (first.kind !== 'listening') throw new Error(`unexpected first message: ${first.kind}`);
    if (first.flows !== null) events.onFlows?.(OWN_FLOWS, settings.role, first.flows);
    return new DataPlane(worker, data, first, events);
  }

  setPolicy(snapshot: Snapshot): void {
    this.tell({ kind: 'policy', snapshot });
  }

  /** The interface that bridged pods' packets come in by. */
  setDiverted(interfaceIndex: number): void {
    this.tell({ kind: 'diverted', interfaceIndex });
  }

  /** Endpoints' addresses whose place is gone: who has one is a stranger. */
  setDisplaced(addresses: readonly string[]): void {
    this.tell({ kind: 'displaced', addresses });
  }

  /** null: all. */
  forgetMappings(mappings: readonly PassedOn[] | null): void {
    this.tell({ kind: 'forget-mappings', mappings });
  }

  gauges(): Gauges {
    const words = this.gaugeWords;
    return {
      underWay: words[GAUGE.underWay],
      tcpConnections: words[GAUGE.tcpConnections],
      freeSlots: words[GAUGE.freeSlots],
      heartbeatMs: words[GAUGE.heartbeatMs],
      redundant: words[GAUGE.redundant],
      adopted: words[GAUGE.adopted],
      held: words[GAUGE.held],
      draining: words[GAUGE.draining],
      peerHeartbeatMs: words[GAUGE.peerHeartbeatMs],
      openFailures: words[GAUGE.openFailures],
      peerWorkers: words[GAUGE.peerWorkers],
    };
  }

  /** Resolves when the worker has closed its sockets. `awaitsPeer`: not before a peer that is being replaced is back. */
  stop(awaitsPeer = false): Promise<void> {
    return new Promise((resolve) => {
      this.stopped = resolve;
      this.tell({ kind: 'stop', awaitsPeer });
    });
  }

  /** Told to stop, it reads until the peer does, if there is one; resolves when it does not read any more. */
  get stopsReading(): Promise<void> {
    return this.quiet.promise;
  }

  /** Nothing more once it was told to stop: the wake descriptor is closed then, and its number may be another's. */
  private tell(message: ToWorker): void {
    if (this.isTold) return;
    this.isTold = message.kind === 'stop';
    this.worker.postMessage(message);
    wake(this.wakeFd);
  }

  private onMessage(message: FromWorker): void {
    if (message.kind === 'mappings') this.readMappings();
    else if (message.kind === 'succeeded') this.events.onSucceeded?.();
    else if (message.kind === 'quiet') this.quiet.resolve();
    else if (message.kind === 'warning') this.events.onWarning?.(message.message);
    else if (message.kind === 'peer-flows') this.events.onFlows?.(message.key, message.role, message.flows);
    else if (message.kind === 'peer-flows-ended') this.events.onFlowsEnded?.(message.key);
    else if (message.kind === 'policy-applied') this.events.onPolicyApplied(message.revision);
  }

  private readMappings(): void {
    if (this.readOnce()) setImmediate(() => this.readMappings());
  }

  /** True when there may be more. */
  private readOnce(): boolean {
    const records = this.ring.read(MAPPINGS_PER_TURN);
    if (records.length > 0) this.events.onMappings(records);
    return records.length === MAPPINGS_PER_TURN;
  }
}
