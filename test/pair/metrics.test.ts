/** What a member's metrics say while its peer is there, is dead, is back, and is another. */
import t from 'tap';
import { UdpClient } from '../harness/clients.js';
import { CLIENT_A } from '../harness/manifests.js';
import { ROLES } from '../harness/pair.js';
import type { Role } from '../harness/pair.js';
import { kill } from '../harness/under-load.js';
import { until } from '../harness/until.js';
import { addressA, buildAnswer, buildQuery, RCODE, TYPE } from '../harness/wire.js';
import { startBench } from './start.js';

const DEADLINE_MS = 20_000;
const { pair } = await startBench(t, ({ query }) => buildAnswer(query, [addressA('192.0.2.7')]));
await pair.redundant();

/** Value of a series by name and some of its labels; null where there is none. */
async function value(role: Role, name: string, labels = ''): Promise<number | null> {
  const { body } = await pair.http(role, '/metrics');
  const found = new RegExp(`^${name}\\{(?=[^}]*${labels})[^}]*\\} (\\S+)$`, 'm').exec(body);
  return found === null ? null : Number(found[1]);
}

async function becomes(role: Role, name: string, expected: number | null, labels = ''): Promise<void> {
  await until(`${name} of ${role} to be ${String(expected)}`, DEADLINE_MS, async () => ((await value(role, name, labels)) === expected ? true : null));
}

t.test('with both there, each tells of the other', async (t) => {
  await pair.inTouch();
  for (const role of ROLES) {
    t.ok(((await value(role, 'tandem_peer_heartbeat_age_seconds')) ?? NaN) < DEADLINE_MS / 1000, 'it was seen to turn');
    t.equal(await value(role, 'tandem_peer_connected'), 1);
    t.equal(await value(role, 'tandem_peer_policy_differs'), 0);
    t.equal(await value(role, 'tandem_peer_flows_shared'), 1);
    const version = /tandem_build_info\{version="([^"]+)"/.exec((await pair.http(role, '/metrics')).body)?.[1] ?? '';
    t.equal(await value(role, 'tandem_peer_info', `version="${version}"`), 1, 'of the same version');
  }
});

t.test('questions, refusals and answers are counted by type, over both members, and timed', async (t) => {
  const client = await UdpClient.open(CLIENT_A, pair.server);
  const ASKED = 20;
  for (let i = 0; i < ASKED; i++) await client.ask(buildQuery({ name: `n${String(i)}.a.test`, type: TYPE.A }));
  for (let i = 0; i < ASKED; i++) await client.ask(buildQuery({ name: `n${String(i)}.other.test`, type: TYPE.AAAA }));
  client.close();
  const both = async (name: string, labels: string): Promise<number> => ((await value('agent', name, labels)) ?? 0) + ((await value('dns-proxy', name, labels)) ?? 0);
  // On a busy machine a member that is late is taken for hung: its query may then count at both, and once as taken.
  const taken = await both('tandem_taken_total', '');
  const series: readonly [name: string, labels: string, count: number][] = [
    ['hubble_dns_queries_total', 'rcode="",qtypes="A"', ASKED],
    ['hubble_dns_queries_total', 'rcode="Policy denied",qtypes="AAAA"', ASKED],
    ['hubble_dns_responses_total', 'rcode="No Error",qtypes="A",ips_returned="1"', ASKED],
    ['hubble_dns_response_types_total', 'type="A",qtypes="A"', ASKED],
    ['cilium_proxy_upstream_reply_seconds_count', 'error="allow",protocol_l7="dns",scope="totalTime"', ASKED],
    ['cilium_proxy_upstream_reply_seconds_count', 'error="allow",protocol_l7="dns",scope="upstreamTime"', ASKED],
    ['cilium_policy_l7_total', 'rule="denied"', ASKED],
    ['tandem_flows_total', '', 3 * ASKED],
  ];
  for (const [name, labels, count] of series) {
    const counted = await both(name, labels);
    t.ok(counted >= count && counted <= count + 2 * taken, `${name}{${labels}} is ${String(counted)}, of ${String(count)}, ${String(taken)} taken`);
  }
});

t.test('a dead peer is seen in the metrics of the other, and its return, too', async (t) => {
  const takeoversBefore = (await value('agent', 'tandem_takeovers_total')) ?? 0;
  await kill(pair, 'dns-proxy');
  await becomes('agent', 'tandem_redundant', 0);
  await becomes('agent', 'tandem_adopted', 1);
  await becomes('agent', 'tandem_peer_heartbeat_age_seconds', null);
  await becomes('agent', 'tandem_peer_connected', 0);
  await becomes('agent', 'tandem_peer_flows_shared', 0);
  t.ok(((await value('agent', 'tandem_takeovers_total')) ?? 0) > takeoversBefore);
  t.equal(await value('agent', 'tandem_peer_link_changes_total', 'state="down"'), 1);
  t.ok(((await value('agent', 'tandem_peer_lag_mappings')) ?? 0) > 0, 'mappings are on one disk only');
  t.ok(((await value('agent', 'tandem_peer_lag_seconds')) ?? 0) > 0);
  pair.launch('dns-proxy');
  await pair.ready('dns-proxy');
  await pair.redundant();
  await becomes('agent', 'tandem_peer_link_changes_total', 2, 'state="up"');
  await becomes('agent', 'tandem_peer_lag_mappings', 0);
  t.equal(await value('agent', 'tandem_peer_lag_seconds'), 0);
  await becomes('agent', 'tandem_adopted', 0);
});

t.test("the prefix of Cilium's names is a flag", async (t) => {
  await kill(pair, 'agent');
  pair.launch('agent', ['--metrics-cilium-prefix', 'pair_']);
  await pair.ready('agent');
  t.equal(await value('agent', 'pair_fqdn_semaphore_rejected_total'), 0);
  t.equal(await value('agent', 'cilium_fqdn_semaphore_rejected_total'), null);
  const client = await UdpClient.open(CLIENT_A, pair.server);
  const answer = await client.ask(buildQuery({ name: 'www.a.test', type: TYPE.A }));
  t.equal(answer[3] & 0x0f, RCODE.noError, 'and changes nothing else');
  client.close();
});
