import fc from 'fast-check';
import t from 'tap';
import { ALLOW_NO_POLICY, DENY, deniedBy, OUTCOME, type Snapshot } from '@tandem/core';
import type { DnsRecord } from '@tandem/dns/codec';
import { type Flow, Flow as FlowCodec, DropReason, FlowType, IPVersion, L7FlowType, TrafficDirection, Verdict } from '@tandem/proto';
import { decodeRecord } from './decode.js';
import type { ObservedFlow } from './flow-log.js';
import { FLOW, FlowRecord } from './flow-record.js';
import { CELL_WORDS, FlowRingReader, RECORD_CELLS_MAX, RING_CELLS_MIN } from './flow-ring.js';
import { BOOTED_AT_MS, contextOf, type QueryShape, RingStage, SNAPSHOT } from './testing/stage.js';

const A: DnsRecord = { name: 'echo.k8s.intra.', type: 'A', ttlSeconds: 30, data: { form: 'address', address: '172.17.0.2' } };

function flowsOf(shape: QueryShape, snapshot: Snapshot | null = SNAPSHOT): readonly ObservedFlow[] {
  const stage = new RingStage(0xabcdef01);
  stage.write(shape);
  const reader = new FlowRingReader(stage.words, RING_CELLS_MIN);
  reader.readAt(0);
  return decodeRecord(new FlowRecord(reader.record), { role: 'agent', ringId: reader.id, release: reader.release }, contextOf(snapshot));
}

function dnsOf(flow: Flow): unknown {
  return flow.l7?.record?.value;
}

t.test('an answered query is a request and an answer, as Hubble has them', (t) => {
  const [request, answer] = flowsOf({ name: 'eChO.k8s.intra.', answers: [A] });
  t.match(request.flow, {
    verdict: Verdict.FORWARDED, Type: FlowType.L7, nodeName: 'node-1', isReply: false, trafficDirection: TrafficDirection.EGRESS,
    eventType: { type: 129 }, Summary: 'DNS Query echo.k8s.intra. A', dropReasonDesc: DropReason.UNKNOWN,
    IP: { source: '10.0.0.7', destination: '10.96.0.10', ipVersion: IPVersion.IPv4 },
    l4: { protocol: { $case: 'UDP', value: { sourcePort: 40_000, destinationPort: 53 } } },
    source: {
      ID: 7, identity: 300, namespace: 'default', podName: 'net1-5d8c-x2x', clusterName: 'default',
      labels: ['k8s:app=net', 'k8s:io.kubernetes.pod.namespace=default', 'k8s:pod-template-hash=5d8c'], workloads: [{ name: 'net1', kind: 'Deployment' }],
    },
    destination: { ID: 0, identity: 301, namespace: 'kube-system' }, destinationService: { namespace: 'kube-system', name: 'kube-dns' },
    egressAllowedBy: [{ kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'echo', revision: 3n }], egressDeniedBy: [], emitter: { name: 'tandem-agent', version: '1.2.3' },
    l7: { type: L7FlowType.REQUEST, latencyNs: 0n },
  });
  t.same(dnsOf(request.flow), { query: 'echo.k8s.intra.', ips: [], ttl: 0, cnames: [], observationSource: 'proxy', rcode: 0, qtypes: ['A'], rrtypes: [] });
  t.equal(request.timeMs, BOOTED_AT_MS + 1000);
  t.match(answer.flow, {
    verdict: Verdict.FORWARDED, isReply: true, reply: true, Summary: 'DNS Answer "172.17.0.2" TTL: 30 (Proxy echo.k8s.intra. A)',
    IP: { source: '10.96.0.10', destination: '10.0.0.7' }, l4: { protocol: { $case: 'UDP', value: { sourcePort: 53, destinationPort: 40_000 } } },
    source: { identity: 301 }, destination: { ID: 7 }, sourceService: { name: 'kube-dns' }, destinationService: undefined, trafficDirection: TrafficDirection.EGRESS,
    l7: { type: L7FlowType.RESPONSE, latencyNs: 2_500_000n },
  });
  t.same(dnsOf(answer.flow), { query: 'echo.k8s.intra.', ips: ['172.17.0.2'], ttl: 30, cnames: [], observationSource: 'proxy', rcode: 0, qtypes: ['A'], rrtypes: ['A'] });
  t.equal(answer.timeMs, BOOTED_AT_MS + 1002.5);
  t.same(answer.flow.time, { seconds: BigInt(BOOTED_AT_MS / 1000 + 1), nanos: 2_500_000 });
  t.match(request.flow.uuid, /^abcdef01-abcd-8ef0-8010-[0-9a-f]{12}$/);
  t.not(request.flow.uuid, answer.flow.uuid);
  t.same(FlowCodec.decode(answer.bytes), answer.flow, 'the bytes say the same');
  t.end();
});

/** Name, query, verdicts of request and answer (null: none), drop reason, policy_log, denied by. */
const TURNS: readonly (readonly [string, Partial<QueryShape>, Verdict, Verdict | null, DropReason, readonly string[], readonly string[]])[] = [
  ['no rule allows it', { outcome: OUTCOME.refused, rule: DENY }, Verdict.DROPPED, null, DropReason.POLICY_DENIED, [], ['echo']],
  ['a rule denies it', { outcome: OUTCOME.refused, rule: deniedBy(1) }, Verdict.DROPPED, null, DropReason.POLICY_DENY, [], ['no-ads']],
  ['audit mode', { rule: DENY }, Verdict.AUDIT, Verdict.FORWARDED, DropReason.UNKNOWN, [], ['echo']],
  ['a limit that only counts', { audited: OUTCOME.queryRate }, Verdict.AUDIT, Verdict.FORWARDED, DropReason.UNKNOWN, [], []],
  ['a stranger', { outcome: OUTCOME.stranger, endpointId: 0, rule: ALLOW_NO_POLICY, from: '192.0.2.9' }, Verdict.DROPPED, null, DropReason.UNKNOWN_SENDER, ['unknown-endpoint'], []],
  ['no policy yet', { outcome: OUTCOME.noSnapshot, endpointId: 0, rule: ALLOW_NO_POLICY }, Verdict.DROPPED, null, DropReason.NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION, ['no-snapshot'], []],
  ['over the rate', { outcome: OUTCOME.queryRate }, Verdict.DROPPED, null, DropReason.POLICY_DENIED, ['query-rate'], []],
  ['over the entropy', { outcome: OUTCOME.labelEntropy }, Verdict.DROPPED, null, DropReason.POLICY_DENIED, ['label-entropy'], []],
  ['overload', { outcome: OUTCOME.overload }, Verdict.ERROR, null, DropReason.UNKNOWN, ['overload'], []],
  ['malformed', { outcome: OUTCOME.malformed }, Verdict.ERROR, null, DropReason.UNKNOWN, ['malformed'], []],
  ['a query of death', { outcome: OUTCOME.unparsed }, Verdict.ERROR, null, DropReason.UNKNOWN, ['query-of-death'], []],
  ['a silent upstream', { outcome: OUTCOME.upstreamTimeout, rcode: 2 }, Verdict.FORWARDED, Verdict.ERROR, DropReason.UNKNOWN, ['upstream-timeout'], []],
  ['a private address', { outcome: OUTCOME.privateAddress, rcode: 5 }, Verdict.FORWARDED, Verdict.DROPPED, DropReason.POLICY_DENIED, ['private-address'], []],
];

for (const [what, shape, request, answer, reason, why, denied] of TURNS) {
  t.test(`how it ended: ${what}`, (t) => {
    const flows = flowsOf({ name: 'x.example.', ...shape }).map(({ flow }) => flow);
    t.same(flows.map(({ verdict }) => verdict), answer === null ? [request] : [request, answer]);
    const last = flows.at(-1)!;
    t.equal(last.dropReasonDesc, reason);
    t.equal(last.dropReason, reason);
    t.same(last.policyLog, why);
    t.same(flows[0].policyLog, shape.audited === undefined ? (answer === null ? why : []) : ['query-rate']);
    t.same(flows[0].egressDeniedBy.map(({ name }) => name), denied);
    t.end();
  });
}

t.test('answers in words: aliases, no such name, nothing of that type, IPv6', (t) => {
  const summary = (shape: Partial<QueryShape>): string => flowsOf({ name: 'www.example.', ...shape })[1].flow.Summary;
  const alias: DnsRecord = { name: 'www.example.', type: 'CNAME', ttlSeconds: 60, data: { form: 'name', target: 'real.example.' } };
  const v6: DnsRecord = { name: 'real.example.', type: 'AAAA', ttlSeconds: 5, data: { form: 'address', address: '2001:db8::1' } };
  const more: DnsRecord = { name: 'real.example.', type: 'A', ttlSeconds: 9, data: { form: 'address', address: '198.51.100.1' } };
  t.equal(summary({ answers: [alias, more, { ...more, data: { form: 'address', address: '198.51.100.2' } }] }), 'DNS Answer "198.51.100.1,198.51.100.2" CNAMEs: "real.example." TTL: 9 (Proxy www.example. A)');
  t.equal(summary({ type: 'AAAA', answers: [v6] }), 'DNS Answer "2001:db8::1" TTL: 5 (Proxy www.example. AAAA)');
  t.equal(summary({ rcode: 3 }), 'DNS Answer RCode: Non-Existent Domain TTL: 4294967295 (Proxy www.example. A)');
  t.equal(summary({ rcode: 2 }), 'DNS Answer RCode: Server Failure TTL: 4294967295 (Proxy www.example. A)');
  t.equal(summary({ type: 'MX' }), 'DNS Answer  TTL: 4294967295 (Proxy www.example. MX)');
  t.end();
});

t.test('what is not known is left out, not made up', (t) => {
  const [request] = flowsOf({ name: 'x.example.', revision: 2 });
  t.same(request.flow.egressAllowedBy, [], 'another revision decided');
  t.match(flowsOf({ name: 'x.example.', from: '192.0.2.9', endpointId: 0, rule: ALLOW_NO_POLICY })[0].flow.source, { ID: 0, identity: 0x100_0001, labels: ['cidr:192.0.2.0/24', 'reserved:world'] });
  t.match(flowsOf({ name: 'x.example.', from: '203.0.113.1', endpointId: 0, rule: ALLOW_NO_POLICY })[0].flow.source, { ID: 0, identity: 2, labels: ['reserved:world'] });
  t.match(flowsOf({ name: 'x.example.' }, null)[0].flow, { source: { identity: 2 }, egressAllowedBy: [] });
  t.end();
});

t.test('an endpoint that is gone keeps its name', (t) => {
  const context = contextOf();
  context.directory.setSnapshot({ ...SNAPSHOT, revision: 4, endpoints: [] });
  t.equal(context.directory.endpoint(7)?.podName, 'net1-5d8c-x2x');
  t.same(context.directory.policies({ revision: 3, endpointId: 7, rule: 0, direction: 'egress' }).map(({ name }) => name), ['echo'], 'and the revision that decided its policies');
  t.end();
});

t.test('an answer that is longer than what is kept of it says so', (t) => {
  const answers = Array.from({ length: 400 }, (): DnsRecord => A);
  const [request, answer] = flowsOf({ name: 'echo.k8s.intra.', answers });
  t.same([request.flow.policyLog, answer.flow.policyLog], [[], ['answer-cut']]);
  t.match(dnsOf(answer.flow), { query: 'echo.k8s.intra.', ips: [] });
  t.same(flowsOf({ name: 'echo.k8s.intra.', answers: [A] })[1].flow.policyLog, []);
  t.end();
});

t.test('bytes that are no answer make flows without one', (t) => {
  for (const length of [0, 3, 11, 12, 20, 40]) {
    const stage = new RingStage(5);
    stage.writeBytes(new Uint8Array(length).fill(0xff), {});
    const reader = new FlowRingReader(stage.words, RING_CELLS_MIN);
    reader.readAt(0);
    const flows = decodeRecord(new FlowRecord(reader.record), { role: 'agent', ringId: reader.id, release: reader.release }, contextOf());
    t.equal(flows.length, 2);
    t.match(dnsOf(flows[1].flow), { query: '', ips: [], qtypes: [] }, `${length} bytes`);
  }
  t.end();
});

t.test('no record of a peer, whatever it holds, ends its reader', (t) => {
  const doubles = fc.oneof(fc.double(), fc.constantFrom(NaN, Infinity, -Infinity, -1, Number.MAX_VALUE, 2 ** 53));
  fc.assert(fc.property(fc.uint8Array({ minLength: 512, maxLength: 512 }), fc.tuple(doubles, doubles, doubles), (noise, [ended, received, booted]) => {
    const record = new Uint32Array(RECORD_CELLS_MAX * CELL_WORDS);
    new Uint8Array(record.buffer).set(noise);
    const times = new Float64Array(record.buffer);
    times.set([ended], FLOW.endedAtMs / 2);
    times.set([received], FLOW.receivedAtMs / 2);
    times.set([booted], FLOW.bootedAtMs / 2);
    for (const outcome of [OUTCOME.answered, noise[9]]) {
      record[FLOW.kind] = (record[FLOW.kind] & 0xffff_00ff) | (outcome << 8);
      for (const { flow, bytes, timeMs } of decodeRecord(new FlowRecord(record), { role: 'agent', ringId: '0123456789abcdef', release: '' }, contextOf())) {
        t.ok(Number.isFinite(new Date(timeMs).getTime()));
        t.same(FlowCodec.decode(bytes), flow);
      }
    }
  }), { numRuns: 200 });
  t.end();
});
