/**
 * The query path over plain memory: what it asks and replies is written down, time and chance are the test's. One pod with a policy
 * (127.0.1.1), one without (127.0.1.2).
 */
import { RCODE } from '@tandem/dns';
import { monoMs } from '../../base/seams.js';
import { parseAddress } from '../../base/socket-address.js';
import { PolicyIndex } from '../../policy/decide.js';
import type { PolicyRule, QueryLimits, Snapshot } from '../../policy/snapshot.js';
import { Counters, type CounterName } from '../counters.js';
import { type FlowSink, OUTCOME, type Outcome } from '../flow-sink.js';
import type { AnswerSource } from '../forward.js';
import { OPENING, type LearnedMapping, type Opening } from '../learn.js';
import { QueryPath } from '../path.js';
import type { PathSettings } from '../settings.js';
import { setReceivedAtMs, SLOT, SLOT_FLAG, slotPayload, slotWord, type SlotMemory, type Wire } from '../slots.js';
import { idOf } from './packets.js';

const SLOTS = 16;
const STRIDE = 1024;
export const PAYLOAD = 320;
const ANSWER_AT = SLOTS * STRIDE;
const LARGE_AT = ANSWER_AT + 65_536;
const SCRATCH_AT = LARGE_AT + 65_536;

const ORIGIN = { kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'p', path: 'spec.egress[0]' } as const;
const RULE: PolicyRule = {
  identities: null,
  fqdns: [],
  ports: [{ first: 53, last: 53, protocol: null }],
  dnsPatterns: [{ matchName: null, matchPattern: '*.k8s.intra.' }],
  origin: ORIGIN,
};

export const SNAPSHOT: Snapshot = {
  revision: 1,
  hash: '00',
  nodeName: 'node',
  endpoints: [
    { id: 7, uid: 'uid-a', namespace: 'default', pod: 'a', identity: 256, addresses: ['127.0.1.1'], ruleSet: 0 },
    { id: 8, uid: 'uid-b', namespace: 'default', pod: 'b', identity: 257, addresses: ['127.0.1.2', '::2'], ruleSet: null },
  ],
  identities: [],
  services: [],
  ruleSets: [{ key: 'k', rules: [RULE] }],
  fqdnSelectors: [],
  policies: [],
};

/** The same with these limits for the pod that has a policy. */
export function limitedSnapshot(limits: QueryLimits): Snapshot {
  return { ...SNAPSHOT, ruleSets: [{ key: 'k', rules: [RULE], limits }] };
}

interface Reply {
  readonly slot: number;
  readonly bytes: Uint8Array;
}

/** What the path told of a query that is over. */
export interface FlowNote {
  readonly slot: number;
  readonly outcome: Outcome;
  /** `answered`: nothing. */
  readonly audited: Outcome;
  readonly endpointId: number;
  readonly rule: number;
  readonly revision: number;
  readonly atMs: number;
  readonly bytes: Uint8Array;
}

/** Writes down what the path tells. */
class FlowNotes implements FlowSink {
  readonly all: FlowNote[] = [];
  private readonly open = new Map<number, Pick<FlowNote, 'endpointId' | 'rule' | 'revision' | 'outcome' | 'audited'>>();
  private nowMs = 0;
  private revision = 0;

  startBatch(nowMs: number): void {
    this.nowMs = nowMs;
  }

  setRevision(revision: number): void {
    this.revision = revision;
  }

  decided(slot: number, endpointId: number, rule: number): void {
    this.open.set(slot, { endpointId, rule, revision: this.revision, outcome: OUTCOME.answered, audited: OUTCOME.answered });
  }

  audited(slot: number, audited: Outcome): void {
    this.open.set(slot, { ...this.open.get(slot)!, audited });
  }

  end(slot: number, outcome: Outcome): void {
    this.open.set(slot, { ...this.open.get(slot)!, outcome });
  }

  answer(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    this.all.push({ slot, atMs: this.nowMs, bytes: bytes.slice(offset, offset + length), ...this.open.get(slot)! });
    this.open.delete(slot);
  }
}

export class Rig implements Wire {
  readonly memory: SlotMemory;
  readonly asks: { slot: number; port: number; bytes: Uint8Array; upstream: string }[] = [];
  readonly replies: Reply[] = [];
  readonly drops: number[] = [];
  readonly learned: { endpointId: number; address: string; ttlSeconds: number }[] = [];
  /** Of those in `learned`, whether they were renewals. */
  readonly renewals: boolean[] = [];
  readonly counters = new Counters();
  readonly path: QueryPath;
  readonly notes = new FlowNotes();
  readonly settings: PathSettings;
  opening: Opening = OPENING.open;
  lastAnswer = 0;
  nowMs = 1000;
  private readonly free = Array.from({ length: SLOTS }, (_, slot) => SLOTS - 1 - slot);
  private draws = 0;

  constructor(settings: Partial<PathSettings> = {}) {
    const bytes = new Uint8Array(SCRATCH_AT + 8192);
    this.memory = {
      bytes,
      words: new Uint32Array(bytes.buffer),
      slotCount: SLOTS,
      firstSlotOffset: 0,
      slotStride: STRIDE,
      payloadOffset: PAYLOAD,
    };
    this.settings = {
      upstreams: [{ address: parseAddress('192.0.2.53')!, port: 5353 }],
      policyPort: 53,
      unknownEndpoint: 'refuse',
      auditMode: false,
      rejectRcode: RCODE.refused,
      searchDomains: null,
      dnsCompression: true,
      concurrencyLimit: 0,
      concurrencyGraceMs: 0,
      responseMaxDelayMs: 100,
      slotsForQueries: 12,
      minTtlSeconds: 0,
      ...settings,
    };
    this.path = new QueryPath(this.settings, {
      memory: this.memory,
      wire: this,
      sink: { learned: (mapping) => this.note(mapping) },
      random: { int: (below) => (this.draws = (this.draws * 31 + 17) % 65_521) % below },
      counters: this.counters,
      flows: this.notes,
    });
    this.path.setPorts(this.settings.upstreams.map((_, i) => [4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3]));
    this.path.setPolicy(PolicyIndex.build(SNAPSHOT, null));
  }

  ask(slot: number, port: number): void {
    const word = slotWord(this.memory, slot);
    const payload = slotPayload(this.memory, slot);
    const upstream = this.memory.bytes.subarray((word + SLOT.upstreamAddress) * 4).subarray(12, 16).join('.');
    const bytes = this.memory.bytes.slice(payload, payload + this.memory.words[word]);
    this.asks.push({ slot, port, bytes, upstream: `${upstream}:${this.memory.words[word + SLOT.upstreamPort]}` });
  }

  clientPort(): number {
    return -1;
  }

  reply(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    this.replies.push({ slot, bytes: bytes.slice(offset, offset + length) });
    this.free.push(slot);
  }

  drop(slot: number): void {
    this.drops.push(slot);
    this.free.push(slot);
  }

  scratch(): number {
    return SCRATCH_AT;
  }

  largeScratch(): number {
    return LARGE_AT;
  }

  /** A datagram arrives. */
  query(from: string, packet: Uint8Array, options: { tcp?: boolean } = {}): number {
    const slot = this.place(from, packet, options);
    this.path.startBatch(monoMs(this.nowMs));
    this.path.onQuery(slot);
    return slot;
  }

  /** Puts a datagram into a free slot. */
  place(from: string, packet: Uint8Array, options: { tcp?: boolean } = {}): number {
    const slot = this.free.pop()!;
    const word = slotWord(this.memory, slot);
    this.memory.words.fill(0, word, word + PAYLOAD / 4);
    this.memory.words[word + SLOT.length] = packet.length;
    this.memory.words[word + SLOT.flags] = options.tcp === true ? SLOT_FLAG.tcp : 0;
    setReceivedAtMs(this.memory, slot, this.nowMs);
    this.memory.bytes.set(parseAddress(from)!, (word + SLOT.clientAddress) * 4);
    this.memory.bytes.set(packet, slotPayload(this.memory, slot));
    return slot;
  }

  /** The upstream answers the latest question; `change` spoils the source. */
  answer(packet: Uint8Array, change: Partial<{ id: number; port: number; fromPort: number; from: string }> = {}): void {
    const ask = this.asks.at(-1)!;
    const bytes = packet.slice();
    const id = change.id ?? idOf(ask.bytes);
    bytes[0] = id >>> 8;
    bytes[1] = id & 0xff;
    this.memory.bytes.set(bytes, ANSWER_AT);
    const words = new Uint32Array(parseAddress(change.from ?? ask.upstream.split(':')[0])!.slice().buffer);
    const fromPort = change.fromPort ?? Number(ask.upstream.split(':')[1]);
    const source: AnswerSource = { words, addressAt: 0, fromPort, port: change.port ?? ask.port };
    this.path.startBatch(monoMs(this.nowMs));
    this.path.onAnswer(this.memory.bytes, ANSWER_AT, bytes.length, source);
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.path.startBatch(monoMs(this.nowMs));
    this.path.onTick();
  }

  /** From here on this policy decides. */
  enforce(snapshot: Snapshot): void {
    this.path.setPolicy(PolicyIndex.build(snapshot, null));
  }

  count(name: CounterName): number {
    return this.counters.get(name);
  }

  private note(mapping: LearnedMapping): Opening {
    const { endpointId, ttlSeconds } = mapping;
    if (this.opening === OPENING.full) return OPENING.full;
    const bytes = new Uint8Array(mapping.address.slice().buffer);
    const address = bytes[10] === 0xff ? bytes.subarray(12).join('.') : [...bytes].join(':');
    this.lastAnswer = mapping.answer;
    this.learned.push({ endpointId, address, ttlSeconds });
    this.renewals.push(mapping.isRenewal);
    return this.opening;
  }
}
