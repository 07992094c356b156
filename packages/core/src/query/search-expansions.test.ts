import t from 'tap';
import { EDE, RCODE, TYPE } from '@tandem/dns';
import { parseAddress } from '../base/socket-address.js';
import { queryPacket, rcodeOf } from './testing/packets.js';
import { Rig, SNAPSHOT } from './testing/rig.js';

const searchDomains = { cluster: 'cluster.local', others: ['corp.example', 'example'] };

t.test('a refused name that is an allowed one with a search domain behind it gets NXDOMAIN', (t) => {
  const cases: readonly [string, boolean][] = [
    ['echo.k8s.intra.default.svc.cluster.local.', true],
    ['eChO.K8s.intra.Default.SVC.cluster.LOCAL.', true],
    ['echo.k8s.intra.svc.cluster.local.', true],
    ['echo.k8s.intra.cluster.local.', true],
    ['echo.k8s.intra.corp.example.', true],
    ['echo.k8s.intra.example.', true],
    ['echo.k8s.intra.other.svc.cluster.local.', false],
    ['bbc.co.uk.default.svc.cluster.local.', false],
    ['echo.k8s.intra.other.example.', false],
    ['echo.k8s.intra.xcluster.local.', false],
    ['default.svc.cluster.local.', false],
    ['cluster.local.', false],
    ['local.', false],
    ['.', false],
    ['bbc.co.uk.', false],
  ];
  for (const [name, isExpansion] of cases) {
    const rig = new Rig({ searchDomains });
    rig.query('127.0.1.1', queryPacket(name, { edns: true }));
    t.equal(rcodeOf(rig.replies[0]), isExpansion ? RCODE.nxDomain : RCODE.refused, name);
    t.same([...rig.replies[0].bytes.subarray(-6)], [0, 15, 0, 2, 0, EDE.blocked], name);
    t.same([rig.count('search_expansions'), rig.count('denied'), rig.asks.length], [Number(isExpansion), 1, 0], name);
  }
  t.end();
});

t.test('without the flag it is refused like any other, and an allowed expansion is asked for', (t) => {
  const rig = new Rig();
  rig.query('127.0.1.1', queryPacket('echo.k8s.intra.cluster.local.'));
  t.equal(rcodeOf(rig.replies[0]), RCODE.refused);
  const aware = new Rig({ searchDomains: { cluster: 'k8s.intra', others: [] } });
  aware.query('127.0.1.1', queryPacket('echo.k8s.intra.'));
  t.equal(aware.asks.length, 1);
  t.end();
});

t.test('the namespace is that of the pod, also after a change of policy', (t) => {
  const rig = new Rig({ searchDomains });
  const ask = () => {
    rig.query('127.0.1.1', queryPacket('echo.k8s.intra.shop.svc.cluster.local.'));
    return rcodeOf(rig.replies.at(-1)!);
  };
  t.equal(ask(), RCODE.refused);
  rig.enforce({ ...SNAPSHOT, endpoints: SNAPSHOT.endpoints.map((endpoint) => ({ ...endpoint, namespace: 'shop' })) });
  t.equal(ask(), RCODE.nxDomain);
  t.end();
});

t.test('the name in front must be allowed at the same server, by any of the upstreams', (t) => {
  const servers = [{ identity: 300, labels: [], addresses: ['192.0.2.2'] }];
  const [ruleSet] = SNAPSHOT.ruleSets;
  const onlySecond = { ...SNAPSHOT, identities: servers, ruleSets: [{ key: 'x', rules: [{ ...ruleSet.rules[0], identities: [300] }] }] };
  for (const [upstreams, rcode] of [[['192.0.2.1', '192.0.2.2'], RCODE.nxDomain], [['192.0.2.1'], RCODE.refused]] as const) {
    const rig = new Rig({ searchDomains, upstreams: upstreams.map((text) => ({ address: parseAddress(text)!, port: 53 })) });
    rig.enforce(onlySecond);
    rig.query('127.0.1.1', queryPacket('echo.k8s.intra.cluster.local.'));
    t.equal(rcodeOf(rig.replies[0]), rcode, upstreams.join());
  }
  t.end();
});

t.test('the name in front must be allowed for the type that was asked', (t) => {
  const rig = new Rig({ searchDomains });
  const [{ rules: [rule] }] = SNAPSHOT.ruleSets;
  rig.enforce({ ...SNAPSHOT, ruleSets: [{ key: 'x', rules: [{ ...rule, queryTypes: [TYPE.AAAA] }] }] });
  for (const type of [TYPE.A, TYPE.AAAA, TYPE.A]) rig.query('127.0.1.1', queryPacket('echo.k8s.intra.cluster.local.', { type }));
  t.same(rig.replies.map(rcodeOf), [RCODE.refused, RCODE.nxDomain, RCODE.refused]);
  t.end();
});

t.test('the longest names and a domain that is longer than any are dealt with', (t) => {
  const long = 'x'.repeat(63);
  const rig = new Rig({ searchDomains: { cluster: `${long}.${long}.${long}.${'y'.repeat(61)}`, others: ['z'.repeat(60)] } });
  const name = `${long}.${long}.${'x'.repeat(50)}.k8s.intra.${'z'.repeat(60)}.`;
  rig.query('127.0.1.1', queryPacket(name, { type: TYPE.AAAA }));
  t.equal(rcodeOf(rig.replies[0]), RCODE.refused, 'more labels than the pattern has');
  rig.query('127.0.1.1', queryPacket(`${long}.k8s.intra.${'z'.repeat(60)}.`));
  t.equal(rcodeOf(rig.replies[1]), RCODE.nxDomain);
  t.end();
});
