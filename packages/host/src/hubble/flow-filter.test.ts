import { DropReason, Flow, FlowFilter, Verdict } from '@tandem/proto';
import t from 'tap';
import { compileFilters, FILTERS_MAX, VALUE_CHARACTERS_MAX, VALUES_IN_ALL_MAX, VALUES_MAX } from './flow-filter.js';

type Parts<T extends { fromPartial(value: never): unknown }> = Parameters<T['fromPartial']>[0];

function matches(filter: Parts<typeof FlowFilter>, flow: Parts<typeof Flow>): boolean {
  return compileFilters({ whitelist: [FlowFilter.fromPartial(filter)], blacklist: [] })(Flow.fromPartial(flow));
}

function refusal(...whitelist: readonly Parts<typeof FlowFilter>[]): string {
  try {
    compileFilters({ whitelist: whitelist.map((filter) => FlowFilter.fromPartial(filter)), blacklist: [] });
  } catch (error) {
    return (error as Error).message;
  }
  return 'not refused';
}

t.test('a pod without a namespace is in "default"; a name is the beginning of one', (t) => {
  const table: readonly [string, string, string, boolean][] = [
    ['web', 'default', 'web-1', true], ['web', 'shop', 'web-1', false], ['shop/web', 'shop', 'web-1', true], ['shop/', 'shop', 'any', true], ['shop/', 'shop-2', 'any', false],
    ['/web', 'shop', 'web', true], ['/web', '', 'web', true], ['shop/', 'shop', '', true], ['/eb', 'shop', 'web', false], ['web', '', '', false], ['shop/web', 'shop', '', false],
  ];
  for (const [wanted, namespace, podName, expected] of table) {
    t.equal(matches({ sourcePod: [wanted] }, { source: { namespace, podName } }), expected, `${wanted} ${namespace}/${podName}`);
    t.equal(matches({ destinationService: [wanted] }, { destinationService: { namespace, name: podName } }), expected);
  }
  t.notOk(matches({ sourcePod: ['/web'] }, {}));
  t.equal(refusal({ sourcePod: [''] }), 'whitelist[0]: source_pod: "" is not of the form [NAMESPACE/]PREFIX or NAMESPACE/');
  for (const bad of ['/', 'a/b/c']) t.match(refusal({ destinationPod: [bad] }), /destination_pod: .* is not of the form/);
  t.end();
});

t.test('label selectors have the syntax of Kubernetes and the sources of Cilium', (t) => {
  const labels = ['k8s:app=web', 'k8s:tier=2', 'k8s:empty=', 'reserved:host', 'k8s:io.kubernetes.pod.namespace=shop', 'other:app=crawler', 'k8s:example.com/part=a:b'];
  const table: readonly [string, boolean][] = [
    ['', true], ['app', true], ['!app', false], ['none', false], ['!none', true], ['! none', true], ['app=web', true], ['app==web', true], ['app = crawler', false], ['other:app=crawler', true],
    ['any:app=web', true], ['k8s:app=web', true], ['other:app', true], ['container:app', false], ['!container:app', true], ['app!=web', false], ['app!=db', true], ['none!=x', true],
    ['app in (db, web)', true], ['app in (db)', false], ['app notin (db)', true], ['app notin (web,db)', false], ['none notin (x)', true], ['empty=', true], ['empty', true],
    ['empty in ()', true], ['tier>1', true], ['tier > 2', false], ['tier<3', true], ['app<3', false], ['host', true], ['reserved:host', true], ['app=web,tier=2', true], ['app=web,!tier', false],
    ['app in (web,db),tier', true], ['io.kubernetes.pod.namespace=shop', true], ['example.com/part=a:b', true],
  ];
  for (const [selector, expected] of table) {
    t.equal(matches({ sourceLabel: [selector] }, { source: { labels } }), expected, selector);
    t.equal(matches({ nodeLabels: [selector] }, { nodeLabels: labels }), expected);
  }
  t.ok(matches({ destinationLabel: ['!app'] }, {}), 'who is not known has no labels');
  for (const bad of ['a b', 'a,', ',', '=x', 'a=b=c', 'a in', 'a in (b', 'a > b', '(a)', 'a=(b)', '!!a']) {
    t.match(refusal({ sourceLabel: [bad] }), /whitelist\[0\]: source_label: .* is no label selector, at /, bad);
  }
  t.end();
});

t.test('addresses match by value, ranges by their bits, and each family its own', (t) => {
  const table: readonly [string, string, boolean][] = [
    ['10.0.0.1', '10.0.0.1', true], ['10.0.0.1', '10.0.0.10', false], ['10.0.0.0/8', '10.255.0.1', true], ['10.0.0.0/8', '11.0.0.1', false], ['10.0.0.77/25', '10.0.0.127', true],
    ['10.0.0.77/25', '10.0.0.128', false], ['0.0.0.0/0', '192.0.2.1', true], ['0.0.0.0/0', '2001:db8::1', false], ['::/0', '10.0.0.1', false], ['::/0', '::1', true],
    ['2001:DB8:0::1', '2001:db8::1', true], ['2001:db8::/33', '2001:db8:7fff::1', true], ['2001:db8::/33', '2001:db8:8000::1', false], ['::1/128', '::1', true], ['10.0.0.1/32', '10.0.0.1', true],
  ];
  for (const [range, source, expected] of table) {
    t.equal(matches({ sourceIp: [range] }, { IP: { source } }), expected, `${source} in ${range}`);
    t.equal(matches({ sourceIpXlated: [range] }, { IP: { sourceXlated: source } }), expected);
  }
  t.notOk(matches({ destinationIp: ['0.0.0.0/0'] }, {}));
  for (const bad of ['', '10.0.0', '10.0.0.0/33', '::/129', '10.0.0.0/', '/8', '10.0.0.0/8/8', 'a.test', '10.0.0.0/-1', '10.0.0.0/1e1']) t.match(refusal({ sourceIp: [bad] }), /neither an IP address nor a CIDR/, bad);
  t.end();
});

t.test('names and nodes take "*" for any characters', (t) => {
  const table: readonly [string, string, boolean][] = [
    ['a.test', 'a.test', true], ['A.test.', 'a.TEST.', true], ['*.test', 'a.b.test', true], ['*.test', 'test', false], ['a*', 'a', true], ['*', '', true], ['a*b*c', 'axxbyyc', true], ['a*b*c', 'axxbyyd', false], ['a.test', 'aztest', false],
  ];
  for (const [pattern, name, expected] of table) t.equal(matches({ destinationFqdn: [pattern] }, { destinationNames: ['other', name] }), expected, `${pattern} ${name}`);
  const nodes: readonly [string, string, boolean][] = [
    ['node-1', 'node-1', true], ['node-1', 'east/node-1', true], ['default/node-1', 'node-1', true], ['east/node-1', 'node-1', false], ['east/', 'east/any', true], ['e*/n*', 'east/node-1', true], ['/n*', 'east/node-1', true], ['*', '', false],
  ];
  for (const [pattern, nodeName, expected] of nodes) {
    t.equal(matches({ nodeName: [pattern] }, { nodeName }), expected, `${pattern} ${nodeName}`);
  }
  t.match(refusal({ nodeName: ['node-?'] }), /node_name: .* make up a name pattern/);
  for (const bad of ['', 'a/b/c']) t.match(refusal({ nodeName: [bad] }), /\[CLUSTER\/\]NODE/);
  for (const bad of ['', '.', 'a b', 'a/b', 'a..', 'é']) t.match(refusal({ sourceFqdn: [bad] }), /make up a name pattern/, bad);
  t.end();
});

t.test('a pattern that takes other engines forever takes a moment, and one that cannot be used is named', (t) => {
  const flow = { l7: { record: { $case: 'dns' as const, value: { query: `${'a'.repeat(240)}.test.` } } } };
  // An engine that tries all ways would not come back from these.
  t.notOk(matches({ dnsQuery: ['^(a+)+$'] }, flow));
  t.ok(matches({ dnsQuery: ['(x+x+)+y', '(a|a)*[.]test[.]$'] }, flow));
  t.ok(matches({ dnsQuery: ['(?i)TEST'] }, flow), 'found anywhere in the name');
  t.match(refusal({}, { dnsQuery: ['ok', 'a(?=b)'] }), /^whitelist\[1\]: dns_query: "a\(\?=b\)" is no RE2 regular expression: /);
  t.match(refusal({ httpPath: ['*'] }), /http_path: "\*" is no RE2 regular expression/);
  t.match(refusal({ dnsQuery: ['a'.repeat(257)] }), /a pattern has 257 characters; allowed: 256/);
  t.match(refusal({ dnsQuery: ['(a{30}){30}', '(b{30}){30}', '(c{30}){30}'] }), /patterns of the request are too large, at "\(c\{30\}\)\{30\}"; allowed: 2000 steps in all/);
  t.end();
});

t.test('what a reply is, and why something was dropped, counts as Hubble counts it', (t) => {
  t.ok(matches({ reply: [false] }, { verdict: Verdict.DROPPED }), 'what is dropped has no reply, as far as is known');
  t.notOk(matches({ reply: [true, false] }, { verdict: Verdict.FORWARDED }));
  t.notOk(matches({ dropReasonDesc: [DropReason.POLICY_DENIED] }, { dropReasonDesc: DropReason.POLICY_DENIED, verdict: Verdict.FORWARDED }));
  t.ok(matches({ eventType: [{ type: 4 }, { type: 129 }] }, { eventType: { type: 129, subType: 3 } }));
  t.notOk(matches({ eventType: [{ type: 129, matchSubType: true }] }, { eventType: { type: 129, subType: 3 } }));
  t.match(refusal({ httpMethod: ['GET'], eventType: [{ type: 4 }] }), /only flows of event type 129/);
  t.end();
});

t.test('values that mean nothing are refused by name', (t) => {
  const table: readonly [Parts<typeof FlowFilter>, RegExp][] = [
    [{ sourcePort: ['65536'] }, /source_port: "65536" is no port from 0 to 65535/], [{ destinationPort: ['dns'] }, /destination_port: "dns" is no port/], [{ sourcePort: ['-1'] }, /no port/],
    [{ protocol: ['quic'] }, /protocol: "quic" is not one of icmp, .*kafka/], [{ protocol: ['constructor'] }, /protocol: "constructor" is not one of/], [{ httpStatusCode: ['600'] }, /http_status_code: "600" is neither/], [{ httpStatusCode: ['+'] }, /neither/],
    [{ sourceClusterName: [''] }, /source_cluster_name: a cluster has a name/], [{ experimental: { celExpression: ['true'] } }, /CEL is not spoken here/],
  ];
  for (const [filter, expected] of table) t.match(refusal(filter), expected);
  t.equal(refusal({ experimental: {} }), 'not refused');
  t.end();
});

t.test('filters are bounded in number, values and length', (t) => {
  const ports = (count: number): string[] => Array.from({ length: count }, () => '53');
  t.equal(refusal(...Array.from({ length: FILTERS_MAX }, () => ({}))), 'not refused');
  t.equal(refusal(...Array.from({ length: FILTERS_MAX + 1 }, () => ({}))), `whitelist has ${FILTERS_MAX + 1} filters; allowed: ${FILTERS_MAX}`);
  t.equal(refusal({ sourcePort: ports(VALUES_MAX) }), 'not refused');
  t.equal(refusal({ sourcePort: ports(VALUES_MAX + 1) }), `whitelist[0]: source_port has ${VALUES_MAX + 1} values; allowed: ${VALUES_MAX}`);
  const many = Array.from({ length: VALUES_IN_ALL_MAX / VALUES_MAX }, () => ({ sourcePort: ports(VALUES_MAX) }));
  t.equal(refusal(...many), 'not refused');
  t.match(refusal(...many, { destinationPort: ['53'] }), /destination_port: the filters of the request have more than 2048 values in all/);
  t.match(refusal({ uuid: ['x'.repeat(VALUE_CHARACTERS_MAX + 1)] }), /uuid: a value has 1025 characters; allowed: 1024/);
  t.match(refusal({ sourceWorkload: [{ name: 'x'.repeat(VALUE_CHARACTERS_MAX + 1) }] }), /source_workload: a value has 1025 characters/);
  t.end();
});
