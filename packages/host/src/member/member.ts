/**
 * What both daemons are: a data plane, the policy that it enforces, an FQDN cache, and the mappings to exchange with
 * the peer. The agent adds a policy source, the DNS proxy takes its policy over the pair link.
 *
 * Invariant: a snapshot is enforced whole or not at all, and stored before it is acknowledged.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import {
  type Clean, type EndpointRecord, FqdnCache, type Log, type Mapping, type MappingExchange, monoMs, PolicyIndex, type Settings,
  type Snapshot, type SocketAddress, validateSnapshot,
} from '@tandem/core';
import { bootTimeMs } from 'node-reuseport';
import { DataPlane, type MappingRecord } from '../dataplane/index.js';
import { StateFile } from '../state/state-file.js';
import { nameMatcher } from './name-matcher.js';

/** Cilium collects once a minute, too (reference: cilium-semantics §3.3). */
const COLLECT_EVERY_MS = 60_000;
const SNAPSHOT_FILE_BYTES_MAX = 64 * 1024 * 1024;

export interface PeerState {
  readonly connected: boolean;
  readonly sinceMs: number | null;
  readonly incarnation: string | null;
  readonly revision: number | null;
}

/** A link to a peer that is up. */
export interface PeerLink {
  readonly exchange: MappingExchange;
  peer: PeerState;
}

const NO_PEER: PeerState = { connected: false, sinceMs: null, incarnation: null, revision: null };

export class Member {
  readonly settings: Settings;
  readonly version: string;
  readonly log: Log;
  /** Random per process start. */
  readonly incarnation = randomBytes(8).toString('hex');
  readonly startedAtMs = Date.now();
  readonly cache: FqdnCache;
  /** As bound, once it is. */
  httpListen: SocketAddress;
  /** Complaints of the policy source, one line each. */
  problems: readonly string[] = [];
  /** Called when there may be something to send to the peer. */
  onExchange: () => void = () => undefined;
  /** Called with a clean that was made here. */
  onClean: (clean: Clean) => void = () => undefined;
  /** Mappings that collection removed, as expired or their pod gone. */
  collected = 0;
  /** The newest comes last: during a rolling update there are two for a moment. */
  private readonly links = new Set<PeerLink>();
  private formerPeer = NO_PEER;
  private readonly store: StateFile<Snapshot>;
  private readonly fail: (error: Error) => void;
  private readonly awaitingApply = new Map<number, (() => void)[]>();
  private readonly timer: NodeJS.Timeout;
  private endpointsById = new Map<number, EndpointRecord>();
  private current: Snapshot | null = null;
  private currentIndex: PolicyIndex | null = null;
  private enforcedRevision: number | null = null;
  private enforcedAt: number | null = null;
  private plane: DataPlane | null = null;

  /** `fail` ends the process: the data plane is gone. */
  constructor(options: { settings: Settings; version: string; log: Log; fail: (error: Error) => void }) {
    this.settings = options.settings;
    this.version = options.version;
    this.log = options.log;
    this.fail = options.fail;
    this.cache = new FqdnCache({ maxAddressesPerName: options.settings.maxIpsPerHostname, matcher: nameMatcher });
    this.httpListen = options.settings.httpListen;
    this.store = new StateFile(join(options.settings.stateDir, 'snapshot.json'), {
      bytesMax: SNAPSHOT_FILE_BYTES_MAX,
      parse: validateSnapshot,
      log: options.log,
    });
    this.timer = setInterval(() => this.collect(), COLLECT_EVERY_MS);
    this.timer.unref();
  }

  /** The policy in force, or about to be; null before there is any. */
  get snapshot(): Snapshot | null {
    return this.current;
  }

  /** The policy as `policy trace` reads it. */
  get index(): PolicyIndex | null {
    // Made when it is asked for: the data plane has its own.
    if (this.current !== null) this.currentIndex ??= PolicyIndex.build(this.current, null);
    return this.currentIndex;
  }

  get dataPlane(): DataPlane | null {
    return this.plane;
  }

  /** Revision and time since which the data plane decides by it. */
  get enforced(): { readonly revision: number; readonly atMs: number } | null {
    if (this.enforcedRevision === null || this.enforcedAt === null) return null;
    return { revision: this.enforcedRevision, atMs: this.enforcedAt };
  }

  /** Of the newest link that is up, else of the last one. */
  get peer(): PeerState {
    return [...this.links].at(-1)?.peer ?? this.formerPeer;
  }

  /** Mappings that a peer has not acknowledged yet. */
  get lag(): number {
    let lag = 0;
    for (const { exchange } of this.links) lag = Math.max(lag, exchange.lag);
    return lag;
  }

  linkUp(link: PeerLink): void {
    this.links.add(link);
    link.exchange.linkUp();
  }

  linkDown(link: PeerLink): void {
    this.links.delete(link);
    this.formerPeer = { ...link.peer, connected: false, sinceMs: Date.now() };
  }

  /** The last good snapshot on disk; null when there is none. */
  storedSnapshot(): Snapshot | null {
    return this.store.read();
  }

  /** Stores and enforces; resolves when the data plane decides by it (at once while it is not started yet). */
  async enforce(snapshot: Snapshot, options: { readonly store: boolean } = { store: true }): Promise<void> {
    this.current = snapshot;
    this.currentIndex = null;
    this.endpointsById = new Map(snapshot.endpoints.map((endpoint) => [endpoint.id, endpoint]));
    if (options.store) this.store.write(snapshot);
    if (this.plane === null) return;
    const applied = new Promise<void>((resolve) => {
      this.awaitingApply.set(snapshot.revision, [...(this.awaitingApply.get(snapshot.revision) ?? []), resolve]);
    });
    this.plane.setPolicy(snapshot);
    await applied;
  }

  /** Binds the shared addresses and answers queries from here on. */
  async serve(): Promise<DataPlane> {
    const snapshot = this.current;
    this.plane = await DataPlane.start(this.settings, snapshot, {
      onMappings: (records) => this.learned(records),
      onPolicyApplied: (revision) => this.applied(revision),
      onWarning: (message) => this.log.warn(message),
      onCrash: (error) => this.fail(error),
    });
    if (snapshot !== null) this.applied(snapshot.revision);
    // A snapshot that came while the sockets were being bound.
    if (this.current !== null && this.current !== snapshot) await this.enforce(this.current, { store: false });
    return this.plane;
  }

  /** Mappings from the peer; merging is a join, so repeats are harmless. */
  merge(mappings: readonly Mapping[]): void {
    for (const mapping of mappings) this.cache.merge(mapping);
  }

  /** A forced clean made here. Returns how many mappings went. */
  clean(matchPattern: string | null): number {
    const clean: Clean = { matchPattern, atMs: monoMs(bootTimeMs()) };
    const removed = this.applyClean(clean);
    this.onClean(clean);
    return removed;
  }

  /** A forced clean, from here or from the peer. */
  applyClean(clean: Clean): number {
    const removed = this.cache.clean(clean);
    this.plane?.forgetMappings();
    return removed;
  }

  endpointByUid(uid: string): EndpointRecord | null {
    return this.current?.endpoints.find((endpoint) => endpoint.uid === uid) ?? null;
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.plane?.stop();
  }

  private applied(revision: number): void {
    this.enforcedRevision = revision;
    this.enforcedAt = Date.now();
    for (const resolve of this.awaitingApply.get(revision) ?? []) resolve();
    this.awaitingApply.delete(revision);
  }

  /** What the data plane has learned. */
  learned(records: readonly MappingRecord[]): void {
    for (const record of records) {
      const endpoint = this.endpointsById.get(record.endpointId);
      if (endpoint === undefined) continue;
      const ttlSeconds = Math.max(record.ttlSeconds, this.settings.minTtlSeconds);
      const mapping: Mapping = {
        endpointUid: endpoint.uid,
        name: record.name,
        address: record.address,
        lookupMs: record.lookupMs,
        ttlSeconds,
        expiryMs: monoMs(record.lookupMs + ttlSeconds * 1000),
      };
      if (this.cache.merge(mapping)) for (const { exchange } of this.links) exchange.offer(mapping);
    }
    this.onExchange();
  }

  private collect(): void {
    this.collected += this.cache.collect(monoMs(bootTimeMs()));
    if (this.current === null) return;
    const present = new Set(this.current.endpoints.map((endpoint) => endpoint.uid));
    this.collected += this.cache.retainEndpoints((uid) => present.has(uid));
  }
}
