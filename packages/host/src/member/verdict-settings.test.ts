import t from 'tap';
import type { Settings, SocketAddress } from '@tandem/core';
import { settingMismatches, verdictSettings } from './verdict-settings.js';

const one: SocketAddress = { address: '192.0.2.1', port: 53, family: 4 };
const two: SocketAddress = { address: '2001:db8::2', port: 53, family: 6 };
const settings = {
  listen: [one, two], upstreams: [two, one], policyPort: 53, unknownEndpoint: 'refuse', auditMode: false, rejectResponseCode: 'refused',
  refusedSearchExpansions: 'nxdomain', clusterDomain: 'cluster.local', searchDomains: ['a.test', 'b.test'], minTtlSeconds: 0, logLevel: 'info',
} as unknown as Settings;

t.test('settings that mean the same do not differ, whatever their order', (t) => {
  const other = { ...settings, listen: [two, one], upstreams: [one, two], searchDomains: ['b.test', 'a.test'], logLevel: 'debug' } as Settings;
  t.strictSame(settingMismatches(verdictSettings(settings), verdictSettings(other)), []);
  t.end();
});

t.test('each setting by which a verdict may differ is named with both values', (t) => {
  const others: readonly [string, Partial<Settings>, string, string][] = [
    ['listen', { listen: [one] }, '192.0.2.1:53,[2001:db8::2]:53', '192.0.2.1:53'],
    ['upstream', { upstreams: [two] }, '192.0.2.1:53,[2001:db8::2]:53', '[2001:db8::2]:53'],
    ['policy-port', { policyPort: 5353 }, '53', '5353'],
    ['unknown-endpoint', { unknownEndpoint: 'allow' }, 'refuse', 'allow'],
    ['policy-audit-mode', { auditMode: true }, 'false', 'true'],
    ['tofqdns-dns-reject-response-code', { rejectResponseCode: 'nameError' }, 'refused', 'nameError'],
    ['refused-search-expansions', { refusedSearchExpansions: 'refuse' }, 'nxdomain', 'refuse'],
    ['cluster-domain', { clusterDomain: 'k8s.test' }, 'cluster.local', 'k8s.test'],
    ['search-domain', { searchDomains: [] }, 'a.test,b.test', ''],
    ['tofqdns-min-ttl', { minTtlSeconds: 60 }, '0', '60'],
  ];
  for (const [name, change, own, peers] of others) {
    t.strictSame(settingMismatches(verdictSettings(settings), verdictSettings({ ...settings, ...change })), [{ name, own, peers }]);
  }
  t.end();
});

t.test('search domains do not differ where nobody looks at them', (t) => {
  const plain = { ...settings, refusedSearchExpansions: 'refuse' } as Settings;
  t.strictSame(settingMismatches(verdictSettings(plain), verdictSettings({ ...plain, clusterDomain: 'k8s.test', searchDomains: [] })), []);
  t.end();
});

t.test('what only one of the two versions knows is no contradiction', (t) => {
  t.strictSame(settingMismatches(verdictSettings(settings), {}), []);
  t.strictSame(settingMismatches({}, verdictSettings(settings)), []);
  t.end();
});
