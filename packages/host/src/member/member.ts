/**
 * What both daemons are: data planes, the policy that they enforce, an FQDN cache, and links to peers. What goes into the cache
 * is in mappings.ts. The agent adds a policy source, the DNS proxy takes its policy over the pair link.
 *
 * Invariant: a snapshot is enforced whole or not at all. It is stored before it is acknowledged, unless the disk does not
 * take it: then that is shown as a problem, and tried again until it does.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { join } from 'node:path';
import {
  AppError, type EndpointRecord, type Exchange, FqdnCache, type Log, nameMatcher, PolicyIndex, Replica, type Settings, type Snapshot,
  type SocketAddress, validateSnapshot,
} from '@tandem/core';
import { bootTimeMs } from 'node-reuseport';
import { DataPlanes, type MemberSockets, OWN_FLOWS, PreparedPlanes, slotsOf } from '../dataplane/index.js';
import type { BootClock } from '../state/cache-load.js';
import { KeptState } from '../state/kept-state.js';
import { SourceHeard } from '../state/source-heard.js';
import { StateFile } from '../state/state-file.js';
import { sha256 } from '../state/sha256.js';
import { wallTimes } from '../state/wall-times.js';
import { FlowDirectory } from '../flows/directory.js';
import { LearnedNames } from '../flows/learned-names.js';
import { openRingMemory } from '../flows/open-ring.js';
import { PacketFlows } from '../flows/packet-flows.js';
import { RingLog } from '../flows/ring-log.js';
import type { CiliumState } from '../cilium/link.js';
import { Collection, noConnections } from './collection.js';
import type { Enforcement } from './enforcement.js';
import { Mappings } from './mappings.js';
import { takePreCache } from './pre-cache.js';
import type { PolicySourceReadings } from './source-metrics.js';
import type { SettingMismatch } from './verdict-settings.js';

/** A member without any policy waits so long for its peer's before it binds, and refuses everything. */
export const POLICY_FROM_ANYWHERE_MS = 5000;
const SNAPSHOT_FILE_BYTES_MAX = 64 * 1024 * 1024;
/** What was learned last is handed to the peer before the end, if it takes it so fast. */
const HAND_OVER_MS = 500;
const HAND_OVER_LOOK_MS = 5;

export interface PeerState {
  readonly connected: boolean;
  /** Since when: time of day. */
  readonly sinceMs: number | null;
  readonly incarnation: string | null;
  readonly revision: number | null;
  /** Of its policy; null: it has none. */
  readonly hash: string | null;
  /** Of its program; null before it said so. */
  readonly version: string | null;
}

/** What the data plane decides by. */
export interface Enforced {
  readonly revision: number;
  readonly hash: string;
  /** Time of day. */
  readonly atMs: number;
}

interface Application {
  readonly resolve: () => void;
  readonly reject: (error: AppError) => void;
}

/** A link to a peer that is up. */
export interface PeerLink {
  readonly exchange: Exchange;
  peer: PeerState;
  /** Settings in which the peer contradicts this member. */
  mismatches: readonly SettingMismatch[];
}

export interface MemberOptions {
  readonly settings: Settings;
  readonly version: string;
  readonly log: Log;
  /** Ends the process: the data plane is gone. */
  readonly fail: (error: Error) => void;
  /** A successor of this role has the sockets, and waits for this member's end. */
  readonly onSucceeded?: () => void;
  /** By which the policy source is late; the real one, unless a test has its own. */
  readonly clock?: BootClock;
  /** Who enforces in the kernel; absent: nobody, and zombies die as if there were no connections. */
  readonly enforcement?: Enforcement | null;
}

const NO_PEER: PeerState = { connected: false, sinceMs: null, incarnation: null, revision: null, hash: null, version: null };

export class Member {
  readonly settings: Settings;
  readonly version: string;
  readonly log: Log;
  /** Random per process start. */
  readonly incarnation = randomBytes(8).toString('hex');
  /** Time of day, and the same moment by CLOCK_BOOTTIME. */
  readonly startedAtMs = Date.now();
  readonly startedMs = bootTimeMs();
  readonly cache: FqdnCache;
  readonly collection: Collection;
  /** The cache as peers see it. */
  readonly replica: Replica;
  /** The ways into the cache. */
  readonly mappings: Mappings;
  /** Null: nothing is enforced in the kernel. */
  readonly enforcement: Enforcement | null;
  /** The flows of this member and its peers. */
  readonly flows: RingLog;
  /** What the kernel logged, where this member reads it. */
  readonly packets: PacketFlows;
  /** As bound, once it is. */
  httpListen: SocketAddress;
  /** Complaints of the policy source, one line each. */
  sourceProblems: readonly string[] = [];
  /** When the policy source was last heard, here or by the agent. */
  readonly heard: SourceHeard;
  /** Of a policy source that is an API server; null: there is none. */
  source: PolicySourceReadings | null = null;
  /** Addresses that are not where their pods are, one line each. */
  locationProblems: readonly string[] = [];
  /** Times that a link to a peer came up, and went down. */
  readonly linkChanges = { up: 0, down: 0 };
  /** Called when there may be something to send to a peer: mappings, cleans, or another policy. */
  onExchange: () => void = () => undefined;
  /** Called when another policy is enforced. */
  onEnforce: () => void = () => undefined;
  /** How it stands with the Cilium agent, where policy comes from one. */
  cilium: (() => CiliumState) | null = null;
  /** The newest comes last: during a rolling update there are two for a moment. */
  private readonly links = new Set<PeerLink>();
  private formerPeer = NO_PEER;
  /** Since when there has been no link to a peer, or the last one ended: CLOCK_BOOTTIME. */
  private aloneSinceMs = this.startedMs;
  private readonly directory = new FlowDirectory();
  private readonly store: KeptState<Snapshot>;
  private readonly kept: { readonly isBehind: boolean; readonly path: string; close(): void | Promise<void> }[] = [];
  private readonly fail: (error: Error) => void;
  private readonly onSucceeded: () => void;
  /** Told to the data plane, and not yet confirmed; it confirms in this order. */
  private readonly applying: Application[] = [];
  private current: Snapshot | null = null;
  private stored: Snapshot | null = null;
  private currentIndex: PolicyIndex | null = null;
  private inForce: Enforced | null = null;
  private plane: DataPlanes | null = null;
  private prepared: PreparedPlanes | undefined;
  /** The interface that bridged pods' packets come in by; 0: there is none. */
  private diverted = 0;
  /** Endpoints' addresses whose place is gone. */
  private displaced: readonly string[] = [];
  private starting: Promise<DataPlanes> | null = null;
  private isStopping = false;
  private preCacheProblems: readonly string[] = [];
  private firstPolicy: () => void = () => undefined;
  private readonly hasPolicy = new Promise<void>((resolve) => {
    this.firstPolicy = resolve;
  });

  constructor(options: MemberOptions) {
    this.settings = options.settings;
    this.version = options.version;
    this.log = options.log;
    this.fail = options.fail;
    this.onSucceeded = options.onSucceeded ?? (() => undefined);
    this.cache = new FqdnCache({
      maxAddressesPerName: options.settings.maxIpsPerHostname,
      maxZombies: options.settings.maxDeferredDeletes,
      idleGraceMs: options.settings.idleConnectionGraceMs,
      isShared: options.settings.grantScope === 'node',
      hashSeed: randomInt(2 ** 32), matcher: nameMatcher,
    });
    this.enforcement = options.enforcement ?? null;
    this.enforcement?.attach({
      cache: this.cache,
      onDiverted: (interfaceIndex) => {
        this.diverted = interfaceIndex;
        this.plane?.setDiverted(interfaceIndex);
      },
      onDisplaced: (addresses) => {
        this.displaced = addresses;
        this.plane?.setDisplaced(addresses);
      },
      onReopened: () => this.plane?.forgetMappings(null),
      onPackets: (packets) => { this.packets.logged(packets); },
      onPacketsLost: (packets) => { this.packets.lost(packets); },
    });
    this.replica = new Replica(this.cache, this.incarnation);
    this.flows = new RingLog(options.settings.role, {
      directory: this.directory,
      nodeName: options.settings.nodeName,
      version: options.version,
    }, options.settings.workers);
    this.httpListen = options.settings.httpListen;
    const { cache, replica } = this;
    this.packets = new PacketFlows({
      directory: this.directory,
      names: new LearnedNames({ get revision() { return replica.log.revision; }, ofEndpoint: (uid) => cache.mappingsOf(uid) }, bootTimeMs),
      bootedAtMs: () => wallTimes().bootedAtMs,
    });
    this.store = this.keeps(new KeptState(
      // With the role in its name: both members may have one state-dir.
      // What a Cilium agent said is no policy for a pair, nor the other way round.
      new StateFile(join(options.settings.stateDir, `${options.settings.role}-${options.settings.ciliumAgent === null ? '' : 'cilium-'}snapshot.json`), {
        bytesMax: SNAPSHOT_FILE_BYTES_MAX,
        parse: (content) => validateSnapshot(content, sha256, options.settings.ciliumAgent === null ? 'own' : 'foreign'),
        log: options.log,
      }),
      { isSame: (a, b) => a.revision === b.revision && a.hash === b.hash },
    ));
    this.heard = new SourceHeard({ settings: options.settings, log: options.log, clock: options.clock });
    this.heard.onChange = () => { this.onExchange(); };
    if (this.heard.store !== null) this.keeps(this.heard.store);
    this.mappings = new Mappings({
      settings: options.settings,
      log: options.log,
      cache: this.cache,
      replica: this.replica,
      onNews: () => { this.onExchange(); },
      onKnown: (mappings, isLearned) => {
        if (isLearned) this.enforcement?.learned(mappings);
        else this.enforcement?.taught(mappings);
      },
      onShrunk: (isCleaned) => this.enforcement?.shrunk(isCleaned || this.links.size > 0, isCleaned),
      onGone: (mappings) => this.plane?.forgetMappings(mappings),
    });
    this.kept.push(this.mappings.store);
    this.collection = new Collection(options.settings, {
      source: this.enforcement?.connections ?? noConnections,
      collect: (nowMs) => { this.mappings.collect(nowMs); },
      connectionsSeen: (run) => { this.cache.connectionsSeen(run); },
    });
  }

  /** The policy in force, or about to be; null before there is any. */
  get snapshot(): Snapshot | null {
    return this.current;
  }

  /** The policy in force; before there is any the one on disk, as far as it has been read. */
  get known(): Snapshot | null {
    return this.current ?? this.stored;
  }

  /** The policy as `policy trace` reads it. */
  get index(): PolicyIndex | null {
    // Made when it is asked for: the data plane has its own.
    if (this.current !== null) this.currentIndex ??= PolicyIndex.build(this.current, null);
    return this.currentIndex;
  }

  get dataPlane(): DataPlanes | null {
    return this.plane;
  }

  /** Unanswered queries that there is room for. */
  get slots(): number {
    return slotsOf(this.settings);
  }

  get enforced(): Enforced | null {
    return this.inForce;
  }

  /** All that an operator should mend, one line each. */
  get problems(): readonly string[] {
    const behind = this.kept.filter(({ isBehind }) => isBehind).map(({ path }) => (
      `${path}: error: cannot be written: a restart would start from older state; make room, or choose another --state-dir`
    ));
    const contradictions = this.mismatches.map(({ name, own, peers }) => (
      `--${name}: error: this member has ${own}, its peer ${peers}: clients get one verdict or the other; give both the same`
    ));
    return [
      ...this.sourceProblems, ...this.locationProblems.map((text) => `warning: ${text}`), ...this.preCacheProblems, ...behind, ...contradictions, ...this.workerProblems(),
      ...(this.enforcement?.problems ?? []),
    ];
  }

  /** Settings in which the peer contradicts this member. */
  get mismatches(): readonly SettingMismatch[] {
    return [...this.links].at(-1)?.mismatches ?? [];
  }

  /** True while something that must survive a restart is not on disk. */
  get isStateBehind(): boolean {
    return this.kept.some(({ isBehind }) => isBehind);
  }

  /** Of the newest link that is up, else of the last one. */
  get peer(): PeerState {
    return [...this.links].at(-1)?.peer ?? this.formerPeer;
  }

  /**
   * Mappings and cleans that are not on the disks of both yet: a peer has not acknowledged them, or they wait for this
   * member's own. Without a peer all mappings.
   */
  get lag(): number {
    if (this.links.size === 0) return this.cache.size;
    let lag = this.mappings.store.waiting;
    for (const { exchange } of this.links) lag = Math.max(lag, exchange.lag);
    return lag;
  }

  /** For how long something has waited to be on the disks of both: since it was sent, or since the peer is away. */
  get lagMs(): number {
    if (this.lag === 0) return 0;
    if (this.links.size === 0) return bootTimeMs() - this.aloneSinceMs;
    const sentMs = Math.min(...[...this.links].map(({ exchange }) => exchange.unansweredSinceMs ?? Infinity));
    return sentMs === Infinity ? 0 : Math.max(0, bootTimeMs() - sentMs);
  }

  linkUp(link: PeerLink): void {
    this.links.add(link);
    this.linkChanges.up++;
  }

  linkDown(link: PeerLink): void {
    this.links.delete(link);
    this.linkChanges.down++;
    this.formerPeer = { ...link.peer, connected: false, sinceMs: Date.now() };
    this.aloneSinceMs = bootTimeMs();
  }

  /** Has the state shown among the problems while the disk does not take it. */
  keeps<T>(state: KeptState<T>): KeptState<T> {
    this.kept.push(state);
    return state;
  }

  /** The last good snapshot on disk; null when there is none. */
  storedSnapshot(): Snapshot | null {
    this.stored = this.store.read();
    return this.stored;
  }

  /** Resolves once there is a policy, but no later than in so long. */
  async policyWithin(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | null = null;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([this.hasPolicy, late]);
    if (timer !== null) clearTimeout(timer);
  }

  /**
   * Stores and enforces; resolves when the data plane decides by it (at once while it is not started yet).
   * @throws AppError UNAVAILABLE while draining: the data plane listens no more.
   */
  async enforce(snapshot: Snapshot): Promise<void> {
    if (this.isStopping) throw draining();
    this.current = snapshot;
    this.stored = null;
    this.currentIndex = null;
    this.mappings.setEndpoints(snapshot.endpoints);
    this.directory.setSnapshot(snapshot);
    const written = this.enforcement?.enforce(snapshot) ?? null;
    this.store.keep(snapshot);
    this.firstPolicy();
    // Before the shared addresses are bound, so that no pod's DNS goes by while there are no tables.
    if (this.plane === null) await written;
    // While it was written the data plane may have started, and a later one may have come: that one is to stay.
    if (this.plane !== null && this.current === snapshot) await this.apply(this.plane, snapshot, written);
    this.onExchange();
    this.onEnforce();
  }

  /** The data planes' threads load their modules from here on, beside all that comes before `serve`; a daemon's first one has begun already. */
  prepare(): void {
    this.prepared = new PreparedPlanes(this.settings.workers);
  }

  /** Binds the shared addresses and answers queries from here on. @throws AppError UNAVAILABLE, also when stopped meanwhile. */
  async serve(sockets?: MemberSockets): Promise<DataPlanes> {
    const complaint = await takePreCache(this);
    if (complaint !== null) this.preCacheProblems = [complaint];
    if (this.isStopping) throw draining();
    const { current: snapshot, diverted, displaced } = this;
    this.starting = DataPlanes.start(this.settings, snapshot, {
      onMappings: (records) => this.mappings.learned(records),
      onPolicyApplied: () => this.applied(),
      onWarning: (message) => this.log.warn(message),
      onFlows: (key, role, at) => {
        const rings = openRingMemory(at);
        this.flows.add(role, key, rings);
        const own = key === OWN_FLOWS ? rings.find(({ kind }) => kind === 'packets') : undefined;
        if (own !== undefined) this.packets.useRing(own.words);
      },
      onFlowsEnded: (key) => this.flows.ended(key),
      onSucceeded: this.onSucceeded,
      onCrash: (error) => this.fail(error),
    }, { legacy: null, httpFd: null, ...sockets, release: this.version, opener: this.enforcement?.opener ?? null, diverted, displaced }, this.prepared);
    const plane = await this.starting;
    if (this.isStopping) throw draining();
    this.plane = plane;
    // What changed while the sockets were being bound.
    if (this.diverted !== diverted) plane.setDiverted(this.diverted);
    if (this.displaced !== displaced) plane.setDisplaced(this.displaced);
    if (snapshot !== null) this.inForce = inForceNow(snapshot);
    if (this.current !== null && this.current !== snapshot) await this.apply(plane, this.current, null);
    return plane;
  }

  endpointByUid(uid: string): EndpointRecord | null {
    return this.current?.endpoints.find((endpoint) => endpoint.uid === uid) ?? null;
  }

  /**
   * Answers what is under way and hands what was learned to the peer. The pair link must still be there. `awaitsPeer`: one that
   * is just being replaced is waited for.
   */
  async stop(awaitsPeer = false): Promise<void> {
    this.isStopping = true;
    this.collection.stop();
    if (this.starting === null) void this.prepared?.terminate();
    const plane = await this.starting?.catch(() => null);
    for (const { reject } of this.applying.splice(0)) reject(draining());
    await plane?.stop(awaitsPeer);
    await this.handOver();
    this.heard.close();
    for (const state of this.kept) await state.close();
  }

  private workerProblems(): readonly string[] {
    const { workers } = this.settings;
    const peers = this.plane?.gauges().peerWorkers ?? 0;
    if (peers === 0 || peers === workers) return [];
    return [`--workers: error: this member has ${workers}, its peer ${peers}: nobody answers for a worker without counterpart; give both the same`];
  }

  private async handOver(): Promise<void> {
    this.onExchange();
    for (let waitedMs = 0; waitedMs < HAND_OVER_MS && this.links.size > 0 && this.lag > 0; waitedMs += HAND_OVER_LOOK_MS) {
      await new Promise((resolve) => { setTimeout(resolve, HAND_OVER_LOOK_MS); });
    }
  }

  /** Resolves when the data plane decides by it, and the kernel's tables (`written`). */
  private async apply(plane: DataPlanes, snapshot: Snapshot, written: Promise<void> | null): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.applying.push({ resolve, reject });
      plane.setPolicy(snapshot);
    });
    await written;
    // A later one may have overtaken it.
    if (this.current === snapshot) this.inForce = inForceNow(snapshot);
  }

  private applied(): void {
    const application = this.applying.shift();
    if (application === undefined) return;
    application.resolve();
  }
}

function inForceNow(snapshot: Snapshot): Enforced {
  return { revision: snapshot.revision, hash: snapshot.hash, atMs: Date.now() };
}

function draining(): AppError {
  return new AppError('UNAVAILABLE', 'this member is draining');
}
