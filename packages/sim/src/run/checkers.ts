/**
 * What must always hold, looked at where it happens. Each broken promise ends the run.
 *
 * The checkers know the truth (who asked what, which policy was where in force, what upstreams said) and read nothing that
 * the members believe, but for counts and lists that are to be empty.
 */
import type { AppError, LearnedMapping, Mapping, Role } from '@tandem/core';
import { AnswerView, RCODE, scanAnswer, TYPE } from '@tandem/dns';
import { BrokenPromise } from '../base/failure.js';
import { EVENT } from '../base/transcript.js';
import type { Control } from '../member/control.js';
import type { Plane } from '../member/plane.js';
import type { Query } from '../models/datagram.js';
import { FORGED_NET, OFF_CHAIN_NET, TRUE_NET } from '../models/upstream.js';
import { addressText, GivenMappings } from './given-mappings.js';
import { CHANGING_POD, mayAsk, NAMES } from './policies.js';
import type { World } from './world.js';

/**
 * A query's promised 2.5 s, as often as it may change hands by kill, stop or drain while faults last, and the waiting in
 * the sockets of a member that was stopped or short of slots meanwhile.
 */
export const OUTCOME_MS_MAX = 10_000;

/** No policy is in force. */
const NO_POLICY = 0;

interface InForce {
  readonly process: number;
  readonly revision: number;
  readonly fromMs: number;
  toMs: number;
}

export class Checkers {
  /** Answers by RCODE, for the summary. */
  readonly rcodes = new Map<number, number>();
  worstMs = 0;
  excused = 0;
  readonly memory: GivenMappings;
  private readonly world: World;
  private readonly inForce: InForce[] = [];
  private readonly present = new Map<number, InForce>();
  private readonly answer = new AnswerView();

  constructor(world: World) {
    this.world = world;
    this.memory = new GivenMappings(world);
  }

  broken(promise: string): never {
    throw new BrokenPromise(`${promise}, at ${this.world.queue.nowMs.toFixed(3)} ms`);
  }

  /** A data plane begins to turn with this policy, or none. */
  onServing(plane: Plane, revision: number): void {
    if (!this.present.has(plane.process.number)) this.enter(plane, revision);
  }

  onEnforced(plane: Plane, revision: number): void {
    const before = this.present.get(plane.process.number);
    if (before !== undefined && before.revision > revision) {
      this.broken(`process ${plane.process.number} went back from revision ${before.revision} to ${revision}`);
    }
    if (before !== undefined) before.toMs = this.world.queue.nowMs;
    this.enter(plane, revision);
    this.world.note(EVENT.policy, plane.process.number, revision);
  }

  onGone(processNumber: number, control: Control | null): void {
    if (control !== null) this.memory.onGone(control);
    const entry = this.present.get(processNumber);
    if (entry !== undefined) entry.toMs = this.world.queue.nowMs;
  }

  onReading(plane: Plane, slot: number): void {
    const query = plane.journal.datagrams[slot]!.query;
    if (query.name >= 0 && NAMES[query.name].kind === 'poison') {
      this.world.note(EVENT.killed, plane.process.number, 1);
      plane.journal.isDying = true;
      plane.process.die();
    }
  }

  onAsk(plane: Plane, query: Query): void {
    if (query.name < 0) this.broken(`what is no question was forwarded by process ${plane.process.number}`);
    if (!this.allowedSince(query)) this.broken(`${this.text(query)} was forwarded, which no policy in force allowed`);
  }

  /** The path lets an answer go. */
  onRelease(plane: Plane, slot: number, offset: number, length: number): void {
    const { world } = this;
    const { datapath, options } = world;
    if (datapath.mode === 'none') return;
    const { query } = plane.journal.datagrams[slot]!;
    const { bytes } = plane.journal;
    if ((bytes[offset + 3] & 0x0f) !== RCODE.noError || query.name < 0) return;
    const waitedMs = world.clock.nowMs() - (plane.answeredMs.get(query) ?? 0);
    if (waitedMs >= options.responseMaxDelayMs) return;
    if (scanAnswer(bytes, offset, length, this.answer) !== 0) return;
    // Who asked is told by the policy of then, which may have changed for a pod that gives way to another.
    if (query.flow.pod < 0 || query.flow.pod === CHANGING_POD) return;
    const endpointId = plane.endpointIdOf(query.flow.address);
    for (let i = 0; i < this.answer.recordCount; i++) {
      const at = offset + this.answer.dataOffset[i];
      if (netOf(this.answer.recordType[i], bytes, at) !== TRUE_NET) continue;
      const isV6 = this.answer.recordType[i] === TYPE.AAAA;
      const address = addressText(isV6, bytes, isV6 ? at + 12 : at);
      if (!datapath.isOpen(endpointId, address)) {
        this.broken(`${this.text(query)} was answered with ${address} after ${waitedMs} ms, before that was open for endpoint ${endpointId}`);
      }
    }
  }

  /** An answer reaches its client. */
  onReply(query: Query, bytes: Uint8Array, offset: number, length: number): void {
    const rcode = bytes[offset + 3] & 0x0f;
    query.answers++;
    if (query.answers > 1 + query.excused) this.broken(`${this.text(query)} was answered ${query.answers} times`);
    if (query.answers > 1) this.excused++;
    const tookMs = this.world.queue.nowMs - query.sentMs;
    this.worstMs = Math.max(this.worstMs, tookMs);
    this.rcodes.set(rcode, (this.rcodes.get(rcode) ?? 0) + 1);
    if (tookMs > OUTCOME_MS_MAX) this.broken(`${this.text(query)} was answered only after ${tookMs} ms`);
    if (query.name < 0) return;
    if (rcode === RCODE.refused) {
      if (!this.refusedSince(query)) this.broken(`${this.text(query)} was refused, which every policy in force allowed`);
      return;
    }
    // SERVFAIL says nothing about the name: a query that may be deadly gets it unread. That none is asked for is seen above.
    if (rcode === RCODE.servFail) return;
    if (rcode !== RCODE.noError && rcode !== RCODE.nxDomain) this.broken(`${this.text(query)} was answered with RCODE ${rcode}`);
    if (!this.allowedSince(query)) this.broken(`${this.text(query)} was answered, which no policy in force allowed`);
    if (rcode === RCODE.noError) this.sawAddresses(query, bytes, offset, length);
  }

  onLearned(plane: Plane, mapping: LearnedMapping): void {
    const net = mapping.address[3] & 0xff;
    if (net === OFF_CHAIN_NET || net === FORGED_NET) this.broken(`process ${plane.process.number} learned a lie`);
    this.memory.onLearned(plane.journal.datagrams[mapping.slot]!.query, mapping);
  }

  onTurn(plane: Plane, limit: number): void {
    if (plane.path.underWay > limit) this.broken(`process ${plane.process.number} has ${plane.path.underWay} queries under way, of ${limit}`);
  }

  onLinkRefused(control: Control, error: AppError): void {
    this.broken(`process ${control.process.number} could not use its peer's message: ${error.message}`);
  }

  /** Both members, nothing under way, the same policy: what is left over? */
  atRest(controls: Readonly<Record<Role, Control>>): void {
    const open = this.world.openQueries();
    if (open.length > 0) this.broken(`${open.length} queries were never answered, first ${this.text(open[0])}`);
    for (const control of Object.values(controls)) {
      const leak = control.plane?.leaks() ?? 'it does not serve';
      if (leak !== '') this.broken(`process ${control.process.number} at rest: ${leak}`);
      if (control.lag !== 0) this.broken(`process ${control.process.number} at rest: ${control.lag} mappings are not acknowledged`);
      control.cache.collect(control.nowMs());
    }
    this.sameCaches(controls.agent, controls['dns-proxy']);
    const forgotten = this.memory.forgotten(controls.agent);
    if (forgotten !== null) this.broken(`a mapping is forgotten that a client was given: ${forgotten}`);
    const returned = this.memory.returned(controls.agent);
    if (returned !== null) this.broken(`a mapping is there that a clean took: ${returned}`);
  }

  private sameCaches(a: Control, b: Control): void {
    const ours = contentOf(a);
    const theirs = contentOf(b);
    const missing = firstMissing(ours, theirs) ?? firstMissing(theirs, ours);
    if (missing !== null) this.broken(`the caches differ: only one has ${textOf(missing)}`);
  }

  private enter(plane: Plane, revision: number): void {
    const entry = { process: plane.process.number, revision, fromMs: this.world.queue.nowMs, toMs: Infinity };
    this.inForce.push(entry);
    this.present.set(plane.process.number, entry);
  }

  /** Some policy that was in force since the query was sent allows it. */
  private allowedSince(query: Query): boolean {
    const { pod } = query.flow;
    for (let i = this.inForce.length - 1; i >= 0; i--) {
      const { revision, toMs } = this.inForce[i];
      if (toMs >= query.sentMs && revision !== NO_POLICY && mayAsk(revision, pod, NAMES[query.name])) return true;
    }
    return false;
  }

  private refusedSince(query: Query): boolean {
    const { pod } = query.flow;
    return this.inForce.some(({ revision, toMs }) => (
      toMs >= query.sentMs && (revision === NO_POLICY || !mayAsk(revision, pod, NAMES[query.name]))
    ));
  }

  private sawAddresses(query: Query, bytes: Uint8Array, offset: number, length: number): void {
    if (scanAnswer(bytes, offset, length, this.answer) !== 0) return;
    for (let i = 0; i < this.answer.recordCount; i++) {
      const at = offset + this.answer.dataOffset[i];
      const net = netOf(this.answer.recordType[i], bytes, at);
      if (net === TRUE_NET) this.memory.onAnswered(query, this.answer.recordType[i] === TYPE.AAAA, bytes, at);
      if (net === FORGED_NET) this.broken(`${this.text(query)} was given a forged answer`);
    }
  }

  private text(query: Query): string {
    const name = query.name < 0 ? 'no question' : NAMES[query.name].text;
    return `query ${query.number} (${name} from ${query.flow.pod < 0 ? 'a stranger' : `pod ${query.flow.pod}`})`;
  }
}

/** By name: texts that are looked up by their parts need not be made whole. */
type Content = ReadonlyMap<string, readonly Mapping[]>;

function contentOf(control: Control): Content {
  const content = new Map<string, Mapping[]>();
  for (const mapping of control.cache.everything()) {
    const list = content.get(mapping.name);
    if (list === undefined) content.set(mapping.name, [mapping]);
    else list.push(mapping);
  }
  return content;
}

/** Of the first what the second has not. */
function firstMissing(a: Content, b: Content): Mapping | null {
  for (const [name, mappings] of a) {
    const others = b.get(name) ?? [];
    for (const mapping of mappings) if (!others.some((other) => isSame(mapping, other))) return mapping;
  }
  return null;
}

function isSame(a: Mapping, b: Mapping): boolean {
  return a.lookupMs === b.lookupMs && a.expiryMs === b.expiryMs && a.address === b.address && a.endpointUid === b.endpointUid;
}

function textOf({ endpointUid, name, address, lookupMs, expiryMs }: Mapping): string {
  return `${endpointUid} ${name} ${address} ${lookupMs} ${expiryMs}`;
}

/** First byte of the four that the upstream chose; -1 for records without an address. */
function netOf(type: number, bytes: Uint8Array, at: number): number {
  if (type === TYPE.A) return bytes[at];
  return type === TYPE.AAAA ? bytes[at + 12] : -1;
}
