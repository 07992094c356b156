import t from 'tap';
import { AppError, MAPPINGS_PER_MESSAGE, monoMs, type Mapping } from '@tandem/core';
import { addressFromBytes, addressToBytes } from './address-bytes.js';
import type { Hello, Mapping as WireMapping } from './generated/tandem/pair/v1/pair.js';
import { checkHello, cleanFromWire, mappingsFromWire, mappingToWire, PROTOCOL_VERSION } from './pair-messages.js';

const mapping: Mapping = {
  endpointUid: 'uid-1', name: 'www.example.', address: '192.0.2.1', lookupMs: monoMs(1000.5), ttlSeconds: 60, expiryMs: monoMs(61_000.5),
};

function errorOf(run: () => unknown): unknown {
  try {
    run();
    return null;
  } catch (error) {
    return error;
  }
}

function received(changes: Partial<WireMapping>): unknown {
  return errorOf(() => mappingsFromWire({ sequence: 1n, mappings: [{ ...mappingToWire(mapping), ...changes }] }));
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

t.test('a message holds so many mappings at most', (t) => {
  const one = mappingToWire(mapping);
  const of = (count: number) => ({ sequence: 1n, mappings: Array.from({ length: count }, () => one) });
  t.equal(mappingsFromWire(of(MAPPINGS_PER_MESSAGE)).length, MAPPINGS_PER_MESSAGE);
  t.match(errorOf(() => mappingsFromWire(of(MAPPINGS_PER_MESSAGE + 1))), { code: 'LINK', details: { field: 'mappings' } });
  t.strictSame(mappingsFromWire(of(0)), []);
  t.end();
});

t.test('a clean names a pattern, or all, and a time', (t) => {
  t.strictSame(cleanFromWire({ matchPattern: '*.example.', endpointUid: '', atMs: 5 }), { matchPattern: '*.example.', endpointUid: null, atMs: 5 });
  t.strictSame(cleanFromWire({ matchPattern: '', endpointUid: 'uid-1', atMs: 0 }), { matchPattern: null, endpointUid: 'uid-1', atMs: 0 });
  for (const atMs of [NaN, -1, Infinity, 1e300]) {
    t.match(errorOf(() => cleanFromWire({ matchPattern: '', endpointUid: '', atMs })), { code: 'LINK', details: { field: 'at_ms' } });
  }
  t.end();
});

t.test('a peer of the expected role and version is welcome, others are not', (t) => {
  const hello: Hello = { protocol: PROTOCOL_VERSION, role: 'agent', incarnation: 'i', version: '1', snapshotRevision: 0n, snapshotHash: '', verdictSettings: {} };
  t.equal(errorOf(() => checkHello(hello, 'agent')), null);
  t.match(errorOf(() => checkHello(hello, 'dns-proxy')), { code: 'LINK', details: { field: 'role' } });
  for (const protocol of [0, PROTOCOL_VERSION + 1, 0xffff_ffff]) {
    t.match(errorOf(() => checkHello({ ...hello, protocol }, 'agent')), { code: 'LINK', details: { field: 'protocol' } });
  }
  t.match(errorOf(() => checkHello({ ...hello, role: '' }, 'agent')), { code: 'LINK', details: { field: 'role' } });
  const many = (count: number, text: string): Hello['verdictSettings'] => Object.fromEntries(Array.from({ length: count }, (_, i) => [`s${i}`, text]));
  t.equal(errorOf(() => checkHello({ ...hello, verdictSettings: many(64, 'x'.repeat(2048)) }, 'agent')), null);
  for (const verdictSettings of [many(65, ''), many(1, 'x'.repeat(2049)), { ['n'.repeat(81)]: '' }]) {
    t.match(errorOf(() => checkHello({ ...hello, verdictSettings }, 'agent')), { code: 'LINK', details: { field: 'verdict_settings' } });
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
