import { status } from '@grpc/grpc-js';
import { Flow, FlowType, L7FlowType, NodeState, observerPb, Verdict } from '@tandem/proto';
import t from 'tap';
import { ListedFlows } from './testing/listed-flows.js';
import { answerOf, Follower, refusalOf, type Request, responsesOf, serve, uuidOf, uuidsOf } from './testing/served-flows.js';

const START_SECONDS = 1_700_000_000;

/** One per second; every third is refused. */
function flowAt(index: number): Flow {
  return Flow.fromPartial({
    uuid: `flow-${index}`, time: { seconds: BigInt(START_SECONDS + index), nanos: 500_000_000 }, nodeName: 'node', Type: FlowType.L7,
    verdict: index % 3 === 0 ? Verdict.DROPPED : Verdict.FORWARDED,
    source: { namespace: index % 2 === 0 ? 'shop' : 'bank', podName: `pod-${index % 4}`, clusterName: 'default' },
    l7: { type: L7FlowType.REQUEST, record: { $case: 'dns', value: { query: `n${index}.test.` } } },
  });
}

function listed(count: number): ListedFlows {
  return new ListedFlows(Array.from({ length: count }, (_, index) => flowAt(index)));
}

function named(...indexes: readonly number[]): string[] {
  return indexes.map((index) => `flow-${index}`);
}

const at = (second: number): { seconds: bigint; nanos: number } => ({ seconds: BigInt(START_SECONDS + second), nanos: 500_000_000 });

t.test('without follow: the last, the first, all, and those of a time', async (t) => {
  const { client } = await serve(t, listed(10));
  const dropped = [{ verdict: [Verdict.DROPPED] }];
  const table: readonly [string, Request, string[]][] = [
    ['all', {}, named(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)],
    ['the last 3', { number: 3n }, named(7, 8, 9)],
    ['more than there are', { number: 100n }, named(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)],
    ['the first 3', { number: 3n, first: true }, named(0, 1, 2)],
    ['the last 2 that match', { number: 2n, whitelist: dropped }, named(6, 9)],
    ['the first 2 that match', { number: 2n, first: true, whitelist: dropped }, named(0, 3)],
    ['all but those that match', { blacklist: dropped }, named(1, 2, 4, 5, 7, 8)],
    ['blacklist after whitelist', { whitelist: dropped, blacklist: [{ sourcePod: ['bank/'] }] }, named(0, 6)],
    ['since, itself among them', { since: at(7) }, named(7, 8, 9)],
    ['until, itself among them', { until: at(2) }, named(0, 1, 2)],
    ['between', { since: at(3), until: at(5) }, named(3, 4, 5)],
    ['the last 2 between', { since: at(3), until: at(7), number: 2n }, named(6, 7)],
    ['the first 2 since', { since: at(3), number: 2n, first: true }, named(3, 4)],
    ['the last 2 until', { until: at(4), number: 2n }, named(3, 4)],
    ['since a time to come', { since: at(1_000) }, []],
    ['nothing matches', { whitelist: [{ uuid: ['none'] }] }, []],
  ];
  for (const [name, request, expected] of table) t.strictSame(await uuidsOf(client, request), expected, name);
});

t.test('a flow that is written long after its time has its place among those of a time', async (t) => {
  const order = [0, 3, 1, 5, 4, 2, 9, 6];
  const { client } = await serve(t, new ListedFlows(order.map(flowAt)));
  t.strictSame(await uuidsOf(client, { since: at(2), until: at(5) }), named(3, 5, 4, 2));
  t.strictSame(await uuidsOf(client, { since: at(4), number: 2n }), named(9, 6));
  t.strictSame(await uuidsOf(client, { follow: true, since: at(2), until: at(5) }), named(3, 5, 4, 2));
});

t.test('there is nothing where there are no flows', async (t) => {
  const { client } = await serve(t, new ListedFlows());
  t.strictSame(await uuidsOf(client, {}), []);
  t.strictSame(await uuidsOf(client, { number: 5n }), []);
  t.strictSame(await uuidsOf(client, { number: 5n, first: true }), []);
});

t.test('what follows gets new flows, and before them those that it asks for', async (t) => {
  const flows = listed(5);
  const { client } = await serve(t, flows);
  const fresh = new Follower(client, {});
  const last = new Follower(client, { number: 2n });
  const since = new Follower(client, { since: at(1), whitelist: [{ verdict: [Verdict.DROPPED] }] });
  await last.until(({ length }) => length === 2);
  await since.until(({ length }) => length === 1);
  // Only now is it certain that the first one has its place, too.
  await responsesOf(client, { number: 1n });
  for (const index of [5, 6, 7]) flows.push(flowAt(index));
  await fresh.until(({ length }) => length === 3);
  await last.until(({ length }) => length === 5);
  await since.until(({ length }) => length === 2);
  t.strictSame(fresh.responses.map(uuidOf), named(5, 6, 7));
  t.strictSame(last.responses.map(uuidOf), named(3, 4, 5, 6, 7));
  t.strictSame(since.responses.map(uuidOf), named(3, 6));
  for (const follower of [fresh, last, since]) follower.cancel();
});

t.test('a time that is reached ends what follows', async (t) => {
  const flows = listed(2);
  const { client } = await serve(t, flows);
  flows.push(flowAt(2));
  flows.push(flowAt(3));
  t.strictSame(await uuidsOf(client, { follow: true, since: at(1), until: at(2) }), named(1, 2), 'by a flow that is later');
  t.strictSame(await uuidsOf(client, { follow: true, number: 1n, until: at(3) }), named(3), 'by the clock');
});

t.test('a response says where and when the flow was', async (t) => {
  const { client } = await serve(t, listed(1));
  const [response] = await responsesOf(client, {});
  t.strictSame(response, { responseTypes: { $case: 'flow', value: flowAt(0) }, nodeName: 'node', time: at(0) });
});

t.test('a field mask leaves the rest out', async (t) => {
  const { client } = await serve(t, listed(1));
  const [response] = await responsesOf(client, { fieldMask: ['uuid', 'source.pod_name', 'l7.dns.query', 'ethernet'] });
  t.strictSame(response.responseTypes?.value, Flow.fromPartial({
    uuid: 'flow-0', source: { podName: 'pod-0' }, l7: { record: { $case: 'dns', value: { query: 'n0.test.' } } },
  }));
  t.strictSame(response.time, at(0));
});

t.test('what cannot be answered is refused by name', async (t) => {
  const { client } = await serve(t, listed(1));
  const table: readonly [Request, RegExp][] = [
    [{ first: true, follow: true }, /first and follow/],
    [{ whitelist: [{}, { dnsQuery: ['a(b'] }] }, /whitelist\[1\]: dns_query: "a\(b" is no RE2 regular expression/],
    [{ blacklist: [{ sourceIp: ['300.1.1.1'] }] }, /blacklist\[0\]: source_ip: "300\.1\.1\.1" is neither an IP address nor a CIDR/],
    [{ fieldMask: ['source.shoe_size'] }, /field_mask: a flow has no field "source\.shoe_size"/],
    [{ since: { seconds: 1n, nanos: -5 } }, /since: 1 seconds and -5 nanoseconds are no time/],
    [{ until: { seconds: 1n << 62n } }, /until: .* no time/],
    [{ whitelist: [{ experimental: { celExpression: ['true'] } }] }, /experimental\.cel_expression: CEL is not spoken here/],
    [{ whitelist: Array.from({ length: 65 }, () => ({})) }, /whitelist has 65 filters; allowed: 64/],
  ];
  for (const [request, message] of table) {
    t.match(await refusalOf(uuidsOf(client, request)), { code: status.INVALID_ARGUMENT, details: message });
  }
});

t.test('a follower is told who is not there, who goes and who comes back', async (t) => {
  const flows = listed(1);
  flows.connected = { 'agent': true, 'dns-proxy': false };
  const { client } = await serve(t, flows);
  const follower = new Follower(client, { number: 1n });
  const changes = (): unknown[] => follower.responses.flatMap(({ responseTypes }) => (responseTypes?.$case === 'nodeStatus' ? [[responseTypes.value.nodeNames.join(), responseTypes.value.stateChange]] : []));
  await follower.until(({ length }) => length === 2);
  t.strictSame(follower.responses.map(uuidOf), ['(nodeStatus)', 'flow-0']);
  flows.connected = { 'agent': false, 'dns-proxy': true };
  await follower.until(({ length }) => length === 4);
  t.strictSame(changes(), [['node/dns-proxy', NodeState.NODE_UNAVAILABLE], ['node/agent', NodeState.NODE_UNAVAILABLE], ['node/dns-proxy', NodeState.NODE_CONNECTED]]);
  follower.cancel();
});

t.test('status and nodes speak of both members', async (t) => {
  const flows = new ListedFlows(Array.from({ length: 7 }, (_, index) => flowAt(index)), 5);
  const { client, path } = await serve(t, flows);
  const ask = async (): Promise<[observerPb.ServerStatusResponse, observerPb.GetNodesResponse]> => [
    await answerOf((callback) => client.serverStatus({}, callback)), await answerOf((callback) => client.getNodes({}, callback)),
  ];
  let [state, { nodes }] = await ask();
  t.match(state, { numFlows: 5n, maxFlows: 10n, seenFlows: 7n, uptimeNs: 5_000_000_000n, numConnectedNodes: 2, numUnavailableNodes: 0, unavailableNodes: [], version: 'v1' });
  t.match(nodes, [
    { name: 'node/agent', version: 'v1', address: `unix:${path}`, state: NodeState.NODE_CONNECTED, tls: { enabled: false }, numFlows: 5n, maxFlows: 5n, seenFlows: 7n },
    { name: 'node/dns-proxy', state: NodeState.NODE_CONNECTED, numFlows: 0n },
  ]);
  flows.connected = { 'agent': true, 'dns-proxy': false };
  [state, { nodes }] = await ask();
  t.match(state, { numConnectedNodes: 1, numUnavailableNodes: 1, unavailableNodes: ['node/dns-proxy'] });
  t.equal(nodes[1].state, NodeState.NODE_UNAVAILABLE);
  flows.connected = { agent: true };
  [state, { nodes }] = await ask();
  t.match(state, { numConnectedNodes: 1, numUnavailableNodes: 0 });
  t.equal(nodes.length, 1);
});

t.test('namespaces are those of the flows of the last hour', async (t) => {
  const nowSeconds = Math.floor(Date.now() / 1_000);
  const recent = (namespace: string, index: number): Flow => Flow.fromPartial({ ...flowAt(index), time: { seconds: BigInt(nowSeconds) }, source: { namespace, clusterName: 'default' }, destination: { namespace: 'kube-system' } });
  const { client } = await serve(t, new ListedFlows([flowAt(0), recent('shop', 1), recent('', 2), recent('shop', 3)]));
  const { namespaces } = await answerOf<observerPb.GetNamespacesResponse>((callback) => client.getNamespaces({}, callback));
  t.strictSame(namespaces, [{ cluster: '', namespace: 'kube-system' }, { cluster: 'default', namespace: 'shop' }]);
});

t.test('what the pair has none of is unimplemented', async (t) => {
  const { client } = await serve(t, listed(1));
  const all = async (stream: AsyncIterable<unknown>): Promise<void> => {
    for await (const event of stream) t.fail('an event', { event });
  };
  t.match(await refusalOf(all(client.getAgentEvents(observerPb.GetAgentEventsRequest.create()))), { code: status.UNIMPLEMENTED });
  t.match(await refusalOf(all(client.getDebugEvents(observerPb.GetDebugEventsRequest.create()))), { code: status.UNIMPLEMENTED });
});
