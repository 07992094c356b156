import t from 'tap';
import { AppError, type Mapping, monoMs, NODE_UID } from '@tandem/core';
import { ENTRIES_MAX, entriesOf, mappingsOf, mappingsOfText } from './cache-entries.js';

const BOOT_MS = Date.parse('2026-01-05T00:00:00Z');
const times = { bootedAtMs: BOOT_MS, nowMs: Date.parse('2026-01-05T08:00:00Z') };

const good = {
  'fqdn': 'WWW.Shop.example', 'lookup-time': '2026-01-05T07:55:50.448Z', 'expiration-time': '2026-01-05T09:56:20.448+01:00', 'ttl': 3630,
  'ips': ['198.51.100.10', '2001:DB8:0::1'],
};

function refusal(value: unknown): AppError {
  try {
    mappingsOf(value, times);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error(`was accepted: ${JSON.stringify(value)}`);
}

t.test("an entry in Cilium's form becomes a mapping of the node per address, canonical", (t) => {
  const lookupMs = Date.parse('2026-01-05T07:55:50.448Z') - BOOT_MS;
  const base = { endpointUid: NODE_UID, name: 'www.shop.example.', lookupMs, ttlSeconds: 3630, expiryMs: Date.parse('2026-01-05T08:56:20.448Z') - BOOT_MS };
  t.strictSame(mappingsOf([good], times), [{ ...base, address: '198.51.100.10' }, { ...base, address: '2001:db8::1' }]);
  t.strictSame(mappingsOf([{ ...good, 'endpoint-uid': 'u', 'endpoint-id': 7, 'source': 'lookup' }], times).map((m) => m.endpointUid), ['u', 'u']);
  t.strictSame(mappingsOf([{ ...good, source: 'connection' }], times), [], 'a connection is no look-up');
  t.strictSame(mappingsOf([], times), []);
  const [early] = mappingsOf([{ ...good, 'lookup-time': '0001-01-01T00:00:00Z' }], times);
  t.equal(early.lookupMs, 0, 'before this boot there is no time');
  const [ahead] = mappingsOf([{ ...good, 'lookup-time': '2026-01-05T08:00:59Z' }], times);
  t.equal(ahead.lookupMs, times.nowMs - BOOT_MS, 'no look-up is later than now');
  t.end();
});

t.test('a complaint names entry, field, value and what is allowed', (t) => {
  const table: readonly [Record<string, unknown>, RegExp][] = [
    [{ fqdn: 'a..b' }, /^entry 2: fqdn "a\.\.b" is not allowed; allowed: a DNS name$/],
    [{ fqdn: 7 }, /^entry 2: fqdn 7 is not allowed/],
    [{ fqdn: undefined }, /^entry 2: fqdn is missing; allowed: a DNS name$/],
    [{ ttl: -1 }, /^entry 2: ttl -1 is not allowed; allowed: 0 to 2147483647$/],
    [{ ttl: 1.5 }, /ttl 1\.5/],
    [{ ttl: '30' }, /ttl "30"/],
    [{ ips: [] }, /^entry 2: ips \[\] is not allowed; allowed: an array of at least one IP address$/],
    [{ ips: '192.0.2.1' }, /ips "192\.0\.2\.1"/],
    [{ ips: ['192.0.2.1', '192.0.2.256'] }, /^entry 2: ips\[1\] "192\.0\.2\.256" is not allowed; allowed: an IP address$/],
    [{ 'lookup-time': 'yesterday' }, /^entry 2: lookup-time "yesterday" is not allowed; allowed: a time such as /],
    [{ 'lookup-time': '2026-02-31T00:00:00Z' }, /lookup-time "2026-02-31/],
    [{ 'lookup-time': 1767599750 }, /lookup-time 1767599750/],
    [{ 'lookup-time': '2026-01-05T08:01:01Z' }, /^entry 2: lookup-time .*allowed: at most 60 s ahead of this host's clock \(2026-01-05T08:00:00\.000Z\)$/],
    [{ 'expiration-time': '2026-01-05T07:55:50.447Z' }, /^entry 2: expiration-time .*allowed: lookup-time to 2094-/],
    [{ 'expiration-time': '9999-01-01T00:00:00Z' }, /expiration-time/],
    [{ 'endpoint-uid': '' }, /^entry 2: endpoint-uid "" is not allowed; allowed: 1 to \d+ characters$/],
    [{ 'endpoint_uid': 'u' }, /^entry 2: unknown field "endpoint_uid"; known: fqdn, /],
    [{ fqdn: 'x'.repeat(5000) }, /^entry 2: fqdn "x{79}… is not allowed/],
  ];
  for (const [change, message] of table) t.match(refusal([good, { ...good, ...change }]), { code: 'CONFIGURATION', message }, JSON.stringify(change).slice(0, 80));
  const { ttl, ...noTtl } = good;
  t.equal(ttl, 3630);
  t.match(refusal([noTtl]), { message: 'entry 1: ttl is missing; allowed: 0 to 2147483647' });
  for (const [value, kind] of [[{}, 'an object'], [null, 'null'], ['x', 'a string'], [3, 'a number']] as const) {
    t.match(refusal(value), { code: 'CONFIGURATION', message: `holds ${kind}; allowed: an array of entries` });
  }
  t.match(refusal([null]), { message: 'entry 1: is null; allowed: an object' });
  t.match(refusal([[good]]), { message: 'entry 1: is an array; allowed: an object' });
  t.match(refusal(new Array(ENTRIES_MAX + 1).fill(good)), { code: 'LIMIT', message: /250001 entries; allowed: at most 250000/ });
  t.match(refusal([good, { ...good, ips: new Array(500_001).fill('192.0.2.1') }]), { code: 'LIMIT', message: /^entry 2: .*500000/ });
  t.throws(() => mappingsOfText('[{]', times), { code: 'CONFIGURATION', message: /^is not JSON: / });
  t.end();
});

t.test('what is written is read back the same, one entry per look-up', (t) => {
  const mapping = (rest: Partial<Mapping>): Mapping => ({
    endpointUid: 'u', name: 'b.example.', address: '192.0.2.1', lookupMs: monoMs(1000), ttlSeconds: 40_000, expiryMs: monoMs(40_001_000), ...rest,
  });
  const mappings = [
    mapping({ address: '192.0.2.9' }), mapping({}), mapping({ lookupMs: monoMs(2000), address: '192.0.2.2' }), mapping({ name: 'a.example.' }), mapping({ endpointUid: NODE_UID }),
  ];
  const entries = entriesOf(mappings, BOOT_MS);
  t.strictSame(entries.map((e) => [e['endpoint-uid'], e.fqdn, e.ips]), [
    [undefined, 'b.example.', ['192.0.2.1']], ['u', 'a.example.', ['192.0.2.1']], ['u', 'b.example.', ['192.0.2.1', '192.0.2.9']], ['u', 'b.example.', ['192.0.2.2']],
  ]);
  const back = mappingsOfText(JSON.stringify(entries), times);
  const sorted = (list: readonly Mapping[]): string[] => list.map((m) => JSON.stringify(Object.entries(m).sort())).sort();
  t.strictSame(sorted(back), sorted(mappings));
  t.end();
});
