import t from 'tap';
import type { Snapshot } from '@tandem/core';
import { DropReason, Flow, FlowType, TrafficDirection, Verdict } from '@tandem/proto';
import type { FlowReader, ObservedFlow } from './flow-log.js';
import { RingLog } from './ring-log.js';
import { packetOf, type PacketShape, PacketStage } from './testing/packet-stage.js';
import { BOOTED_AT_MS, contextOf, RingStage, SNAPSHOT } from './testing/stage.js';

const KEY = 'ab'.repeat(32);
const IN_KEY = 'cd'.repeat(32);
const ORIGIN = { kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'echo', path: 'spec.egress[0]' } as const;
const RULE = { identities: [301], fqdns: [], ports: [{ first: 443, last: 443, protocol: 6 }], dnsPatterns: null, origin: ORIGIN } as const;
const WITH_RULES: Snapshot = {
  ...SNAPSHOT,
  endpoints: [{ ...SNAPSHOT.endpoints[0], ruleSet: 0, ingressRuleSet: 1 }],
  ruleSets: [
    { key: KEY, rules: [RULE, { ...RULE, ports: [] }, { ...RULE, identities: null }, { ...RULE, deny: true, origin: { ...ORIGIN, name: 'no-ads' } }, { ...RULE, identities: null, ports: [] },
      { ...RULE, identities: null, fqdns: [{ matchName: 'cnn.com.', matchPattern: null }] }, { ...RULE, ports: [{ first: 0, last: 65535, protocol: 17 }] }] },
    { key: IN_KEY, rules: [{ ...RULE, origin: { ...ORIGIN, name: 'in' } }] },
  ],
  policies: [
    ...SNAPSHOT.policies,
    { kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'closes-ingress', specs: [{ path: 'spec', rules: 0, defaultDeny: false, ingress: { rules: 1, defaultDeny: true }, endpoints: [7] }] },
  ],
};
const OUT = KEY.slice(0, 16);
const IN = IN_KEY.slice(0, 16);

function stage(): { log: RingLog; packets: PacketStage; context: ReturnType<typeof contextOf> } {
  const context = contextOf(WITH_RULES);
  const log = new RingLog('agent', context);
  const packets = new PacketStage(5, context);
  log.add('agent', 0, [packets.shared]);
  return { log, packets, context };
}

function rest(reader: FlowReader): Flow[] {
  const all: Flow[] = [];
  for (let one = reader.next(); one !== null; one = reader.next()) all.push((one as ObservedFlow).flow);
  return all;
}

function flowsOf(shape: PacketShape): Flow[] {
  const { log, packets } = stage();
  packets.flows.logged([packetOf(shape)]);
  return rest(log.read('oldest'));
}

t.test('a packet that no rule allows is a verdict and a drop, with the policies that close the way', (t) => {
  const [verdict, drop, ...more] = flowsOf({ ruleSet: OUT });
  t.same(more, []);
  const both = {
    verdict: Verdict.DROPPED, Type: FlowType.L3_L4, nodeName: 'node-1', isReply: false, trafficDirection: TrafficDirection.EGRESS, Summary: 'TCP Flags: SYN',
    dropReasonDesc: DropReason.POLICY_DENIED, IP: { source: '10.0.0.7', destination: '203.0.113.7', ipVersion: 1 }, interface: { index: 12 },
    l4: { protocol: { $case: 'TCP', value: { sourcePort: 41_000, destinationPort: 443, flags: { SYN: true, ACK: false } } } },
    source: { ID: 7, identity: 300, namespace: 'default', podName: 'net1-5d8c-x2x', workloads: [{ name: 'net1', kind: 'Deployment' }] },
    destination: { identity: 2, labels: ['reserved:world'] }, egressDeniedBy: [{ name: 'echo', namespace: 'default' }], egressAllowedBy: [],
    ingressDeniedBy: [], emitter: { name: 'tandem-agent', version: '1.2.3' },
  };
  t.match(verdict, { ...both, eventType: { type: 5, subType: 0 }, policyMatchType: 0 });
  t.match(drop, { ...both, eventType: { type: 1, subType: 133 } });
  t.equal(Number(verdict.time?.seconds), (BOOTED_AT_MS + 2000) / 1000);
  t.not(verdict.uuid, drop.uuid);
  t.end();
});

t.test('the first packet of an allowed connection says which policy allows it, and by how much of it', (t) => {
  for (const [rule, match] of [[0, 2], [1, 1], [2, 3], [4, 4], [5, 2], [6, 5]] as const) {
    const flows = flowsOf({ verdict: 'allowed', ruleSet: OUT, rule });
    t.equal(flows.length, 1);
    t.match(flows[0], { verdict: Verdict.FORWARDED, eventType: { type: 5 }, policyMatchType: match, egressAllowedBy: [{ name: 'echo' }], egressDeniedBy: [], dropReasonDesc: 0 }, `rule ${rule}`);
  }
  t.match(flowsOf({ verdict: 'allowed', ruleSet: OUT })[0], { verdict: Verdict.FORWARDED, policyMatchType: 4, egressAllowedBy: [], egressDeniedBy: [] }, 'open by default');
  t.end();
});

t.test('a rule that denies is another reason, and names its policy', (t) => {
  const [verdict, drop] = flowsOf({ ruleSet: OUT, rule: 3 });
  t.match(verdict, { verdict: Verdict.DROPPED, policyMatchType: 2, dropReasonDesc: DropReason.POLICY_DENY, egressDeniedBy: [{ name: 'no-ads' }] });
  t.match(drop, { eventType: { type: 1, subType: 181 }, egressDeniedBy: [{ name: 'no-ads' }] });
  t.end();
});

t.test('ingress is the pod at the other end, and ingress\'s own policies', (t) => {
  const way = { direction: 'ingress', source: '10.0.1.53', destination: '10.0.0.7', ruleSet: IN } as const;
  t.match(flowsOf(way)[0], {
    trafficDirection: TrafficDirection.INGRESS, source: { identity: 301, podName: '' }, destination: { podName: 'net1-5d8c-x2x' },
    ingressDeniedBy: [{ name: 'closes-ingress' }], egressDeniedBy: [],
  });
  t.match(flowsOf({ ...way, verdict: 'allowed', rule: 0 })[0], { ingressAllowedBy: [{ name: 'in' }], egressAllowedBy: [] });
  t.end();
});

t.test('what audit mode lets pass is one verdict, and no drop', (t) => {
  const flows = flowsOf({ verdict: 'audited', ruleSet: OUT });
  t.equal(flows.length, 1);
  t.match(flows[0], { verdict: Verdict.AUDIT, eventType: { type: 5 }, dropReasonDesc: 0, egressDeniedBy: [{ name: 'echo' }] });
  t.end();
});

t.test('a stranger with a pod\'s address is nobody, and IDENTITY_STALE', (t) => {
  const [out, ...more] = flowsOf({ verdict: 'stranger' });
  t.same(more, []);
  t.match(out, {
    verdict: Verdict.DROPPED, eventType: { type: 1, subType: 132 }, dropReasonDesc: DropReason.INVALID_SOURCE_IP, policyLog: ['IDENTITY_STALE'],
    Summary: 'TCP Flags: SYN; IDENTITY_STALE', source: { ID: 0, identity: 0, podName: '', namespace: '' }, egressDeniedBy: [], egressAllowedBy: [],
  });
  const [into] = flowsOf({ verdict: 'stranger', direction: 'ingress', source: '10.0.1.53', destination: '10.0.0.7' });
  t.match(into, { source: { identity: 301 }, destination: { ID: 0, identity: 0, podName: '' } });
  const [audited, ...none] = flowsOf({ verdict: 'audited-stranger' });
  t.same(none, []);
  t.match(audited, { verdict: Verdict.AUDIT, eventType: { type: 5 }, dropReasonDesc: 0, policyLog: ['IDENTITY_STALE'], source: { ID: 0, podName: '' } }, 'also where audit mode lets it pass');
  t.end();
});

t.test('the other end has the names by which the pod learned it, also when they are forgotten since', (t) => {
  const { log, packets } = stage();
  packets.learn('u', 'www.cnn.com.', '203.0.113.7');
  packets.learn('u', 'cnn.com.', '203.0.113.7');
  packets.learn('another', 'its.example.', '203.0.113.7');
  packets.flows.logged([packetOf({ ruleSet: OUT }), packetOf({ direction: 'ingress', source: '203.0.113.7', destination: '10.0.0.7' })]);
  packets.learn('u', 'late.example.', '203.0.113.8');
  packets.flows.logged([packetOf({ destination: '203.0.113.8' })]);
  packets.mappings.length = 0;
  const [out, , into, , late] = rest(log.read('oldest'));
  t.same([out.sourceNames, out.destinationNames], [[], ['www.cnn.com', 'cnn.com']]);
  t.same([into.sourceNames, into.destinationNames], [['www.cnn.com', 'cnn.com'], []]);
  t.same(late.destinationNames, ['late.example'], 'and one that was learned since the last packet');
  t.end();
});

t.test('the summary is Hubble\'s', (t) => {
  const summaries: readonly (readonly [PacketShape, string, string | undefined])[] = [
    [{ tcpFlags: 0x12 }, 'TCP Flags: SYN, ACK', 'TCP'], [{ tcpFlags: 0x18 }, 'TCP Flags: ACK, PSH', 'TCP'], [{ tcpFlags: 0 }, 'TCP Flags: ', 'TCP'],
    [{ protocol: 17 }, 'UDP', 'UDP'], [{ protocol: 132 }, 'SCTP', 'SCTP'],
    [{ protocol: 1, icmpType: 8 }, 'ICMPv4 EchoRequest', 'ICMPv4'], [{ protocol: 1, icmpType: 3, icmpCode: 3 }, 'ICMPv4 DestinationUnreachable(Code: 3)', 'ICMPv4'],
    [{ protocol: 1, icmpType: 77, icmpCode: 1 }, 'ICMPv4 77(1)', 'ICMPv4'], [{ protocol: 58, icmpType: 128, source: 'fd00::7', destination: '2001:db8::1' }, 'ICMPv6 EchoRequest', 'ICMPv6'],
    [{ protocol: 47 }, 'IP protocol 47', undefined],
  ];
  for (const [shape, summary, layer] of summaries) {
    const [flow] = flowsOf(shape);
    t.equal(flow.Summary, summary);
    t.equal(flow.l4?.protocol?.$case, layer);
    t.same(Flow.decode(Flow.encode(flow).finish()), flow);
  }
  t.end();
});

t.test('packets are among the queries, in the order of time, and at the peer, too', (t) => {
  const context = contextOf(WITH_RULES);
  const log = new RingLog('dns-proxy', context);
  const queries = new RingStage(1);
  const packets = new PacketStage(2, context);
  log.add('agent', 3, [...queries.shared, packets.shared]);
  const reader = log.read('newest');
  queries.write({ name: 'cnn.com.', receivedAtMs: 1000, endedAtMs: 1002 });
  packets.flows.logged([packetOf({ verdict: 'allowed', atMs: 1003 })]);
  queries.write({ name: 'bbc.co.uk.', receivedAtMs: 1004, endedAtMs: 1006 });
  packets.flows.logged([packetOf({ atMs: 1007 })]);
  const texts = rest(reader).map(({ Summary }) => Summary.split(' ').slice(0, 2).join(' '));
  t.same(texts, ['DNS Query', 'DNS Answer', 'TCP Flags:', 'DNS Query', 'DNS Answer', 'TCP Flags:', 'TCP Flags:']);
  t.match(log.members()[1], { role: 'agent', connected: true, seen: 7 });
  log.ended(3);
  t.equal(rest(log.read('oldest')).length, 7, 'when it is gone, they are still there');
  t.end();
});

t.test('a rule set that is not known here names no policy and no rule', (t) => {
  const [verdict] = flowsOf({ verdict: 'allowed', ruleSet: '0123456789abcdef', rule: 0 });
  t.match(verdict, { verdict: Verdict.FORWARDED, egressAllowedBy: [], source: { podName: 'net1-5d8c-x2x' } });
  t.match(flowsOf({ ruleSet: OUT, rule: 99 })[0], { verdict: Verdict.DROPPED, dropReasonDesc: DropReason.POLICY_DENIED });
  t.end();
});

t.test('rules of an earlier revision are named while it is remembered', (t) => {
  const { log, packets, context } = stage();
  context.directory.setSnapshot({ ...WITH_RULES, revision: 4, endpoints: [{ ...WITH_RULES.endpoints[0], ruleSet: 1 }] });
  packets.flows.logged([packetOf({ verdict: 'allowed', ruleSet: OUT, rule: 0 })]);
  t.match(rest(log.read('oldest'))[0], { egressAllowedBy: [{ name: 'echo', revision: 3n }], policyMatchType: 2 });
  t.end();
});

t.test('every packet is counted by direction and verdict, with a ring and without', (t) => {
  const { packets } = stage();
  packets.flows.logged([packetOf(), packetOf(), packetOf({ direction: 'ingress', verdict: 'stranger' })]);
  packets.flows.lost(3);
  const counts = packets.flows.counts();
  t.equal(counts.length, 10);
  t.same(counts.filter(({ count }) => count > 0), [{ direction: 'egress', verdict: 'denied', count: 2 }, { direction: 'ingress', verdict: 'stranger', count: 1 }]);
  t.equal(packets.flows.lostCount, 3);
  t.end();
});
