/** Flows and filters by chance, out of few values, so that they meet. Filters have every field that there is. */
import type { flowPb} from '@tandem/proto';
import { DropReason, Flow, FlowFilter, FlowType, IPVersion, L7FlowType, TrafficDirection, Verdict } from '@tandem/proto';
import fc from 'fast-check';

const pick = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });
const some = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(value, { maxLength: 3 });

const namespaces = pick('', 'default', 'shop', 'shop-2');
const pods = pick('', 'web', 'web-1', 'crawler');
const names = pick('a.test', 'b.a.test', 'WWW.a.test.', '_srv.a.test', 'test');
const addresses = pick('10.0.0.1', '10.0.0.200', '10.1.0.1', '192.0.2.1', '2001:db8::1', '2001:db8:1::1', '::1', '::a00:1');
const labels = pick('k8s:app=web', 'k8s:app=crawler', 'app=web', 'k8s:tier=', 'reserved:world', 'k8s:io.kubernetes.pod.namespace=shop', 'any-source:app=web');
const clusters = pick('', 'default', 'east');
const workloads = fc.record({ name: pick('', 'web', 'crawler'), kind: pick('', 'Deployment', 'DaemonSet') });
const ports = pick(0, 53, 8053, 65_535);
const nodes = pick('', 'node-1', 'Node-1', 'east/node-1', 'east/node-2.lan', 'west/node-1');
const interfaces = fc.record({ index: pick(0, 1, 2), name: pick('', 'eth0', 'lxc1') });
const headers = fc.record({ key: pick('', 'Host', 'Accept'), value: pick('', 'a.test', '*/*') });
const flags = fc.record({ FIN: fc.boolean(), SYN: fc.boolean(), RST: fc.boolean(), PSH: fc.boolean(), ACK: fc.boolean(), URG: fc.boolean(), ECE: fc.boolean(), CWR: fc.boolean(), NS: fc.boolean() });
const verdicts = pick(Verdict.UNKNOWN, Verdict.FORWARDED, Verdict.DROPPED, Verdict.ERROR, Verdict.AUDIT);
const reasons = pick(DropReason.UNKNOWN, DropReason.POLICY_DENIED, DropReason.POLICY_DENY);
const directions = pick(TrafficDirection.UNKNOWN, TrafficDirection.INGRESS, TrafficDirection.EGRESS);
const versions = pick(IPVersion.IP_NOT_USED, IPVersion.IPv4, IPVersion.IPv6);
const types = pick(0, 1, 4, 5, 129);
const identities = pick(0, 1, 2, 1_000);

const endpoint = fc.record({ ID: pick(0, 7), identity: identities, namespace: namespaces, labels: some(labels), podName: pods, workloads: some(workloads), clusterName: clusters });
const service = fc.record({ name: pick('', 'dns', 'dns-tcp'), namespace: namespaces });

const layer4: fc.Arbitrary<flowPb.Layer4['protocol']> = fc.oneof(
  fc.record({ $case: fc.constant('TCP' as const), value: fc.record({ sourcePort: ports, destinationPort: ports, flags: maybe(flags) }) }),
  fc.record({ $case: pick('UDP' as const, 'SCTP' as const), value: fc.record({ sourcePort: ports, destinationPort: ports }) }),
  fc.record({ $case: pick('ICMPv4' as const, 'ICMPv6' as const), value: fc.record({ type: pick(0, 8), code: fc.constant(0) }) }),
);

const dns = fc.record({
  query: pick('', 'a.test.', 'b.a.test.', 'kube.dns.local.'), ips: some(addresses), ttl: pick(0, 30), cnames: some(names), observationSource: fc.constant('proxy'),
  rcode: pick(0, 3), qtypes: some(pick('A', 'AAAA')), rrtypes: some(pick('A', 'CNAME')),
});
const http = fc.record({
  code: pick(0, 200, 404, 503), method: pick('', 'GET', 'post'), url: pick('', 'http://a.test/x?y', 'http://a.test/', '/path/x', '/'), protocol: fc.constant('HTTP/1.1'), headers: some(headers),
});
const layer7 = fc.record({
  type: pick(L7FlowType.REQUEST, L7FlowType.RESPONSE), latencyNs: fc.constant(5n),
  record: fc.oneof(fc.record({ $case: fc.constant('dns' as const), value: dns }), fc.record({ $case: fc.constant('http' as const), value: http })),
});

/** Without time and uuid. */
const someFlow = fc.record({
  verdict: verdicts, dropReasonDesc: reasons, IP: maybe(fc.record({ source: fc.oneof(addresses, fc.constant('')), destination: addresses, ipVersion: versions, encrypted: fc.boolean(), sourceXlated: fc.oneof(addresses, fc.constant('')) })),
  l4: maybe(fc.record({ protocol: layer4 })), source: maybe(endpoint), destination: maybe(endpoint), Type: pick(FlowType.L7, FlowType.L3_L4), nodeName: nodes,
  sourceNames: some(names), destinationNames: some(names), l7: maybe(layer7), isReply: maybe(fc.boolean()), eventType: maybe(fc.record({ type: types, subType: pick(0, 1) })),
  sourceService: maybe(service), destinationService: maybe(service), trafficDirection: directions, interface: maybe(interfaces),
  traceContext: maybe(fc.record({ parent: maybe(fc.record({ traceId: pick('', 'ab', 'cd') })) })), nodeLabels: some(labels), ipTraceId: maybe(fc.record({ traceId: pick(0n, 9n), ipOptionType: fc.constant(0) })),
});

/** In the order of time: some at the same. */
export const flows: fc.Arbitrary<Flow[]> = fc.array(fc.tuple(someFlow, pick(0, 0, 1, 250_000_000)), { minLength: 5, maxLength: 40 }).map((all) => {
  let nanos = 0;
  return all.map(([flow, laterNs], index) => {
    nanos += laterNs;
    return Flow.fromPartial({ ...flow, uuid: `u-${index}`, time: timeOf(nanos) });
  });
});

function timeOf(nanos: number): { seconds: bigint; nanos: number } {
  return { seconds: 1_700_000_000n + BigInt(Math.floor(nanos / 1e9)), nanos: nanos % 1e9 };
}

const ranges = fc.oneof(addresses, pick('10.0.0.0/24', '10.0.0.0/8', '0.0.0.0/0', '10.0.0.129/25', '2001:db8::/32', '2001:db8::/47', '::/0', '192.0.2.1/32', '::1/128'));
const qualified = fc.oneof(pick('web', 'w', 'shop/', 'shop/web', 'shop/web-', '/web', 'shop-2/', 'default/', 'dns', 'shop/dns', '/dns-'));
const patterns = pick('a.test', '*.a.test', '*', 'b.*', '*.TEST.', '_srv.*', '*a*t*', '*x*', 'test');
const requirements = pick('app', '!app', 'app=web', 'app == web', 'app!=web', 'k8s:app=web', 'any:app = crawler', '!k8s:app', 'app in (web, crawler)', 'k8s:app notin (web)', 'tier=', 'world', 'reserved:world', 'io.kubernetes.pod.namespace = shop', 'app in (crawler)', 'none notin (a,b)');
const selectors = fc.array(requirements, { minLength: 1, maxLength: 3 }).map((all) => all.join(', '));
const expressions = pick('a', '^a', 'test\\.$', 'kube.*local', 'b|x', '^$', '[ab]+\\.', '/x$', 'http', '^/');
const given = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(values, { minLength: 1, maxLength: 3 });

/** The values of each field. HTTP's fields need event type 129 among the wanted ones, or none. */
const FIELDS: { readonly [K in keyof Omit<FlowFilter, 'experimental'>]-?: fc.Arbitrary<unknown[]> } = {
  sourceIp: given(ranges), destinationIp: given(ranges), sourceIpXlated: given(ranges), sourcePod: given(qualified), destinationPod: given(qualified),
  sourceService: given(qualified), destinationService: given(qualified), sourceFqdn: given(patterns), destinationFqdn: given(patterns),
  sourceLabel: given(selectors), destinationLabel: given(selectors), nodeLabels: given(selectors), sourcePort: given(ports.map(String)), destinationPort: given(ports.map(String)),
  sourceIdentity: given(identities), destinationIdentity: given(identities), sourceWorkload: given(workloads), destinationWorkload: given(workloads),
  sourceClusterName: given(pick('default', 'east')), destinationClusterName: given(pick('default', 'east')), verdict: given(verdicts), dropReasonDesc: given(reasons),
  eventType: fc.array(fc.record({ type: types, matchSubType: fc.boolean(), subType: pick(0, 1) }), { maxLength: 2 }).map((all) => [...all, { type: 129, matchSubType: true, subType: 1 }]),
  trafficDirection: given(directions), reply: given(fc.boolean()), encrypted: given(fc.boolean()), ipVersion: given(versions), uuid: given(pick('u-0', 'u-1', 'u-2', 'none')),
  traceId: given(pick('', 'ab', 'cd')), ipTraceId: given(pick(0n, 9n)), interface: given(interfaces), tcpFlags: given(flags.map((all) => ({ ...all, FIN: false, RST: false, PSH: false, URG: false, ECE: false, CWR: false, NS: false }))),
  protocol: given(pick('dns', 'DNS', 'http', 'kafka', 'tcp', 'UDP', 'sctp', 'icmp', 'icmpv4', 'ICMPv6')), nodeName: given(pick('node-1', 'node-*', 'east/', '*/node-1', 'east/*.lan', 'default/node-1', '*')),
  dnsQuery: given(expressions), httpStatusCode: given(pick('200', '404', '4+', '50+', '5+')), httpMethod: given(pick('GET', 'get', 'POST')),
  httpPath: given(expressions), httpUrl: given(expressions), httpHeader: given(headers),
};

export const FIELD_NAMES = Object.keys(FIELDS);

export const filter: fc.Arbitrary<FlowFilter> = fc.subarray(Object.entries(FIELDS), { maxLength: 2 })
  .chain((chosen) => fc.record(Object.fromEntries(chosen)) as fc.Arbitrary<Record<string, unknown>>)
  .map((fields) => FlowFilter.fromPartial(fields as Parameters<typeof FlowFilter.fromPartial>[0]));

/** Of one field alone. */
export function filterOf(field: string): fc.Arbitrary<FlowFilter> {
  return FIELDS[field as keyof typeof FIELDS].map((values) => FlowFilter.fromPartial({ [field]: values }));
}

export const request = fc.record({
  number: pick(0n, 0n, 1n, 3n, 100n), first: fc.boolean(), whitelist: fc.array(filter, { maxLength: 3 }), blacklist: fc.array(filter, { maxLength: 2 }),
  since: maybe(fc.integer({ min: 0, max: 3 }).map((quarters) => timeOf(quarters * 250_000_000))), until: maybe(fc.integer({ min: 0, max: 8 }).map((quarters) => timeOf(quarters * 250_000_000))),
});
