import t from 'tap';
import { DropReason, Flow, flowPb, FlowType, IPVersion, L7FlowType, LostEventSource, NodeState, TrafficDirection, Verdict } from './index.js';

/** From the published contract, by hand: what the stock client sends and expects. */
const NUMBERS: readonly [string, Readonly<Record<string, number | string>>, Readonly<Record<string, number>>][] = [
  ['Verdict', Verdict, { UNKNOWN: 0, FORWARDED: 1, DROPPED: 2, ERROR: 3, AUDIT: 4, REDIRECTED: 5, TRACED: 6, TRANSLATED: 7 }],
  ['FlowType', FlowType, { UNKNOWN_TYPE: 0, L3_L4: 1, L7: 2, SOCK: 3 }],
  ['L7FlowType', L7FlowType, { UNKNOWN_L7_TYPE: 0, REQUEST: 1, RESPONSE: 2, SAMPLE: 3 }],
  ['TrafficDirection', TrafficDirection, { UNKNOWN: 0, INGRESS: 1, EGRESS: 2 }],
  ['IPVersion', IPVersion, { IP_NOT_USED: 0, IPv4: 1, IPv6: 2 }],
  ['LostEventSource', LostEventSource, { UNKNOWN_LOST_EVENT_SOURCE: 0, PERF_EVENT_RING_BUFFER: 1, OBSERVER_EVENTS_QUEUE: 2, HUBBLE_RING_BUFFER: 3 }],
  ['NodeState', NodeState, { UNKNOWN_NODE_STATE: 0, NODE_CONNECTED: 1, NODE_UNAVAILABLE: 2, NODE_GONE: 3, NODE_ERROR: 4 }],
  ['EventType', flowPb.EventType, { UNKNOWN: 0, RecordLost: 2, EventSample: 9 }],
  ['DropReason', DropReason, { UNKNOWN: 0, POLICY_DENIED: 133, POLICY_DENY: 181, AUTH_REQUIRED: 189, NO_EGRESS_GATEWAY: 194, TTL_EXCEEDED: 196, DROP_EP_NOT_READY: 203, DROP_NO_DEVICE: 206 }],
  ['AuthType', flowPb.AuthType, { DISABLED: 0, SPIRE: 1, TEST_ALWAYS_FAIL: 2 }],
  ['TraceObservationPoint', flowPb.TraceObservationPoint, { UNKNOWN_POINT: 0, TO_PROXY: 1, FROM_ENDPOINT: 5, TO_NETWORK: 11, TO_ENDPOINT: 101 }],
];

for (const [name, actual, expected] of NUMBERS) {
  t.test(`${name} has Hubble's numbers`, (t) => {
    for (const [key, number] of Object.entries(expected)) t.equal(actual[key], number, key);
    t.end();
  });
}

t.test('a flow in JSON has the names that the stock client prints', (t) => {
  const flow = Flow.fromPartial({
    time: { seconds: 1n, nanos: 500_000_000 }, verdict: Verdict.DROPPED, dropReasonDesc: DropReason.POLICY_DENIED, nodeName: 'n', Type: FlowType.L7, isReply: false,
    trafficDirection: TrafficDirection.EGRESS, eventType: { type: 129 }, IP: { source: '192.0.2.1', ipVersion: IPVersion.IPv4 },
    l4: { protocol: { $case: 'UDP', value: { sourcePort: 5, destinationPort: 53 } } },
    l7: { type: L7FlowType.REQUEST, latencyNs: 7n, record: { $case: 'dns', value: { query: 'a.test.', observationSource: 'proxy' } } },
  });
  t.strictSame(Flow.toJSON(flow), {
    time: '1970-01-01T00:00:01.500Z', verdict: 'DROPPED', drop_reason_desc: 'POLICY_DENIED', node_name: 'n', Type: 'L7', is_reply: false,
    traffic_direction: 'EGRESS', event_type: { type: 129 }, IP: { source: '192.0.2.1', ipVersion: 'IPv4' }, l4: { UDP: { source_port: 5, destination_port: 53 } },
    l7: { type: 'REQUEST', latency_ns: '7', dns: { query: 'a.test.', observation_source: 'proxy' } },
  });
  t.strictSame(Flow.fromJSON(Flow.toJSON(flow)), flow);
  t.end();
});
