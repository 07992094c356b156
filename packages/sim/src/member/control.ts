/**
 * A member's control thread: policy, state on disk, FQDN cache, pair link. Around core's own FqdnCache and
 * Replica it does what host's member.ts and the agent's publisher do.
 *
 * Invariant: as there, a snapshot is enforced whole or not at all. Here the agent's source is always right about what the
 * newest policy is and which number it has.
 */
import {
  type ChangesMessage, type Clean, type EndpointRecord, FqdnCache, type Mapping, monoMs, type MonoMs, nameMatcher, NODE_UID, Replica, type Role, type Snapshot,
} from '@tandem/core';
import { EVENT } from '../base/transcript.js';
import type { World } from '../run/world.js';
import { type LearnedRecord, Plane } from './plane.js';
import type { SimProcess } from './process.js';
import { Session } from './session.js';

/** As in host. */
const POLICY_FROM_ANYWHERE_MS = 5000;
const HAND_OVER_MS = 500;
const HAND_OVER_LOOK_MS = 5;
const COLLECT_EVERY_MS = 60_000;
const MAPPINGS_READ_AFTER_MS = 5;
const SNAPSHOT_FILE = 'snapshot';
/** A folder of manifests is read so fast. */
const SOURCE_MS: readonly [number, number] = [2, 30];
const REDIAL_MS: readonly [number, number] = [50, 200];
const INCARNATION_DIGITS = 16;
const DISK_RETRY_MS = 500;
/** By a planted defect. */
const SPARED_MS = 200;

export class Control {
  readonly world: World;
  readonly process: SimProcess;
  readonly cache: FqdnCache;
  readonly replica: Replica;
  plane: Plane | null = null;
  /** The peer may dial. */
  takesLinks = false;
  private mayServe = false;
  /** Nothing of it is left to do once it is told to stop. */
  private isStopping = false;
  private current: Snapshot | null = null;
  private endpointsById = new Map<number, EndpointRecord>();
  private readonly sessions = new Set<Session>();
  /** The latest link, up or not. */
  private attempt: Session | null = null;
  private readonly ring: LearnedRecord[] = [];
  private isReadDue = false;
  private isBound = false;
  private isWriting = false;
  private isBehind = false;

  constructor(world: World, process: SimProcess) {
    this.world = world;
    this.process = process;
    this.cache = new FqdnCache({ maxAddressesPerName: world.options.maxAddressesPerName, matcher: nameMatcher });
    this.replica = new Replica(this.cache, process.number.toString(16).padStart(INCARNATION_DIGITS, '0'));
  }

  get snapshot(): Snapshot | null {
    return this.current;
  }

  get role(): Role {
    return this.process.role;
  }

  get isLinked(): boolean {
    return this.sessions.size > 0;
  }

  /** Mappings that the peer has not acknowledged. */
  get lag(): number {
    let lag = this.sessions.size === 0 ? this.cache.size : 0;
    for (const { exchange } of this.sessions) lag = Math.max(lag, exchange.lag);
    return lag;
  }

  start(): void {
    const kept = this.world.diskOf(this.role).read(SNAPSHOT_FILE);
    if (kept !== null) this.enforce(this.world.policies.memory.snapshotOf(kept));
    this.process.after(COLLECT_EVERY_MS, () => this.collect());
    if (this.role === 'agent') {
      this.process.after(this.process.random.between(...SOURCE_MS), () => this.startAgent());
      return;
    }
    this.redial();
    this.serveWithin(POLICY_FROM_ANYWHERE_MS);
  }

  /** The agent's source comes first, then the link, then the shared socket. */
  private startAgent(): void {
    this.readSource();
    this.takesLinks = true;
    this.serveWithin(POLICY_FROM_ANYWHERE_MS);
  }

  /** At once with a policy, else when there is one, else after so long without. */
  private serveWithin(ms: number): void {
    this.mayServe = true;
    if (this.current === null) this.process.after(ms, () => this.serve());
    else this.serve();
  }

  /** The agent's source has another policy. */
  sourceChanged(): void {
    this.process.after(this.process.random.between(...SOURCE_MS), () => this.readSource());
  }

  /** A forced clean made here. */
  clean(matchPattern: string | null, endpointUid: string | null): void {
    const clean = { matchPattern, endpointUid, atMs: this.nowMs() };
    const { checkers, plant } = this.world;
    checkers.memory.onClean(clean);
    this.applyCleans([plant.sparesLatest ? { ...clean, atMs: monoMs(clean.atMs - SPARED_MS) } : clean], null);
  }

  /** Changes of the peer of that incarnation. */
  fromLink({ mappings, cleans }: ChangesMessage, from: string): void {
    this.applyCleans(cleans, from);
    if (this.replica.merge(mappings, from).length > 0) this.pump();
  }

  nowMs(): MonoMs {
    return this.world.clock.nowMs();
  }

  linkUp(session: Session): void {
    this.sessions.add(session);
    this.world.note(EVENT.link, this.process.number, 1);
  }

  linkDown(session: Session): void {
    this.sessions.delete(session);
    this.world.note(EVENT.link, this.process.number, 0);
  }

  /** A snapshot over the link; `reply` says why it is not enforced, or nothing. */
  fromPeer(snapshot: Snapshot, reply: (refusal: string) => void): void {
    if (this.current !== null && (snapshot.revision < this.current.revision || (this.role === 'agent' && snapshot.revision === this.current.revision))) {
      reply(`revision ${this.current.revision} is here`);
      return;
    }
    this.enforce(snapshot, () => reply(''));
    this.serve();
  }

  /** Takes a stream of the peer's; it says Hello at once. */
  attach(transport: { readonly send: (bytes: Uint8Array) => void; readonly close: () => void }): Session {
    this.attempt = new Session(this, this.role, transport);
    return this.attempt;
  }

  /** SIGTERM. */
  stop(): void {
    if (this.isStopping) return;
    this.isStopping = true;
    this.world.note(EVENT.drain, this.process.number);
    if (this.plane === null) this.handOver(0);
    else this.plane.tell({ kind: 'stop' });
  }

  collectNow(): void {
    this.cache.collect(this.world.clock.nowMs());
    if (this.current === null || this.role !== 'agent') return;
    const present = new Set(this.current.endpoints.map(({ uid }) => uid));
    this.bury([...this.cache.endpointUids()].filter((uid) => uid !== NODE_UID && !present.has(uid)));
  }

  /** What endpoints learned that are gone; said by the member that has the source of policy. */
  private bury(endpointUids: readonly string[]): void {
    const atMs = this.nowMs();
    this.applyCleans(endpointUids.map((endpointUid) => ({ matchPattern: null, endpointUid, atMs })), null);
  }

  private readSource(): void {
    if (this.isStopping || !this.world.isSourceThere) return;
    const { snapshot } = this.world.policies.at(this.world.revision);
    if (this.current?.revision === snapshot.revision) return;
    this.enforce(snapshot);
    this.serve();
    this.pump();
  }

  private enforce(snapshot: Snapshot, done: () => void = () => undefined): void {
    if (this.isStopping) return;
    const former = this.current;
    this.current = snapshot;
    this.endpointsById = new Map(snapshot.endpoints.map((endpoint) => [endpoint.id, endpoint]));
    this.keep();
    if (this.role === 'agent' && former !== null) {
      const present = new Set(snapshot.endpoints.map(({ uid }) => uid));
      this.bury(former.endpoints.map(({ uid }) => uid).filter((uid) => !present.has(uid)));
    }
    if (this.plane === null) done();
    else this.plane.tell({ kind: 'policy', snapshot, done: () => this.process.after(0.1, done) });
  }

  /** Stores what is newest; one write at a time, again until the disk takes it. */
  private keep(): void {
    if (this.isWriting) {
      this.isBehind = true;
      return;
    }
    this.isWriting = true;
    const bytes = this.world.policies.memory.bytesOf(this.current!);
    this.world.diskOf(this.role).write(SNAPSHOT_FILE, bytes, () => this.process.isAlive, (ok) => this.process.run(() => {
      this.isWriting = false;
      if (ok && !this.isBehind) return;
      this.isBehind = false;
      this.process.after(ok ? 0 : DISK_RETRY_MS, () => this.keep());
    }));
  }

  /** Binds, once: with a policy, or after waiting for one. */
  private serve(): void {
    if (this.isBound || this.isStopping || !this.mayServe) return;
    this.isBound = true;
    const plane = new Plane(this.world, this.process, {
      learned: (record) => this.learned(record),
      stopped: () => this.process.after(0.1, () => this.handOver(0)),
    });
    this.plane = plane;
    const snapshot = this.current;
    plane.start(snapshot, () => {
      this.world.note(EVENT.serve, this.process.number, this.current?.revision ?? 0);
      if (this.current !== null && this.current !== snapshot) plane.tell({ kind: 'policy', snapshot: this.current, done: () => undefined });
    });
  }

  /** What was learned last goes to the peer, if it takes it so fast. */
  private handOver(waitedMs: number): void {
    this.readRing();
    if (this.sessions.size > 0 && this.lag > 0 && waitedMs < HAND_OVER_MS) {
      this.process.after(HAND_OVER_LOOK_MS, () => this.handOver(waitedMs + HAND_OVER_LOOK_MS));
      return;
    }
    this.world.exited(this.process);
  }

  private learned(record: LearnedRecord): void {
    this.ring.push(record);
    if (this.isReadDue) return;
    this.isReadDue = true;
    this.process.after(this.process.random.between(0.1, MAPPINGS_READ_AFTER_MS), () => this.readRing());
  }

  private readRing(): void {
    this.isReadDue = false;
    const records = this.ring.splice(0);
    if (this.plane !== null) this.plane.ringLength -= records.length;
    for (const record of records) this.take(record);
    if (records.length > 0) this.pump();
  }

  private take(record: LearnedRecord): void {
    const endpoint = this.endpointsById.get(record.endpointId);
    const { waiting } = record;
    if (this.world.datapath.mode !== 'none') {
      this.world.datapath.allow(record.endpointId, record.address, () => this.process.run(() => {
        if (waiting !== null) this.plane?.tell({ kind: 'opened', ...waiting });
      }));
    }
    if (endpoint === undefined) return;
    const { name, address, lookupMs, ttlSeconds } = record;
    const mapping: Mapping = { endpointUid: endpoint.uid, name, address, lookupMs, ttlSeconds, expiryMs: monoMs(lookupMs + ttlSeconds * 1000) };
    if (this.replica.merge([mapping], null).length > 0) this.world.note(EVENT.learned, this.process.number, record.endpointId, this.cache.size);
  }

  private applyCleans(cleans: readonly Clean[], from: string | null): void {
    if (this.replica.clean(cleans, from).news.length === 0) return;
    this.plane?.tell({ kind: 'forget' });
    this.pump();
  }

  private pump(): void {
    for (const session of this.sessions) session.pump();
  }

  private redial(): void {
    if (this.isStopping) return;
    if (this.attempt?.isClosed !== false) this.world.dialLink(this);
    this.process.after(this.process.random.between(...REDIAL_MS), () => this.redial());
  }

  private collect(): void {
    this.collectNow();
    this.process.after(COLLECT_EVERY_MS, () => this.collect());
  }
}
