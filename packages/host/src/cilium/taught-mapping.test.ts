import { monoMs, type Snapshot, snapshotHash } from '@tandem/core';
import { fqdnPb } from '@tandem/proto';
import t from 'tap';
import { taughtMapping } from './taught-mapping.js';

const NOW = monoMs(1_000_000);
const LIMITED = { key: 'k', rules: [], limits: { queryRate: 5 } };
const content: Omit<Snapshot, 'revision' | 'hash'> = {
  nodeName: 'n',
  endpoints: [
    { id: 1, uid: 'uid-1', namespace: 'one', pod: 'a', identity: 256, addresses: ['10.0.0.1', '2001:db8::1'], ruleSet: null },
    { id: 2, uid: 'uid-2', namespace: 'one', pod: 'b', identity: 256, addresses: ['10.0.0.2'], ruleSet: 0 },
  ],
  identities: [], services: [], ruleSets: [LIMITED], fqdnSelectors: [], policies: [],
};
const snapshot: Snapshot = { revision: 1, hash: snapshotHash(content), ...content };

const BASE = { fqdn: 'WWW.a.test.', recordIp: [Buffer.from('192.0.2.7')], ttl: 30, sourceIp: Buffer.from('10.0.0.1') };
type Change = Parameters<typeof fqdnPb.FQDNMapping.fromPartial>[0];

function taught(change: Change, of: Snapshot | null = snapshot): ReturnType<typeof taughtMapping> {
  return taughtMapping(fqdnPb.FQDNMapping.fromPartial({ ...BASE, ...change }), { snapshot: of, nowMs: NOW, minTtlSeconds: 0 });
}

function addresses(change: Change): readonly string[] | string {
  const taken = taught(change);
  return 'mappings' in taken ? taken.mappings.map(({ address }) => address) : taken.reason;
}

t.test('a mapping is of the endpoint that has the source address', (t) => {
  t.strictSame(taught({}), { mappings: [{ endpointUid: 'uid-1', name: 'www.a.test.', address: '192.0.2.7', lookupMs: NOW, ttlSeconds: 30, expiryMs: NOW + 30_000 }] });
  t.end();
});

const RAW6 = Buffer.from('20010db8000000000000000000000001', 'hex');

/** What is said, and the addresses that are learned, or the complaint. */
const CASES: readonly (readonly [string, Change, readonly string[] | string])[] = [
  ['raw addresses', { sourceIp: Buffer.from([10, 0, 0, 1]), recordIp: [Buffer.from([192, 0, 2, 9])] }, ['192.0.2.9']],
  ['raw IPv6', { sourceIp: RAW6, recordIp: [RAW6] }, ['2001:db8::1']],
  ['an address twice, in two forms', { recordIp: [Buffer.from('2001:DB8::1'), RAW6] }, ['2001:db8::1']],
  ['a name without its dot', { fqdn: 'a.test' }, ['192.0.2.7']],
  ['no addresses', { recordIp: [] }, []],
  ['a name that does not exist', { responseCode: 3 }, []],
  ['a question', { metricsData: { allowed: true, dnsResponseData: { isResponse: false } } }, []],
  ['a refused question', { metricsData: { allowed: false, dnsResponseData: { isResponse: true } } }, []],
  ['a timeout as a bool', { metricsData: { allowed: true, errorKind: 1 } }, []],
  ['an error of a later kind', { metricsData: { allowed: true, errorKind: 4 } }, []],
  ['an error in words alone', { metricsData: { allowed: true, errorMessage: 'lost' } }, []],
  ['an answer', { metricsData: { allowed: true, dnsResponseData: { isResponse: true } } }, ['192.0.2.7']],
  ['nobody of this node', { sourceIp: Buffer.from('10.0.0.9') }, '10.0.0.9 is no endpoint of this node'],
  ['no source', { sourceIp: Buffer.alloc(0) }, 'source_ip is no address'],
  ['a source of odd bytes', { sourceIp: Buffer.from([0xff, 0xfe, 1]) }, 'source_ip is no address'],
  ['one bad address of two', { recordIp: [Buffer.from('192.0.2.7'), Buffer.from('192.0.2.300')] }, 'record_ip has an entry that is no address'],
  ['too many addresses', { recordIp: Array.from({ length: 1001 }, () => Buffer.from('192.0.2.7')) }, 'record_ip has 1001 entries; the limit is 1000'],
  ['no name', { fqdn: '' }, 'fqdn is no DNS name'],
  ['a name of odd characters', { fqdn: 'ä.test' }, 'fqdn is no DNS name'],
  ['too long a name', { fqdn: 'a.'.repeat(200) }, 'fqdn is no DNS name'],
  ['a pod with limits', { sourceIp: Buffer.from('10.0.0.2') }, "10.0.0.2 has limits that only this agent's own proxies know"],
];

for (const [what, change, expected] of CASES) {
  t.test(`taught: ${what}`, (t) => {
    t.strictSame(addresses(change), expected);
    t.end();
  });
}

t.test('a time to live has its bounds', (t) => {
  const ttl = (seconds: number): number | undefined => {
    const taken = taught({ ttl: seconds });
    return 'mappings' in taken ? taken.mappings[0]?.ttlSeconds : undefined;
  };
  t.strictSame([0, 5, 604_801, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff].map(ttl), [0, 5, 604_800, 604_800, 0, 0]);
  t.end();
});

t.test('without policy nobody is an endpoint', (t) => {
  t.match(taught({}, null), { response: fqdnPb.ResponseCode.ERROR_ENDPOINT_NOT_FOUND });
  t.end();
});
