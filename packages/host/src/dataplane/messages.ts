/** What the control thread and the data plane's worker thread say to each other. Structured-cloneable, all of it. */
import type { PassedOn, Role, Settings, Snapshot, SocketAddress } from '@tandem/core';
import type { Faults } from './faults.js';
import type { Listener } from './listeners.js';

/** What a data plane begins with: its first message. */
export interface WorkerData {
  /** This worker's share of the member's (worker-share.ts). */
  readonly settings: Settings;
  /** Its number among `settings.workers`. */
  readonly worker: number;
  /** Enforced before the first address is bound; null: everything is refused until one comes. */
  readonly snapshot: Snapshot | null;
  /** `Counters` words. */
  readonly counters: SharedArrayBuffer;
  readonly mappingRing: SharedArrayBuffer;
  readonly gauges: SharedArrayBuffer;
  readonly faults: Faults;
  /** Sockets of a predecessor of our role, bound; those of several of its workers one after another. */
  readonly legacy: readonly Listener[] | null;
  readonly httpFd: number | null;
  readonly release: string;
  /** URL of a module that is an `OpenerModule`; null: nothing is opened. */
  readonly opener: string | null;
  /** As the message of that kind says it, from the first query on; 0: there is none. */
  readonly diverted: number;
  readonly displaced: readonly string[];
}

/** Float64 words of `WorkerData.gauges`. */
export const GAUGE = { underWay: 0, tcpConnections: 1, freeSlots: 2, heartbeatMs: 3, redundant: 4, adopted: 5, held: 6, draining: 7, peerHeartbeatMs: 8, openFailures: 9, peerWorkers: 10 } as const;
export const GAUGE_WORDS = 11;

/** Where a member's flow rings lie: in a journal, to be mapped again by its descriptor, or in memory that is shared between threads alone. */
export type FlowsAt = { readonly journalFd: number } | { readonly queries: Uint32Array; readonly packets: Uint32Array };

export type ToWorker =
  | { readonly kind: 'policy'; readonly snapshot: Snapshot }
  /** The interface that bridged pods' packets come in by. */
  | { readonly kind: 'diverted'; readonly interfaceIndex: number }
  /** Endpoints' addresses whose place is gone. */
  | { readonly kind: 'displaced'; readonly addresses: readonly string[] }
  /** The cache has these no more, or was cleaned (null): pass them on again, or every mapping. */
  | { readonly kind: 'forget-mappings'; readonly mappings: readonly PassedOn[] | null }
  | { readonly kind: 'stop'; readonly awaitsPeer: boolean };

export type FromWorker =
  /** Sockets are bound. `wakeFd` makes the worker look at its messages. */
  | { readonly kind: 'listening'; readonly addresses: readonly SocketAddress[]; readonly wakeFd: number; readonly flows: FlowsAt | null }
  /** A peer shares its flow ring; `key` names it until it has ended. */
  | { readonly kind: 'peer-flows'; readonly key: number; readonly role: Role; readonly flows: FlowsAt }
  | { readonly kind: 'peer-flows-ended'; readonly key: number }
  | { readonly kind: 'policy-applied'; readonly revision: number }
  /** Something that an operator should know. */
  | { readonly kind: 'warning'; readonly message: string }
  /** A successor of our role has our sockets. */
  | { readonly kind: 'succeeded' }
  /** Told to stop, it reads no more: the peer does, or there is nobody who could. */
  | { readonly kind: 'quiet' }
  /** The mapping ring has something to read. */
  | { readonly kind: 'mappings' }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };
