/**
 * The flows of both members: this member's ring and those that peers have shared, merged by time. A peer's ring is read in the memory
 * that both have mapped, so its flows are here as they are written, also with the pair link cut, and stay when the peer dies.
 *
 * A member has a ring of queries for each worker, which writes it, and one of packets, which its control thread writes.
 * Invariant: a flow is in one ring, so no merge shows it twice. Of members that are gone the newest rings of each kind are kept,
 * ENDED_MAX times as many as a member has workers.
 */
import type { Role } from '@tandem/core';
import { bootTimeMs } from 'node-reuseport';
import type { DecodeContext } from './decode.js';
import { NO_RECORD, OVERWRITTEN } from './flow-ring.js';
import type { FlowLog, FlowReader, LostFlows, MemberFlows, ObservedFlow } from './flow-log.js';
import { type DecodedRecord, MemberRing, type RingMemory, type RingPlace } from './member-ring.js';

const ENDED_MAX = 2;

export class RingLog implements FlowLog {
  readonly nodeName: string;
  readonly version: string;
  /** Own first, then in the order in which they came. */
  readonly rings: MemberRing[] = [];
  /** Flows that readers here were told they had missed, each reader's counted. */
  lostCount = 0;
  private readonly role: Role;
  private readonly context: DecodeContext;
  private readonly endedMax: number;
  private readonly keys = new Map<number, readonly MemberRing[]>();
  /** Flows ever written into rings that are let go of. */
  private readonly seenBefore = new Map<Role, number>();

  /** `workers`: how many rings of queries a member has. */
  constructor(role: Role, context: DecodeContext, workers = 1) {
    this.endedMax = ENDED_MAX * workers;
    this.role = role;
    this.context = context;
    this.nodeName = context.nodeName;
    this.version = context.version;
  }

  /** Takes a member's memory; that of a ring that cannot be read, or is known already, is let go of. `key` is the giver's name for it. */
  add(role: Role, key: number, memories: readonly RingMemory[]): void {
    this.keys.set(key, memories.flatMap((memory) => this.addRing(role, memory) ?? []));
  }

  /** The member that shared the rings is gone. */
  ended(key: number): void {
    const rings = this.keys.get(key) ?? [];
    this.keys.delete(key);
    const shared = new Set([...this.keys.values()].flat());
    for (const ring of rings) if (!shared.has(ring)) this.endRing(ring);
  }

  read(from: 'oldest' | 'newest'): FlowReader {
    return new MergedReader(this, from);
  }

  members(): readonly MemberFlows[] {
    const roles = [...new Set([this.role, ...this.rings.map(({ role }) => role)])];
    return roles.map((role): MemberFlows => {
      const rings = this.rings.filter((ring) => ring.role === role);
      const living = rings.filter(({ isEnded }) => !isEnded);
      const sum = (of: (ring: MemberRing) => number): number => rings.reduce((total, ring) => total + of(ring), 0);
      return {
        role,
        connected: living.length > 0,
        stored: sum((ring) => ring.stored()),
        max: sum((ring) => ring.max),
        seen: (this.seenBefore.get(role) ?? 0) + sum((ring) => ring.seen),
        uptimeMs: Math.max(0, ...living.map(({ sinceMs }) => bootTimeMs() - sinceMs)),
      };
    });
  }

  close(): void {
    for (const ring of this.rings.splice(0)) ring.release();
  }

  private addRing(role: Role, memory: RingMemory): MemberRing | null {
    const ring = MemberRing.open(role, memory, this.context);
    if (ring === null) return null;
    const known = this.rings.find(({ id }) => id === ring.id);
    if (known !== undefined) {
      // Its member lives, and shares it again: the end of its earlier share may have been told, or may come yet.
      ring.release();
      known.isEnded = false;
      return known;
    }
    if (role === this.role) this.rings.unshift(ring);
    else this.rings.push(ring);
    return ring;
  }

  private endRing(ring: MemberRing): void {
    ring.isEnded = true;
    const ended = this.rings.filter(({ isEnded, kind }) => isEnded && kind === ring.kind);
    for (const old of ended.slice(0, Math.max(0, ended.length - this.endedMax))) {
      this.rings.splice(this.rings.indexOf(old), 1);
      this.seenBefore.set(old.role, (this.seenBefore.get(old.role) ?? 0) + old.seen);
      old.release();
    }
  }
}

/** A place in one ring: before flow `half` of the record at `at`. */
class Cursor {
  readonly ring: MemberRing;
  at: number;
  half = 0;
  /** Number of the flow that comes next; null before the first. */
  expected: number | null;
  /** It has not gone forth since it began, or since it went back. */
  private isBeginning = true;

  constructor(ring: MemberRing, { place, flow }: RingPlace) {
    this.ring = ring;
    this.at = place;
    this.expected = flow;
  }

  /** The record that holds the next flow. */
  ahead(): DecodedRecord | typeof NO_RECORD | typeof OVERWRITTEN {
    return this.ring.after(this.at);
  }

  /** The record that holds the flow before. */
  behind(): DecodedRecord | null {
    if (this.half === 0) return this.ring.before(this.at);
    const here = this.ring.after(this.at);
    return here === NO_RECORD || here === OVERWRITTEN ? null : here;
  }

  take(record: DecodedRecord): ObservedFlow {
    this.isBeginning = false;
    const flow = record.flows[this.half++];
    this.expected = (record.firstFlow + this.half) >>> 0;
    this.at = record.place;
    if (this.half < record.flows.length) return flow;
    this.at = record.next;
    this.half = 0;
    return flow;
  }

  takeBack(record: DecodedRecord): ObservedFlow {
    this.isBeginning = true;
    const half = this.half === 0 ? record.flows.length : this.half;
    this.at = record.place;
    this.half = half - 1;
    this.expected = (record.firstFlow + this.half) >>> 0;
    return record.flows[this.half];
  }

  /** Goes on behind what was overwritten; how many flows that were. */
  skip(): number {
    const before = this.expected;
    this.at = this.ring.resume(this.isBeginning);
    this.half = 0;
    const record = this.ahead();
    const isThere = record !== NO_RECORD && record !== OVERWRITTEN;
    this.expected = isThere ? record.firstFlow : this.ring.seen;
    return before === null ? 0 : (this.expected - before) >>> 0;
  }
}

class MergedReader implements FlowReader {
  private readonly log: RingLog;
  private readonly cursors = new Map<MemberRing, Cursor>();
  /** Of a reader that began at the newest: what is in a ring that comes later, but older than this, is not news. */
  private readonly fromMs: number;

  constructor(log: RingLog, from: 'oldest' | 'newest') {
    this.log = log;
    this.fromMs = from === 'oldest' ? -Infinity : Date.now();
    for (const ring of log.rings) this.cursors.set(ring, new Cursor(ring, from === 'oldest' ? ring.oldest() : ring.newest()));
  }

  previous(): ObservedFlow | null {
    this.leaveRings();
    let latest: { cursor: Cursor; record: DecodedRecord } | null = null;
    for (const cursor of this.cursors.values()) {
      const record = cursor.behind();
      // Of those that ended in the same moment the last one, as they are first to last on the way forth.
      if (record !== null && (latest === null || record.endedAtMs >= latest.record.endedAtMs)) latest = { cursor, record };
    }
    return latest === null ? null : latest.cursor.takeBack(latest.record);
  }

  next(): ObservedFlow | LostFlows | null {
    this.meetRings();
    let first: { cursor: Cursor; record: DecodedRecord } | null = null;
    for (const cursor of this.cursors.values()) {
      let record = cursor.ahead();
      if (record === OVERWRITTEN) {
        const lost = cursor.skip();
        this.log.lostCount += lost;
        if (lost > 0) return { lost };
        record = cursor.ahead();
      }
      if (record === NO_RECORD || record === OVERWRITTEN) continue;
      if (first === null || record.endedAtMs < first.record.endedAtMs) first = { cursor, record };
    }
    return first === null ? null : first.cursor.take(first.record);
  }

  private meetRings(): void {
    const { rings } = this.log;
    if (rings.length === this.cursors.size && rings.every((ring) => this.cursors.has(ring))) return;
    this.leaveRings();
    for (const ring of rings) if (!this.cursors.has(ring)) this.cursors.set(ring, new Cursor(ring, this.fromMs === -Infinity ? ring.oldest() : ring.since(this.fromMs)));
  }

  /** Those whose memory is let go of: there is nothing to be read any more. */
  private leaveRings(): void {
    for (const ring of this.cursors.keys()) if (!this.log.rings.includes(ring)) this.cursors.delete(ring);
  }
}
