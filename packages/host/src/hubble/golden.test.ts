import { DropReason, Flow, FlowType, GetFlowsRequest, GetFlowsResponse, IPVersion, L7FlowType, NodeState, TrafficDirection, Verdict } from '@tandem/proto';
import type { Client } from '@grpc/grpc-js';
import t from 'tap';
import { lostResponse, nodeStatusResponse } from './response-bytes.js';
import { ANSWER, LOST, NODE_STATUS, OBSERVE_DNS, REFUSED, REQUEST, SERVER_STATUS } from './testing/golden-bytes.js';
import { ListedFlows } from './testing/listed-flows.js';
import { answerOf, serve } from './testing/served-flows.js';

const ABOUT = { nodeName: 'node', timeMs: 1_700_000_000_500 };
const time = { seconds: 1_700_000_000n, nanos: 500_000_000 };
const pod = {
  ID: 7, identity: 1001, namespace: 'shop', labels: ['k8s:app=crawler'], podName: 'crawler', workloads: [{ name: 'crawler', kind: 'Deployment' }], clusterName: 'default',
};
const world = { identity: 2, labels: ['reserved:world'] };
const policy = { name: 'dns', namespace: 'shop', kind: 'CiliumNetworkPolicy' };
const dns = { query: 'a.test.', observationSource: 'proxy', qtypes: ['A'] };
const each = { time, Type: FlowType.L7, nodeName: 'node', eventType: { type: 129 }, trafficDirection: TrafficDirection.EGRESS };
const asked = {
  ...each, IP: { source: '10.0.0.1', destination: '10.0.0.53', ipVersion: IPVersion.IPv4 }, source: pod, destination: world, isReply: false, Summary: 'DNS Query a.test. A',
  l4: { protocol: { $case: 'UDP' as const, value: { sourcePort: 40_000, destinationPort: 53 } } }, l7: { type: L7FlowType.REQUEST, record: { $case: 'dns' as const, value: dns } },
};

const REQUEST_FLOW = Flow.fromPartial({ ...asked, verdict: Verdict.FORWARDED, uuid: 'u-request', egressAllowedBy: [policy] });
const REFUSED_FLOW = Flow.fromPartial({
  ...asked, verdict: Verdict.DROPPED, dropReason: DropReason.POLICY_DENIED, dropReasonDesc: DropReason.POLICY_DENIED, uuid: 'u-refused', egressDeniedBy: [policy],
});
const ANSWER_FLOW = Flow.fromPartial({
  ...each, verdict: Verdict.FORWARDED, uuid: 'u-answer', egressAllowedBy: [policy], IP: { source: '10.0.0.53', destination: '10.0.0.1', ipVersion: IPVersion.IPv4 }, source: world, destination: pod,
  isReply: true, Summary: 'DNS Answer "192.0.2.7" TTL: 30 (Proxy a.test. A)', l4: { protocol: { $case: 'UDP', value: { sourcePort: 53, destinationPort: 40_000 } } },
  l7: { type: L7FlowType.RESPONSE, latencyNs: 1_500_000n, record: { $case: 'dns', value: { ...dns, ips: ['192.0.2.7'], ttl: 30, cnames: ['b.test.'], rrtypes: ['CNAME', 'A'] } } },
});

const bytes = (value: Buffer): Buffer => value;

/** The responses as they come over the wire. */
async function raw(channel: Client, request: Buffer): Promise<Buffer[]> {
  const responses: Buffer[] = [];
  for await (const response of channel.makeServerStreamRequest('/observer.Observer/GetFlows', bytes, bytes, request)) responses.push(response as Buffer);
  return responses;
}

t.test('flows come in the bytes that the stock client reads', async (t) => {
  const { channel } = await serve(t, new ListedFlows([REQUEST_FLOW, ANSWER_FLOW, REFUSED_FLOW]));
  const responses = await raw(channel, Buffer.alloc(0));
  t.strictSame(responses.map((response) => response.toString('hex')), [REQUEST, ANSWER, REFUSED].map((response) => response.toString('hex')));
});

t.test("the stock client's request is understood, its field mask too", async (t) => {
  const other = Flow.fromPartial({ ...REQUEST_FLOW, l7: { record: { $case: 'http', value: { method: 'GET' } } } });
  const { channel } = await serve(t, new ListedFlows([other, ANSWER_FLOW]));
  const [response, ...rest] = await raw(channel, OBSERVE_DNS);
  t.strictSame(rest, []);
  const { uuid, egressAllowedBy, source, destination, ...shown } = ANSWER_FLOW;
  t.strictSame(GetFlowsResponse.decode(response).responseTypes?.value, Flow.fromPartial({
    ...shown, trafficDirection: TrafficDirection.UNKNOWN, source: { identity: source!.identity }, destination: { identity: destination!.identity, namespace: 'shop', podName: 'crawler' },
  }), `without ${uuid} and ${egressAllowedBy.length} policy`);
  t.match(GetFlowsRequest.decode(OBSERVE_DNS), { number: 20n, follow: false, whitelist: [{ protocol: ['dns'] }], blacklist: [] });
});

t.test('events beside the flows come in the bytes that the stock client reads', (t) => {
  t.equal(Buffer.from(lostResponse(300, ABOUT)).toString('hex'), LOST.toString('hex'));
  t.equal(Buffer.from(nodeStatusResponse(NodeState.NODE_UNAVAILABLE, ['node/agent'], 'gone', ABOUT)).toString('hex'), NODE_STATUS.toString('hex'));
  t.end();
});

t.test('the status comes in the bytes that the stock client reads', async (t) => {
  const flows = new ListedFlows([REQUEST_FLOW, ANSWER_FLOW, REFUSED_FLOW], 8192);
  flows.connected = { 'agent': true, 'dns-proxy': false };
  const { channel } = await serve(t, flows);
  const status = await answerOf<Buffer | undefined>((callback) => channel.makeUnaryRequest('/observer.Observer/ServerStatus', bytes, bytes, Buffer.alloc(0), callback));
  t.equal(status?.toString('hex'), SERVER_STATUS.toString('hex'));
});
