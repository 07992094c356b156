/**
 * What one query costs from its arrival to its answer, sockets left out, without and with the limits of a policy: `npm run bench:micro -- --only path`.
 * Each case has a path of its own.
 */
import { RCODE } from '@tandem/dns';
import { monoMs } from '../base/seams.js';
import { parseAddress } from '../base/socket-address.js';
import { PolicyIndex } from '../policy/decide.js';
import type { FqdnSelector, QueryLimits } from '../policy/snapshot.js';
import { Counters } from './counters.js';
import { NO_FLOWS } from './flow-sink.js';
import type { AnswerSource } from './forward.js';
import { OPENING } from './learn.js';
import { QueryPath } from './path.js';
import type { PathSettings } from './settings.js';
import { SLOT, slotWord, type SlotMemory, type Wire } from './slots.js';
import { A1, answerPacket, queryPacket } from './testing/packets.js';
import { limitedSnapshot, SNAPSHOT } from './testing/rig.js';

const SLOTS = 16;
const STRIDE = 1024;
const PAYLOAD = 320;
const ANSWER_AT = SLOTS * STRIDE;
const SCRATCH_AT = ANSWER_AT + 4096;
const UPSTREAM = parseAddress('192.0.2.53')!;
const SOURCE: AnswerSource = { words: new Uint32Array(UPSTREAM.slice().buffer), addressAt: 0, fromPort: 53, port: 0 };

const SETTINGS: PathSettings = {
  upstreams: [{ address: UPSTREAM, port: 53 }], policyPort: 53, unknownEndpoint: 'refuse', auditMode: false,
  rejectRcode: RCODE.refused, searchDomains: null, dnsCompression: true, concurrencyLimit: 0, concurrencyGraceMs: 0,
  responseMaxDelayMs: 100, slotsForQueries: 12, minTtlSeconds: 0,
};

class Case {
  readonly what: string;
  replies = 0;
  private readonly bytes = new Uint8Array(SCRATCH_AT + 4096);
  private readonly memory: SlotMemory = {
    bytes: this.bytes, words: new Uint32Array(this.bytes.buffer), slotCount: SLOTS, firstSlotOffset: 0, slotStride: STRIDE, payloadOffset: PAYLOAD,
  };
  private readonly path: QueryPath;
  private readonly query: Uint8Array;
  private readonly answer = answerPacket('echo.k8s.intra.', [A1]);
  private nowMs = 0;

  constructor(what: string, options: { limits?: QueryLimits; settings?: Partial<PathSettings>; name?: string }) {
    this.what = what;
    this.query = queryPacket(options.name ?? 'echo.k8s.intra.', { edns: true });
    const { bytes } = this;
    const wire: Wire = {
      // The ID goes where the answer to this question is put.
      ask: (slot) => bytes.copyWithin(ANSWER_AT, slot * STRIDE + PAYLOAD, slot * STRIDE + PAYLOAD + 2),
      clientPort: () => -1,
      reply: () => this.replies++,
      drop: () => undefined,
      scratch: () => SCRATCH_AT,
      largeScratch: () => -1,
    };
    let draws = 0;
    const random = { int: (below: number) => (draws = (draws * 31 + 17) % 65_521) % below };
    const sink = { learned: () => OPENING.open };
    this.path = new QueryPath({ ...SETTINGS, ...options.settings }, { memory: this.memory, wire, sink, random, counters: new Counters(), flows: NO_FLOWS });
    this.path.setPorts([[0]]);
    this.path.setPolicy(PolicyIndex.build(options.limits === undefined ? SNAPSHOT : limitedSnapshot(options.limits), null));
    bytes.set(this.answer, ANSWER_AT);
    bytes.set(parseAddress('127.0.1.1')!, (slotWord(this.memory, 0) + SLOT.clientAddress) * 4);
    this.memory.words[slotWord(this.memory, 0) + SLOT.length] = this.query.length;
  }

  run(count: number): void {
    const { bytes, memory, path, query, answer } = this;
    const word = slotWord(memory, 0);
    const before = this.replies;
    for (let i = 0; i < count; i++) {
      memory.words[word + SLOT.clientId] = 0;
      bytes.set(query, PAYLOAD);
      path.startBatch(monoMs(this.nowMs++));
      path.onQuery(0);
      if (path.underWay > 0) path.onAnswer(bytes, ANSWER_AT, answer.length, SOURCE);
    }
    if (this.replies !== before + count) throw new Error(`${this.what}: ${this.replies - before} replies`);
  }
}

const patterns = Array.from({ length: 10_000 }, (_, i): FqdnSelector => ({ matchName: null, matchPattern: `*.d${i}.test.` }));
const own: FqdnSelector = { matchName: null, matchPattern: '*.k8s.intra.' };
const searchDomains = { cluster: 'cluster.local', others: ['corp.example'] };
const cases = [
  new Case('no limits', {}),
  new Case('search domains, allowed name', { settings: { searchDomains } }),
  new Case('query rate', { limits: { queryRate: 1_000_000 } }),
  new Case('label entropy', { limits: { labelEntropyBits: 150 } }),
  new Case('label entropy, every label looked at', { limits: { labelEntropyBits: 1, auditEntropy: true } }),
  new Case('private names, 10,001 patterns', { limits: { privateNames: [...patterns, own] } }),
  new Case('private names, kept back', { limits: { privateNames: patterns } }),
  new Case('refused', { name: 'bbc.co.uk.default.svc.cluster.local.' }),
  new Case('refused, search domains', { name: 'bbc.co.uk.default.svc.cluster.local.', settings: { searchDomains } }),
];
export const subjects: Readonly<Record<string, (count: number) => void>> = Object.fromEntries(cases.map((one) => [one.what, (count) => { one.run(count); }]));
