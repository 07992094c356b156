import t from 'tap';
import { EDE, nameFromString, RCODE, TYPE } from '@tandem/dns';
import { monoMs } from '../base/seams.js';
import { parseAddress } from '../base/socket-address.js';
import { PolicyIndex } from '../policy/decide.js';
import type { EgressRule, Snapshot } from '../policy/snapshot.js';
import { Counters, type CounterName } from './counters.js';
import type { AnswerSource } from './forward.js';
import { OPENING, type LearnedMapping, type Opening } from './learn.js';
import { QueryPath } from './path.js';
import { type PathSettings, TRY_TIMEOUT_MS } from './settings.js';
import { SLOT, SLOT_FLAG, slotPayload, slotWord, type SlotMemory, type Wire } from './slots.js';

const SLOTS = 16;
const STRIDE = 1024;
const PAYLOAD = 320;
const ANSWER_AT = SLOTS * STRIDE;
const LARGE_AT = ANSWER_AT + 65_536;
const SCRATCH_AT = LARGE_AT + 65_536;

const ORIGIN = { kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'p', path: 'spec.egress[0]' } as const;
const RULE: EgressRule = {
  identities: null,
  fqdns: [],
  ports: [{ first: 53, last: 53, protocol: null }],
  dnsPatterns: [{ matchName: null, matchPattern: '*.k8s.intra.' }],
  origin: ORIGIN,
};

const SNAPSHOT: Snapshot = {
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

interface Reply {
  readonly slot: number;
  readonly bytes: Uint8Array;
}

/** The path over plain memory: what it asks and replies is written down, time and chance are the test's. */
class Rig implements Wire {
  readonly memory: SlotMemory;
  readonly asks: { slot: number; port: number; bytes: Uint8Array; upstream: string }[] = [];
  readonly replies: Reply[] = [];
  readonly drops: number[] = [];
  readonly learned: { endpointId: number; address: string; ttlSeconds: number }[] = [];
  readonly counters = new Counters();
  readonly path: QueryPath;
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
    this.memory.bytes.set(parseAddress(from)!, (word + SLOT.clientAddress) * 4);
    this.memory.bytes.set(packet, slotPayload(this.memory, slot));
    return slot;
  }

  /** The upstream answers the latest question; `change` spoils the source. */
  answer(packet: Uint8Array, change: Partial<{ id: number; port: number; fromPort: number; from: string }> = {}): void {
    const ask = this.asks.at(-1)!;
    const bytes = packet.slice();
    const id = change.id ?? (ask.bytes[0] << 8) | ask.bytes[1];
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
    return this.opening;
  }
}

const EDNS_1232 = [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0];

function question(name: string, type: number): number[] {
  return [...rawName(name), type >> 8, type & 0xff, 0, 1];
}

/** Wire form that keeps the letter case. */
function rawName(name: string): number[] {
  const bytes = [...nameFromString(name)!];
  let at = 1;
  for (const label of name.replace(/\.$/, '').split('.')) {
    for (const [i, c] of [...label].entries()) bytes[at + i] = c.charCodeAt(0);
    at += label.length + 1;
  }
  return bytes;
}

function queryPacket(name: string, options: { id?: number; type?: number; edns?: boolean } = {}): Uint8Array {
  const id = options.id ?? 0x1234;
  const edns = options.edns === true ? EDNS_1232 : [];
  const header = [id >> 8, id & 0xff, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns.length > 0 ? 1 : 0];
  return Uint8Array.from([...header, ...question(name, options.type ?? TYPE.A), ...edns]);
}

type Record = readonly [owner: string, type: number, ttlSeconds: number, data: readonly number[]];

function answerPacket(name: string, records: readonly Record[], options: { type?: number; rcode?: number } = {}): Uint8Array {
  const header = [0, 0, 0x81, 0x80 | (options.rcode ?? 0), 0, 1, records.length >> 8, records.length & 0xff, 0, 0, 0, 0];
  const body = records.flatMap(([owner, type, ttl, data]) => [
    ...rawName(owner), type >> 8, type & 0xff, 0, 1,
    (ttl >>> 24) & 0xff, (ttl >>> 16) & 0xff, (ttl >>> 8) & 0xff, ttl & 0xff, data.length >> 8, data.length & 0xff, ...data,
  ]);
  return Uint8Array.from([...header, ...question(name, options.type ?? TYPE.A), ...body]);
}

const A1: Record = ['echo.k8s.intra.', TYPE.A, 30, [172, 17, 0, 2]];
const rcodeOf = (reply: Reply) => reply.bytes[3] & 0x0f;

t.test('an allowed question goes out under another ID and its answer comes back under the client\'s', (t) => {
  const rig = new Rig();
  rig.query('127.0.1.1', queryPacket('eChO.k8s.intra.'));
  t.equal(rig.asks.length, 1);
  t.equal(rig.asks[0].upstream, '192.0.2.53:5353');
  t.same(rig.asks[0].bytes.subarray(2), queryPacket('eChO.k8s.intra.').subarray(2), 'letter case is kept');
  const packet = answerPacket('eChO.k8s.intra.', [A1]);
  rig.answer(packet);
  t.equal(rig.replies.length, 1);
  t.same(rig.replies[0].bytes.subarray(2), packet.subarray(2));
  t.same([...rig.replies[0].bytes.subarray(0, 2)], [0x12, 0x34]);
  t.same(rig.learned, [{ endpointId: 7, address: '172.17.0.2', ttlSeconds: 30 }]);
  t.equal(rig.path.underWay, 0);
  t.end();
});

t.test('a forbidden name is refused with an Extended DNS Error only for clients that speak EDNS', (t) => {
  const rig = new Rig();
  rig.query('127.0.1.1', queryPacket('bbc.co.uk.', { edns: true }));
  rig.query('127.0.1.1', queryPacket('bbc.co.uk.'));
  t.equal(rig.asks.length, 0);
  t.same(rig.replies.map(rcodeOf), [RCODE.refused, RCODE.refused]);
  t.same([...rig.replies[0].bytes.subarray(-6)], [0, 15, 0, 2, 0, EDE.blocked]);
  t.equal(rig.replies[1].bytes[11], 0, 'no additional record');
  t.equal(rig.count('denied'), 2);
  t.end();
});

t.test('the reject code is NXDOMAIN where the flag says so', (t) => {
  const rig = new Rig({ rejectRcode: RCODE.nxDomain });
  rig.query('127.0.1.1', queryPacket('bbc.co.uk.'));
  t.equal(rcodeOf(rig.replies[0]), RCODE.nxDomain);
  t.end();
});

t.test('strangers are refused, or let through where the flag says so', (t) => {
  const rig = new Rig();
  rig.query('127.0.1.99', queryPacket('echo.k8s.intra.'));
  t.equal(rcodeOf(rig.replies[0]), RCODE.refused);
  const open = new Rig({ unknownEndpoint: 'allow' });
  open.query('127.0.1.99', queryPacket('echo.k8s.intra.'));
  open.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.equal(open.replies.length, 1);
  t.equal(open.learned.length, 0, 'nobody to learn for');
  t.end();
});

t.test('a pod without policy may ask anything, and without a snapshot nobody may', (t) => {
  const rig = new Rig();
  rig.query('127.0.1.2', queryPacket('bbc.co.uk.'));
  t.equal(rig.asks.length, 1);
  const blank = new Rig();
  const path = new QueryPath(
    blank.settings,
    { memory: blank.memory, wire: blank, sink: { learned: () => OPENING.open }, random: { int: () => 0 }, counters: blank.counters },
  );
  const packet = queryPacket('echo.k8s.intra.');
  blank.memory.words[SLOT.length] = packet.length;
  blank.memory.bytes.set(packet, PAYLOAD);
  path.onQuery(0);
  t.equal(rcodeOf(blank.replies[0]), RCODE.refused);
  t.equal(blank.count('no_snapshot'), 1);
  t.end();
});

t.test('audit mode lets refused questions through and counts them', (t) => {
  const rig = new Rig({ auditMode: true });
  rig.query('127.0.1.1', queryPacket('bbc.co.uk.'));
  t.equal(rig.asks.length, 1);
  t.equal(rig.count('audited'), 1);
  t.end();
});

t.test('answers that differ in ID, port, server, server port or question are not the answer', (t) => {
  const rig = new Rig();
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  const packet = answerPacket('echo.k8s.intra.', [A1]);
  const id = ((rig.asks[0].bytes[0] << 8) | rig.asks[0].bytes[1]) ^ 1;
  rig.answer(packet, { id });
  rig.answer(packet, { port: rig.asks[0].port ^ 1 });
  rig.answer(packet, { from: '192.0.2.54' });
  rig.answer(packet, { fromPort: 53 });
  rig.answer(answerPacket('evil.k8s.intra.', [A1]));
  rig.answer(answerPacket('echo.k8s.intra.', [A1], { type: TYPE.AAAA }));
  rig.answer(packet.subarray(0, 11));
  t.equal(rig.replies.length, 0);
  t.equal(rig.count('upstream_unmatched'), 7);
  rig.answer(packet);
  t.equal(rig.replies.length, 1);
  rig.answer(packet);
  t.equal(rig.replies.length, 1, 'the second copy has no question any more');
  t.end();
});

t.test('a broken answer is not passed on; the true one is awaited', (t) => {
  const rig = new Rig();
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  const packet = answerPacket('echo.k8s.intra.', [A1]);
  rig.answer(packet.subarray(0, packet.length - 2));
  t.equal(rig.replies.length, 0);
  t.equal(rig.count('upstream_malformed'), 1);
  rig.answer(packet);
  t.equal(rig.replies.length, 1);
  t.end();
});

t.test('bytes behind an answer do no harm, and one that is cut with TC set sends the client to TCP', (t) => {
  const rig = new Rig();
  const packet = answerPacket('echo.k8s.intra.', [A1]);
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(Uint8Array.from([...packet, 0]));
  t.equal(rig.replies.length, 1);
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(packet.slice(0, packet.length - 2).map((byte, i) => (i === 2 ? byte | 2 : byte)));
  t.equal(rig.replies.length, 2);
  t.equal(rig.replies[1].bytes[2] & 2, 2, 'TC');
  t.same(rig.replies[1].bytes.subarray(12), queryPacket('echo.k8s.intra.').subarray(12), 'the question');
  t.same([...rig.replies[1].bytes.subarray(4, 12)], [0, 1, 0, 0, 0, 0, 0, 0]);
  t.equal(rig.learned.length, 1);
  t.end();
});

t.test('the answer to the first try counts while the second one is under way', (t) => {
  const upstreams = ['192.0.2.53', '192.0.2.54'].map((a) => ({ address: parseAddress(a)!, port: 53 }));
  const rig = new Rig({ upstreams });
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.pass(TRY_TIMEOUT_MS);
  const [first, second] = rig.asks;
  t.not(first.port, second.port);
  const packet = answerPacket('echo.k8s.intra.', [A1]);
  const idOf = (bytes: Uint8Array) => (bytes[0] << 8) | bytes[1];
  rig.answer(packet, { id: idOf(first.bytes), from: '192.0.2.54', port: first.port });
  rig.answer(packet, { id: idOf(first.bytes), from: '192.0.2.53', port: second.port });
  t.equal(rig.replies.length, 0, 'each try has its own server and port');
  rig.answer(packet, { id: idOf(first.bytes), from: '192.0.2.53', port: first.port });
  t.equal(rig.replies.length, 1);
  rig.answer(packet, { id: idOf(second.bytes), from: '192.0.2.54', port: second.port });
  t.equal(rig.replies.length, 1);
  t.equal(rig.path.underWay, 0);
  t.end();
});

t.test('an upstream that cannot be reached is passed over', (t) => {
  const upstreams = ['192.0.2.53', '192.0.2.54'].map((a) => ({ address: parseAddress(a)!, port: 53 }));
  const rig = new Rig({ upstreams });
  rig.path.setPorts([[], [7]]);
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  t.same(rig.asks.map((ask) => ask.upstream), ['192.0.2.54:53']);
  rig.path.setPorts([[], []]);
  rig.query('127.0.1.1', queryPacket('b.k8s.intra.'));
  t.equal(rig.asks.length, 1, 'nobody to ask');
  rig.pass(TRY_TIMEOUT_MS);
  rig.pass(TRY_TIMEOUT_MS);
  t.equal(rig.replies.length, 2, 'and still an answer');
  t.end();
});

t.test('an error answer without a question is passed on', (t) => {
  const rig = new Rig();
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(Uint8Array.from([0, 0, 0x81, 0x85, 0, 0, 0, 0, 0, 0, 0, 0]));
  t.equal(rcodeOf(rig.replies[0]), RCODE.refused);
  t.end();
});

t.test('a silent upstream is asked twice, elsewhere if possible, then the client gets SERVFAIL', (t) => {
  const upstreams = ['192.0.2.53', '192.0.2.54'].map((a) => ({ address: parseAddress(a)!, port: 53 }));
  const rig = new Rig({ upstreams });
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.', { edns: true }));
  rig.pass(TRY_TIMEOUT_MS - 1);
  t.equal(rig.asks.length, 1);
  rig.pass(1);
  t.same(rig.asks.map((ask) => ask.upstream), ['192.0.2.53:53', '192.0.2.54:53']);
  t.not(rig.asks[0].bytes.subarray(0, 2).join(), rig.asks[1].bytes.subarray(0, 2).join(), 'another ID');
  rig.pass(TRY_TIMEOUT_MS);
  t.equal(rcodeOf(rig.replies[0]), RCODE.servFail);
  t.same([...rig.replies[0].bytes.subarray(0, 2)], [0x12, 0x34]);
  t.equal(rig.replies[0].bytes.at(-1), EDE.noReachableAuthority);
  t.equal(rig.path.underWay, 0);
  t.equal(rig.path.nextDeadlineMs(), Infinity);
  t.end();
});

t.test('packets that are no question get FORMERR or NOTIMP, answers and scraps get nothing', (t) => {
  const rig = new Rig();
  const packet = queryPacket('echo.k8s.intra.');
  const change = (at: number, value: number) => packet.map((byte, i) => (i === at ? value : byte));
  rig.query('127.0.1.1', change(5, 2));
  rig.query('127.0.1.1', change(5, 0));
  rig.query('127.0.1.1', packet.subarray(0, 20));
  rig.query('127.0.1.1', change(2, 0x28));
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.', { type: TYPE.AXFR }));
  t.same(rig.replies.map(rcodeOf), [RCODE.formErr, RCODE.formErr, RCODE.formErr, RCODE.notImp, RCODE.notImp]);
  rig.query('127.0.1.1', change(2, 0x81));
  rig.query('127.0.1.1', packet.subarray(0, 11));
  t.equal(rig.replies.length, 5);
  t.equal(rig.drops.length, 2);
  t.end();
});

t.test('only what stands on the alias chain from the question is learned', (t) => {
  const cname = (owner: string, target: string, ttl: number): Record => [owner, TYPE.CNAME, ttl, rawName(target)];
  const cases: { says: string; records: readonly Record[]; learned: string[]; offChain: number }[] = [
    { says: 'chain', records: [cname('echo.k8s.intra.', 'b.test.', 5), ['b.test.', TYPE.A, 9, [1, 1, 1, 1]]], learned: ['1.1.1.1 5'], offChain: 0 },
    { says: 'order does not matter', records: [['b.test.', TYPE.A, 9, [1, 1, 1, 1]], cname('echo.k8s.intra.', 'B.test.', 50)], learned: ['1.1.1.1 9'], offChain: 0 },
    { says: 'other owner', records: [A1, ['evil.test.', TYPE.A, 9, [6, 6, 6, 6]]], learned: ['172.17.0.2 30'], offChain: 1 },
    { says: 'address at a link in between', records: [cname('echo.k8s.intra.', 'b.test.', 5), A1], learned: [], offChain: 1 },
    { says: 'loop', records: [cname('echo.k8s.intra.', 'b.test.', 5), cname('b.test.', 'echo.k8s.intra.', 5), A1], learned: [], offChain: 1 },
    { says: 'the other family', records: [['echo.k8s.intra.', TYPE.AAAA, 9, new Array<number>(16).fill(1)]], learned: [`${new Array(16).fill(1).join(':')} 9`], offChain: 0 },
    { says: 'a TTL of a year', records: [['echo.k8s.intra.', TYPE.A, 31_536_000, [1, 1, 1, 1]]], learned: ['1.1.1.1 604800'], offChain: 0 },
    { says: 'data of another length', records: [['echo.k8s.intra.', TYPE.A, 9, new Array<number>(16).fill(1)]], learned: [], offChain: 0 },
    { says: 'TTL with its highest bit set', records: [['echo.k8s.intra.', TYPE.A, 0x80000001, [1, 1, 1, 1]]], learned: ['1.1.1.1 0'], offChain: 0 },
  ];
  for (const { says, records, learned, offChain } of cases) {
    const rig = new Rig();
    rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
    rig.answer(answerPacket('echo.k8s.intra.', records));
    t.same(rig.learned.map((m) => `${m.address} ${m.ttlSeconds}`), learned, says);
    t.equal(rig.count('off_chain'), offChain, says);
    t.equal(rig.replies.length, 1, says);
  }
  const seventeen = Array.from({ length: 17 }, (_, i) => cname(i === 0 ? 'echo.k8s.intra.' : `n${i}.test.`, `n${i + 1}.test.`, 9));
  for (const [links, expected] of [[16, 1], [17, 0]]) {
    const rig = new Rig();
    rig.query('127.0.1.1', queryPacket('echo.k8s.intra.', { edns: true }));
    rig.answer(answerPacket('echo.k8s.intra.', [...seventeen.slice(0, links), [`n${links}.test.`, TYPE.A, 9, [1, 1, 1, 1]]]));
    t.equal(rig.learned.length, expected, `${links} links`);
  }
  t.end();
});

t.test('address hints of HTTPS records are learned', (t) => {
  const rig = new Rig();
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.', { type: TYPE.HTTPS }));
  const data = [0, 1, 0, 0, 4, 0, 8, 1, 1, 1, 1, 2, 2, 2, 2, 0, 6, 0, 16, ...new Array<number>(16).fill(9)];
  rig.answer(answerPacket('echo.k8s.intra.', [['echo.k8s.intra.', TYPE.HTTPS, 60, data]], { type: TYPE.HTTPS }));
  t.same(rig.learned.map((m) => m.address), ['1.1.1.1', '2.2.2.2', new Array(16).fill(9).join(':')]);
  t.end();
});

t.test('a mapping is passed on again once it lives longer by a sixth of its TTL, a second at least', (t) => {
  for (const [ttlSeconds, dueMs] of [[30, 5000], [12, 2000], [2, 1000], [86_400, 5000]]) {
    const rig = new Rig();
    const ask = () => {
      rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
      rig.answer(answerPacket('echo.k8s.intra.', [['echo.k8s.intra.', TYPE.A, ttlSeconds, [172, 17, 0, 2]]]));
    };
    ask();
    rig.nowMs += dueMs - 1;
    ask();
    t.equal(rig.learned.length, 1, `TTL ${ttlSeconds}`);
    rig.nowMs += 1;
    ask();
    t.equal(rig.learned.length, 2, `TTL ${ttlSeconds}`);
    rig.path.forgetMappings();
    ask();
    t.equal(rig.learned.length, 3, `TTL ${ttlSeconds}`);
  }
  t.end();
});

t.test('an answer waits for the datapath, but no longer than the deadline', (t) => {
  const rig = new Rig();
  rig.opening = OPENING.pending;
  const slot = rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.equal(rig.replies.length, 0);
  rig.path.onOpened(slot, rig.lastAnswer - 1);
  t.equal(rig.replies.length, 0, 'the opening of an earlier answer');
  rig.path.onOpened(slot, rig.lastAnswer);
  t.equal(rig.replies.length, 1);

  rig.path.forgetMappings();
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  rig.pass(99);
  t.equal(rig.replies.length, 1);
  rig.pass(1);
  t.equal(rig.replies.length, 2);
  t.equal(rig.count('hold_timeout'), 1);
  t.equal(rig.path.underWay, 0);
  t.end();
});

t.test('an answer larger than the client takes is cut, and whole over TCP', (t) => {
  const records = Array.from({ length: 60 }, (_, i): Record => ['echo.k8s.intra.', TYPE.A, 30, [10, 0, 0, i]]);
  const packet = answerPacket('echo.k8s.intra.', records);
  const rig = new Rig();
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(packet);
  t.ok((rig.replies[0].bytes[2] & 2) !== 0, 'TC');
  t.ok(rig.replies[0].bytes.length <= 512);
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.', { edns: true }));
  rig.answer(packet);
  t.equal(rig.replies[1].bytes[2] & 2, 0, 'compressed, it fits 1232 bytes');
  t.ok(rig.replies[1].bytes.length <= 1232);
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'), { tcp: true });
  rig.answer(packet);
  t.same(rig.replies[2].bytes.subarray(2), packet.subarray(2));
  const plain = new Rig({ dnsCompression: false });
  plain.query('127.0.1.1', queryPacket('echo.k8s.intra.', { edns: true }));
  plain.answer(packet);
  t.ok((plain.replies[0].bytes[2] & 2) !== 0, 'TC without compression');
  t.end();
});

t.test('over the concurrency limit a query waits for its grace period, then gets SERVFAIL', (t) => {
  const rig = new Rig({ concurrencyLimit: 1, concurrencyGraceMs: 200 });
  rig.query('127.0.1.1', queryPacket('a.k8s.intra.'));
  rig.query('127.0.1.1', queryPacket('b.k8s.intra.'));
  rig.query('127.0.1.1', queryPacket('c.k8s.intra.'));
  t.equal(rig.asks.length, 1);
  rig.nowMs += 100;
  rig.answer(answerPacket('a.k8s.intra.', [A1]));
  t.equal(rig.asks.length, 2, 'the longest waiting goes next');
  rig.query('127.0.1.1', queryPacket('d.k8s.intra.'));
  t.equal(rig.asks.length, 2, 'nobody overtakes');
  rig.pass(100);
  t.equal(rig.replies.length, 2);
  t.equal(rcodeOf(rig.replies[1]), RCODE.servFail);
  t.equal(rig.count('semaphore_rejected'), 1);
  const strict = new Rig({ concurrencyLimit: 1 });
  strict.query('127.0.1.1', queryPacket('a.k8s.intra.'));
  strict.query('127.0.1.1', queryPacket('b.k8s.intra.'));
  t.equal(rcodeOf(strict.replies[0]), RCODE.servFail);
  t.end();
});

t.test('when slots are short the heaviest client pays, and refusals still go out', (t) => {
  const rig = new Rig({ slotsForQueries: 4 });
  for (let i = 0; i < 4; i++) rig.query('127.0.1.1', queryPacket(`n${i}.k8s.intra.`, { id: i }));
  t.equal(rig.asks.length, 4);
  rig.query('127.0.1.2', queryPacket('polite.test.', { id: 100 }));
  t.equal(rig.asks.length, 5, 'the polite client is served');
  t.same([rcodeOf(rig.replies[0]), rig.replies[0].bytes[1]], [RCODE.servFail, 0], 'the oldest query of the heavy one is shed');
  rig.query('127.0.1.1', queryPacket('more.k8s.intra.', { id: 50 }));
  t.same([rcodeOf(rig.replies[1]), rig.replies[1].bytes[1]], [RCODE.servFail, 50], 'the heavy one gets no more');
  rig.query('127.0.1.1', queryPacket('bbc.co.uk.'));
  t.equal(rcodeOf(rig.replies[2]), RCODE.refused);
  t.end();
});

t.test('a broken stream to the upstream counts as a try', (t) => {
  const rig = new Rig();
  const slot = rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'), { tcp: true });
  const idOf = (bytes: Uint8Array) => (bytes[0] << 8) | bytes[1];
  rig.path.onAskFailed(slot, idOf(rig.asks[0].bytes));
  t.equal(rig.asks.length, 2);
  rig.path.onAskFailed(slot, idOf(rig.asks[0].bytes));
  t.equal(rig.replies.length, 0, 'the first ID is not asked under any more');
  rig.path.onAskFailed(slot, idOf(rig.asks[1].bytes));
  t.equal(rcodeOf(rig.replies[0]), RCODE.servFail);
  t.end();
});

t.test('a query taken over is asked anew under its own ID; one that may kill, or that has outlived two owners, is answered unread', (t) => {
  const rig = new Rig();
  const taken = (deaths: number, isGone: boolean, wasReading: boolean) => {
    const slot = rig.place('127.0.1.1', queryPacket('echo.k8s.intra.', { id: 0x4321 }));
    const word = slotWord(rig.memory, slot);
    rig.memory.words[word + SLOT.deaths] = deaths;
    rig.memory.words[word + SLOT.clientId] = 0x1_1234;
    rig.path.onTaken(slot, { isGone, wasReading });
    return slot;
  };
  taken(0, true, false);
  t.equal(rig.asks.length, 1);
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.same([...rig.replies[0].bytes.subarray(0, 2)], [0x12, 0x34]);
  taken(0, true, true);
  taken(1, true, false);
  t.equal(rig.asks.length, 1);
  t.same(rig.replies.slice(1).map((r) => [...r.bytes]), new Array(2).fill([0x12, 0x34, 0x80, 2, 0, 0, 0, 0, 0, 0, 0, 0]));
  taken(5, false, false);
  t.equal(rig.asks.length, 2, 'an owner that is only slow says nothing against a query');
  t.equal(rig.count('taken'), 4);
  t.equal(rig.count('taken_unparsed'), 2);
  t.end();
});

t.test('while an address is being opened, every answer with it waits for that', (t) => {
  const rig = new Rig();
  rig.opening = OPENING.pending;
  const first = rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  const firstAnswer = rig.lastAnswer;
  const second = rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.equal(rig.learned.length, 2);
  t.equal(rig.replies.length, 0);
  rig.path.onOpened(first, firstAnswer);
  t.equal(rig.replies.length, 1);
  rig.path.onOpened(second, rig.lastAnswer);
  t.equal(rig.replies.length, 2);

  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.equal(rig.replies.length, 3, 'it is open now');
  t.equal(rig.learned.length, 2);
  t.end();
});

t.test('an address that was not open in time is waited for again', (t) => {
  const rig = new Rig();
  rig.opening = OPENING.pending;
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  rig.pass(100);
  t.equal(rig.replies.length, 1);
  const slot = rig.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  rig.answer(answerPacket('echo.k8s.intra.', [A1]));
  t.equal(rig.replies.length, 1);
  rig.path.onOpened(slot, rig.lastAnswer);
  t.equal(rig.replies.length, 2);
  t.end();
});
