import t from 'tap';
import { AppError, CLEANS_PER_MESSAGE, type Mapping, MAPPINGS_PER_MESSAGE, monoMs } from '@tandem/core';
import { addressFromBytes, addressToBytes } from './address-bytes.js';
import type { Clean as WireClean, Hello, Mapping as WireMapping } from './generated/tandem/pair/v1/pair.js';
import { checkHello, commonVersion, exchangeFromWire, heardMsOf, mappingToWire, PROTOCOL_VERSIONS, seenOf, versionsToWire } from './pair-messages.js';

const mapping: Mapping = {
  endpointUid: 'uid-1', name: 'www.example.', address: '192.0.2.1', lookupMs: monoMs(1000.5), ttlSeconds: 60, expiryMs: monoMs(61_000.5),
};

function changes(mappings: WireMapping[], cleans: WireClean[] = []): unknown {
  return exchangeFromWire({ $case: 'changes', value: { sequence: 1n, revision: 0n, mappings, cleans } });
}

function errorOf(run: () => unknown): unknown {
  try {
    run();
    return null;
  } catch (error) {
    return error;
  }
}

function received(differences: Partial<WireMapping>): unknown {
  return errorOf(() => changes([{ ...mappingToWire(mapping), ...differences }]));
}

const REFUSED: readonly [string, Partial<WireMapping>][] = [
  ['address', { address: Buffer.alloc(0) }],
  ['address', { address: Buffer.alloc(3) }],
  ['address', { address: Buffer.alloc(5) }],
  ['address', { address: Buffer.alloc(15) }],
  ['address', { address: Buffer.alloc(17) }],
  ['endpoint_uid', { endpointUid: '' }],
  ['endpoint_uid', { endpointUid: 'u'.repeat(1025) }],
  ['name', { name: '' }],
  ['name', { name: 'www.example' }],
  ['name', { name: 'n'.repeat(1024) + '.' }],
  ['lookup_ms', { lookupMs: NaN }],
  ['lookup_ms', { lookupMs: -1 }],
  ['lookup_ms', { lookupMs: Infinity }],
  ['lookup_ms', { lookupMs: 1e300 }],
  ['expiry_ms', { expiryMs: NaN }],
  ['expiry_ms', { expiryMs: -1 }],
  ['expiry_ms', { expiryMs: Infinity }],
  ['expiry_ms', { expiryMs: 1e300 }],
  ['expiry_ms', { expiryMs: 1000 }],
  ['ttl_seconds', { ttlSeconds: 0x8000_0000 }],
  ['ttl_seconds', { ttlSeconds: 0xffff_ffff }],
];

for (const [field, changes] of REFUSED) {
  const value = Object.values(changes)[0];
  t.test(`a mapping is refused for its ${field}: ${value instanceof Buffer ? `${value.length} bytes` : String(value).slice(0, 20)}`, (t) => {
    const error = received(changes);
    t.ok(error instanceof AppError);
    t.match(error, { code: 'LINK', details: { field } });
    t.ok((error as AppError).message.length < 250, 'the complaint is short, however long the value');
    t.end();
  });
}

t.test('a mapping at the edge of each range is taken', (t) => {
  for (const changes of [
    { address: Buffer.alloc(4) }, { address: Buffer.alloc(16) }, { endpointUid: 'u' }, { endpointUid: 'u'.repeat(1024) }, { name: '.' },
    { name: 'n'.repeat(1023) + '.' }, { lookupMs: 0 }, { expiryMs: 1000.5 }, { ttlSeconds: 0 }, { ttlSeconds: 0x7fff_ffff },
  ]) {
    t.equal(received(changes), null, Object.keys(changes)[0]);
  }
  t.end();
});

t.test('a message holds so many mappings and cleans at most', (t) => {
  const one = mappingToWire(mapping);
  const mappings = (count: number): WireMapping[] => Array.from({ length: count }, () => one);
  const cleans = (count: number): WireClean[] => Array.from({ length: count }, () => ({ matchPattern: '', endpointUid: '', atMs: 1 }));
  t.equal(errorOf(() => changes(mappings(MAPPINGS_PER_MESSAGE - CLEANS_PER_MESSAGE), cleans(CLEANS_PER_MESSAGE))), null);
  t.match(errorOf(() => changes(mappings(MAPPINGS_PER_MESSAGE), cleans(1))), { code: 'LINK', details: { field: 'changes' } });
  t.match(errorOf(() => changes([], cleans(CLEANS_PER_MESSAGE + 1))), { code: 'LINK', details: { field: 'cleans' } });
  t.strictSame(changes([]), { kind: 'changes', sequence: 1, revision: 0, mappings: [], cleans: [] });
  t.match(errorOf(() => exchangeFromWire({ $case: 'changesAck', value: { sequence: 2n ** 53n } })), { code: 'LINK', details: { field: 'sequence' } });
  t.end();
});

t.test('a clean names a pattern, or all, and a time', (t) => {
  const cleaned = (clean: Partial<WireClean>): unknown => changes([], [{ matchPattern: '', endpointUid: '', atMs: 5, ...clean }]);
  t.match(cleaned({ matchPattern: '*.example.' }), { cleans: [{ matchPattern: '*.example.', endpointUid: null, atMs: 5 }] });
  t.match(cleaned({ endpointUid: 'uid-1', atMs: 0 }), { cleans: [{ matchPattern: null, endpointUid: 'uid-1', atMs: 0 }] });
  for (const atMs of [NaN, -1, Infinity, 1e300]) t.match(errorOf(() => cleaned({ atMs })), { code: 'LINK', details: { field: 'at_ms' } });
  for (const matchPattern of ['a[b', 'x'.repeat(1025)]) {
    t.match(errorOf(() => cleaned({ matchPattern })), { code: 'LINK', details: { field: 'match_pattern' } });
  }
  t.match(errorOf(() => cleaned({ endpointUid: 'u'.repeat(1025) })), { code: 'LINK', details: { field: 'endpoint_uid' } });
  t.end();
});

const RANGES: readonly [own: [number, number], peer: [number, number], common: number | null][] = [
  [[1, 1], [1, 1], 1], [[1, 2], [1, 1], 1], [[1, 1], [1, 2], 1], [[1, 3], [2, 5], 3], [[2, 5], [1, 3], 3], [[2, 3], [1, 2], 2],
  [[1, 1], [2, 3], null], [[2, 3], [1, 1], null], [[1, 2], [3, 3], null], [[1, 1], [0, 1], 1], [[1, 2], [0, 3], null],
  [[1, 2], [2, 1], null], [[1, 1], [0, 0], null], [[1, 1], [2, 1], null],
];

t.test('a pair uses the highest version that both speak, and none where they have none in common', (t) => {
  for (const [own, peer, common] of RANGES) {
    const hello = { protocolMin: peer[0], protocol: peer[1] };
    const what = `${own.join('–')} with ${peer.join('–')}`;
    if (common !== null) t.equal(commonVersion(hello, { min: own[0], max: own[1] }), common, what);
    else t.match(errorOf(() => commonVersion(hello, { min: own[0], max: own[1] })), { code: 'LINK', details: { field: 'protocol' } }, what);
  }
  t.end();
});

t.test('a peer of the expected role and version is welcome, others are not', (t) => {
  const hello: Hello = {
    ...versionsToWire(), role: 'agent', incarnation: 'i', version: '1', snapshotRevision: 0n, snapshotHash: '', verdictSettings: {}, seen: [], sourceHeard: undefined,
  };
  t.equal(checkHello(hello, 'agent'), PROTOCOL_VERSIONS.max);
  t.match(errorOf(() => checkHello(hello, 'dns-proxy')), { code: 'LINK', details: { field: 'role' } });
  for (const incarnation of ['', 'i'.repeat(65)]) {
    t.match(errorOf(() => checkHello({ ...hello, incarnation }, 'agent')), { code: 'LINK', details: { field: 'incarnation' } });
  }
  const seen = (count: number): Hello['seen'] => Array.from({ length: count }, (_, i) => ({ incarnation: `i${i}`, revision: BigInt(i) }));
  t.match(errorOf(() => checkHello({ ...hello, seen: seen(17) }, 'agent')), { code: 'LINK', details: { field: 'seen' } });
  t.equal(seenOf({ ...hello, seen: seen(16) }, 'i15'), 15);
  t.equal(seenOf({ ...hello, seen: seen(16) }, 'other'), null);
  t.match(errorOf(() => seenOf({ ...hello, seen: [{ incarnation: 'i', revision: 2n ** 60n }] }, 'i')), { code: 'LINK', details: { field: 'seen' } });
  t.match(errorOf(() => checkHello({ ...hello, role: '' }, 'agent')), { code: 'LINK', details: { field: 'role' } });
  const many = (count: number, text: string): Hello['verdictSettings'] => Object.fromEntries(Array.from({ length: count }, (_, i) => [`s${i}`, text]));
  t.equal(errorOf(() => checkHello({ ...hello, verdictSettings: many(64, 'x'.repeat(2048)) }, 'agent')), null);
  for (const verdictSettings of [many(65, ''), many(1, 'x'.repeat(2049)), { ['n'.repeat(81)]: '' }]) {
    t.match(errorOf(() => checkHello({ ...hello, verdictSettings }, 'agent')), { code: 'LINK', details: { field: 'verdict_settings' } });
  }
  t.end();
});

t.test('when the source was last heard may be before this boot, or not be known', (t) => {
  t.equal(heardMsOf({ isHeard: false }), null);
  for (const heardMs of [0, 5.5, -86_400_000]) t.equal(heardMsOf({ isHeard: false, heardMs }), heardMs);
  for (const heardMs of [NaN, Infinity, -Infinity, 1e300, -1e300]) {
    t.match(errorOf(() => heardMsOf({ isHeard: false, heardMs })), { code: 'LINK', details: { field: 'heard_ms' } }, String(heardMs));
  }
  t.end();
});

t.test('an address has four bytes or sixteen', (t) => {
  for (const [text, hex] of [
    ['192.0.2.1', 'c0000201'], ['0.0.0.0', '00000000'], ['::', '00'.repeat(16)], ['2001:db8::1', '20010db8000000000000000000000001'],
  ]) {
    t.equal(Buffer.from(addressToBytes(text)).toString('hex'), hex);
    t.equal(addressFromBytes(Buffer.from(hex, 'hex')), text);
  }
  t.equal(addressFromBytes(Buffer.from('00000000000000000000ffffc0000201', 'hex')), '192.0.2.1', 'a mapped one is v4');
  t.throws(() => addressToBytes('www.example.'), RangeError);
  t.end();
});
