/**
 * One GetFlows request as a walk over the flows: back to where it begins, then on to its end, or, when it follows, for as long as there
 * is a reader. By Hubble's rules:
 *
 * - `first`: the first `number` flows since `since`, or since the oldest;
 * - else the last `number` that match, in the order of time; without a number all, since `since` if there is one;
 * - `follow`: then new ones as they come; without number and since new ones only;
 * - `until` ends it. What was overtaken by the ring is told as one lost event.
 *
 * Nothing is kept but the place: where the transport is full, the ring is not read.
 */
import { AppError, type Role } from '@tandem/core';
import { type Flow, type GetFlowsRequest, NodeState, type Timestamp } from '@tandem/proto';
import type { FlowLog, FlowReader, MemberFlows, ObservedFlow } from '../flows/flow-log.js';
import { compileFieldMask, type FieldMask } from './field-mask.js';
import type { FlowTest } from './filter-fields.js';
import { compileFilters } from './flow-filter.js';
import { flowResponse, lostResponse, nodeStatusResponse } from './response-bytes.js';
import type { Walk, WalkState } from './walks.js';

const MS_PER_SECOND = 1_000;
const NS_PER_MS = 1_000_000;
const NANOS_MAX = 999_999_999;
/**
 * Flows come in the order in which queries ended, and a request has the time at which it came: a flow may stand behind others that are
 * younger by as much as a query can take, with all waits.
 */
const LATE_MS = 10_000;

export interface QuerySeams {
  readonly log: FlowLog;
  /** Of the log; another list where they were looked at again. */
  readonly members: () => readonly MemberFlows[];
  /** Sends a `GetFlowsResponse`; false: no more until the walk is resumed. */
  readonly write: (response: Uint8Array) => boolean;
  readonly end: () => void;
  readonly wallMs: () => number;
}

/** A request that makes sense, compiled. */
interface Plan {
  /** Infinity: no bound. */
  readonly number: number;
  readonly isFirst: boolean;
  readonly follows: boolean;
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly matches: FlowTest;
  readonly mask: FieldMask | null;
}

export class FlowQuery implements Walk {
  private readonly seams: QuerySeams;
  private readonly plan: Plan;
  private readonly reader: FlowReader;
  private readonly members = new Map<Role, boolean>();
  /** As they were when this reader was last told. */
  private told: readonly MemberFlows[] | null = null;
  /** Without follow: the newest flow at the start; what comes later is of no interest. */
  private readonly last: ObservedFlow | null;
  private isRewinding: boolean;
  /** Matching flows between the place and the end, found on the way back. */
  private found = 0;
  private sent = 0;

  /** @throws AppError USAGE for a request that cannot be answered. */
  constructor(request: GetFlowsRequest, seams: QuerySeams) {
    const plan = planOf(request);
    const { log } = seams;
    this.seams = seams;
    this.plan = plan;
    const isBounded = Number.isFinite(plan.number) || plan.sinceMs > -Infinity;
    this.isRewinding = !plan.isFirst && isBounded;
    this.reader = log.read(plan.isFirst || !(isBounded || plan.follows) ? 'oldest' : 'newest');
    this.last = plan.follows ? null : log.read('newest').previous();
  }

  step(untilMs: number): WalkState {
    const { plan, seams } = this;
    if (plan.follows && !this.tellMembers()) return 'blocked';
    do {
      if (this.isRewinding) {
        this.rewind();
        continue;
      }
      if (this.isOver()) return this.end();
      const next = this.reader.next();
      if (next === null) return plan.follows && seams.wallMs() <= plan.untilMs + LATE_MS ? 'idle' : this.end();
      if ('lost' in next) {
        if (!seams.write(lostResponse(next.lost, { nodeName: seams.log.nodeName, timeMs: seams.wallMs() }))) return 'blocked';
        continue;
      }
      const timeMs = timeOf(next);
      if (timeMs > plan.untilMs + LATE_MS || this.isNews(next, timeMs)) return this.end();
      const canGoOn = this.offer(next, timeMs);
      if (this.last !== null && next.flow.uuid === this.last.flow.uuid) return this.end();
      if (!canGoOn) return 'blocked';
    } while (performance.now() < untilMs);
    return 'more';
  }

  /** One flow back, or the end of going back. */
  private rewind(): void {
    const { plan, reader } = this;
    const observed = reader.previous();
    if (observed === null) {
      this.isRewinding = false;
      return;
    }
    const timeMs = timeOf(observed);
    if (timeMs < plan.sinceMs - LATE_MS) this.isRewinding = false;
    else if (Number.isFinite(plan.number) && this.isInTime(timeMs) && plan.matches(observed.flow)) this.isRewinding = ++this.found < plan.number;
  }

  /** Sends it if it is wanted. False: the transport is full. */
  private offer(observed: ObservedFlow, timeMs: number): boolean {
    const { plan, seams } = this;
    if (!this.isInTime(timeMs) || !plan.matches(observed.flow)) return true;
    this.sent++;
    return seams.write(flowResponse(observed, plan.mask));
  }

  private isInTime(timeMs: number): boolean {
    return timeMs >= this.plan.sinceMs && timeMs <= this.plan.untilMs;
  }

  private isOver(): boolean {
    return !this.plan.follows && (this.last === null || this.sent >= this.plan.number);
  }

  /** It came after the request, which does not follow: the newest flow of then was overtaken. */
  private isNews({ flow }: ObservedFlow, timeMs: number): boolean {
    return this.last !== null && timeMs > timeOf(this.last) + LATE_MS && flow.uuid !== this.last.flow.uuid;
  }

  private end(): 'done' {
    this.seams.end();
    return 'done';
  }

  /** Who came or went since this reader was last told; at the beginning, who is not there. False: the transport is full. */
  private tellMembers(): boolean {
    const { log, wallMs } = this.seams;
    const members = this.seams.members();
    if (members === this.told) return true;
    this.told = members;
    let canGoOn = true;
    for (const member of members) {
      if ((this.members.get(member.role) ?? true) !== member.connected) {
        const state = member.connected ? NodeState.NODE_CONNECTED : NodeState.NODE_UNAVAILABLE;
        const message = member.connected ? `${member.role} writes flows again` : `${member.role} is not there; what it wrote can still be read`;
        // At most two members: what is beyond a full transport is kept by it, and no flow follows.
        canGoOn = this.seams.write(nodeStatusResponse(state, [memberName(log, member)], message, { nodeName: log.nodeName, timeMs: wallMs() }));
      }
      this.members.set(member.role, member.connected);
    }
    return canGoOn;
  }
}

/** The name of a member of the pair where Hubble has a node. */
export function memberName(log: FlowLog, { role }: MemberFlows): string {
  return `${log.nodeName}/${role}`;
}

/** @throws AppError USAGE. */
function planOf(request: GetFlowsRequest): Plan {
  if (request.first && request.follow) throw new AppError('USAGE', 'first and follow exclude each other');
  return {
    number: request.number === 0n ? Infinity : Number(request.number),
    isFirst: request.first,
    follows: request.follow,
    sinceMs: request.since === undefined ? -Infinity : boundOf('since', request.since),
    untilMs: request.until === undefined ? Infinity : boundOf('until', request.until),
    matches: compileFilters(request),
    mask: compileFieldMask(request.fieldMask ?? []),
  };
}

function boundOf(name: string, time: Timestamp): number {
  const isTime = time.nanos >= 0 && time.nanos <= NANOS_MAX && Number.isFinite(new Date(Number(time.seconds) * MS_PER_SECOND).getTime());
  if (!isTime) throw new AppError('USAGE', `${name}: ${time.seconds} seconds and ${time.nanos} nanoseconds are no time`);
  return millisecondsOf(time);
}

function timeOf(observed: ObservedFlow): number {
  const { time }: Flow = observed.flow;
  return time === undefined ? observed.timeMs : millisecondsOf(time);
}

function millisecondsOf({ seconds, nanos }: Timestamp): number {
  return Number(seconds) * MS_PER_SECOND + nanos / NS_PER_MS;
}
