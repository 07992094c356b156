/**
 * A member's data planes as one: `--workers` threads, each with sockets of its own in the shared addresses' groups, a journal, and a
 * handover to the peer's worker of the same number, its counterpart.
 *
 * Invariant: worker 0 is there only while all others are. It starts last, so who finds it finds the whole member; it is told to stop
 * first, and the others only when it reads no more. So two members that want to end at once agree by one pair of workers who goes first, and
 * a successor that asks worker 0 last gets all sockets or none.
 * Does not know what a member makes of it.
 */
import type { Worker } from 'node:worker_threads';
import { COUNTER_WORDS, Counters, type PassedOn, type Settings, type Snapshot, type SocketAddress } from '@tandem/core';
import { DataPlane, type DataPlaneEvents, type Gauges, type InheritedSockets } from './data-plane.js';
import type { Listener } from './listeners.js';
import { dataPlaneThread } from '../thread.js';
import { shareOf } from './worker-share.js';

/** As of one data plane, but for what a predecessor's workers leave, each for itself. */
export interface MemberSockets extends Omit<InheritedSockets, 'legacy' | 'worker'> {
  readonly legacy: readonly (readonly Listener[])[] | null;
}

const NO_SOCKETS: MemberSockets = { legacy: null, httpFd: null };

/** Threads that load their modules meanwhile and keep no process alive. */
export class PreparedPlanes {
  readonly threads: readonly Worker[];

  constructor(workers: number) {
    this.threads = Array.from({ length: workers }, dataPlaneThread);
  }

  /** Resolves when none of them is there any more, started or not. */
  async terminate(): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.terminate()));
  }
}

export class DataPlanes {
  /** As bound: port 0 is replaced by the one that the kernel chose. */
  readonly addresses: readonly SocketAddress[];
  /** By number. */
  private readonly planes: readonly DataPlane[];

  private constructor(planes: readonly DataPlane[]) {
    this.planes = planes;
    this.addresses = planes[0].addresses;
  }

  /** Resolves once every address is bound by every worker. @throws AppError UNAVAILABLE naming the address that is not to be had. */
  static async start(
    settings: Settings, snapshot: Snapshot | null, events: DataPlaneEvents, sockets: MemberSockets = NO_SOCKETS, prepared = new PreparedPlanes(settings.workers),
  ): Promise<DataPlanes> {
    const { workers } = settings;
    const share = shareOf(settings);
    const told = eventsOfEach(workers, events);
    const started: DataPlane[] = [];
    const start = async (worker: number, listen: readonly SocketAddress[]): Promise<DataPlane> => {
      const own: InheritedSockets = { ...sockets, worker, legacy: legacyOf(worker, workers, sockets.legacy), httpFd: worker === 0 ? sockets.httpFd : null };
      const plane = await DataPlane.start({ ...share, listen }, snapshot, told[worker], own, prepared.threads[worker]);
      started.push(plane);
      return plane;
    };
    try {
      // Where the port is the kernel's choice, all have the one that the first got.
      const last = workers > 1 ? [await start(workers - 1, settings.listen)] : [];
      const listen = last[0]?.addresses ?? settings.listen;
      const middle = await all(Array.from({ length: Math.max(0, workers - 2) }, (_, i) => start(i + 1, listen)));
      return new DataPlanes([await start(0, listen), ...middle, ...last]);
    } catch (error) {
      await Promise.all(started.map((plane) => plane.stop()));
      await prepared.terminate();
      throw error;
    }
  }

  /** The member's sums as they are now. */
  get counters(): Counters {
    const [first, ...others] = this.planes;
    if (others.length === 0) return first.counters;
    // Each worker has words of its own: an addition is not atomic.
    const words = Float64Array.from(first.counters.words);
    for (const { counters } of others) for (let i = 0; i < COUNTER_WORDS; i++) words[i] += counters.words[i];
    return new Counters(words);
  }

  /** Queries received, by worker. */
  get queries(): readonly number[] {
    return this.planes.map(({ counters }) => counters.get('queries'));
  }

  /** The member is as redundant, as held and as fresh as its worst worker. */
  gauges(): Gauges {
    const merged = mergedGauges(this.planes.map((plane) => plane.gauges()));
    // A worker without counterpart, here or there, is answered for by nobody.
    return merged.peerWorkers === this.planes.length ? merged : { ...merged, redundant: 0 };
  }

  setPolicy(snapshot: Snapshot): void {
    for (const plane of this.planes) plane.setPolicy(snapshot);
  }

  /** The interface that bridged pods' packets come in by. */
  setDiverted(interfaceIndex: number): void {
    for (const plane of this.planes) plane.setDiverted(interfaceIndex);
  }

  /** Endpoints' addresses whose place is gone: who has one is a stranger. */
  setDisplaced(addresses: readonly string[]): void {
    for (const plane of this.planes) plane.setDisplaced(addresses);
  }

  /** null: all. */
  forgetMappings(mappings: readonly PassedOn[] | null): void {
    for (const plane of this.planes) plane.forgetMappings(mappings);
  }

  /** Resolves when every worker has closed its sockets. `awaitsPeer`: not before a peer that is being replaced is back. */
  async stop(awaitsPeer = false): Promise<void> {
    const [first, ...others] = this.planes;
    const ended = first.stop(awaitsPeer);
    if (others.length > 0) await first.stopsReading;
    await Promise.all([ended, ...others.map((plane) => plane.stop(awaitsPeer))]);
  }
}

/** Also when one fails, it is waited for the others: they are to be stopped. */
async function all<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}

/**
 * What a worker inherits: the sockets of the predecessor's worker of its number, and, where that one had more workers, of those whose number
 * modulo ours is its own. So every socket that stays in its group has a reader, and what waits in it is read.
 */
function legacyOf(worker: number, workers: number, legacy: MemberSockets['legacy']): readonly Listener[] | null {
  const own = legacy?.filter((_, number) => number % workers === worker).flat() ?? [];
  return own.length === 0 ? null : own;
}

/** What each worker says, as the member's. */
function eventsOfEach(workers: number, events: DataPlaneEvents): readonly DataPlaneEvents[] {
  const applied = Array.from({ length: workers }, () => 0);
  return applied.map((_, worker): DataPlaneEvents => ({
    ...events,
    // In force is what the last of them applies; each applies all, one after another.
    onPolicyApplied: (revision) => {
      const before = Math.min(...applied);
      applied[worker]++;
      if (Math.min(...applied) > before) events.onPolicyApplied(revision);
    },
    onWarning: (message) => events.onWarning?.(worker === 0 ? message : `worker ${worker}: ${message}`),
    // Keys are unique within a worker; 0, our own, stays so for worker 0.
    onFlows: (key, role, flows) => events.onFlows?.(key * workers + worker, role, flows),
    onFlowsEnded: (key) => events.onFlowsEnded?.(key * workers + worker),
    // Who succeeds us asks worker 0 last.
    onSucceeded: () => {
      if (worker === 0) events.onSucceeded?.();
    },
  }));
}

/** Of all workers of a member. */
export function mergedGauges(each: readonly Gauges[]): Gauges {
  if (each.length === 1) return each[0];
  const of = (name: keyof Gauges): number[] => each.map((gauges) => gauges[name]);
  const sum = (name: keyof Gauges): number => of(name).reduce((total, value) => total + value);
  const least = (name: keyof Gauges): number => Math.min(...of(name));
  const most = (name: keyof Gauges): number => Math.max(...of(name));
  const beats = of('peerHeartbeatMs').filter((atMs) => atMs > 0);
  return {
    underWay: sum('underWay'),
    tcpConnections: sum('tcpConnections'),
    freeSlots: sum('freeSlots'),
    heartbeatMs: least('heartbeatMs'),
    redundant: least('redundant'),
    adopted: most('adopted'),
    held: least('held'),
    draining: least('draining') === most('draining') ? least('draining') : 1,
    peerHeartbeatMs: beats.length === 0 ? 0 : Math.min(...beats),
    openFailures: sum('openFailures'),
    peerWorkers: each[0].peerWorkers,
  };
}
