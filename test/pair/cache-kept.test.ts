/** What was learned and acknowledged is there after both were killed: before the first answer, and also with one alone. */
import t from 'tap';
import type { Test } from 'tap';
import { UdpClient } from '../harness/clients.js';
import { CLIENT_A, CLIENT_B } from '../harness/manifests.js';
import { ROLES } from '../harness/pair.js';
import type { Pair, Role } from '../harness/pair.js';
import { until } from '../harness/until.js';
import { addressA, buildAnswer, buildQuery, RCODE, readMessage, TYPE } from '../harness/wire.js';
import { rcodes } from './rcodes.js';
import { startBench } from './start.js';

interface Row {
  readonly fqdn: string;
  readonly ips: readonly string[];
  readonly 'lookup-time': string;
  readonly 'expiration-time': string;
}

const TTL_SECONDS = 300;
const NAMES_AT_ONCE = 20;
const LEARN_DEADLINE_MS = 15_000;
/** Times are shown by the time of day, whose distance to the boot is read anew at each look. */
const DRIFT_MS = 50;

async function ask(pair: Pair, name: string): Promise<number> {
  const client = await UdpClient.open(CLIENT_A, pair.server);
  const { rcode } = readMessage(await client.ask(buildQuery({ name, type: TYPE.A })));
  client.close();
  return rcode;
}

async function list(pair: Pair, role: Role): Promise<Map<string, Row>> {
  const { status, body } = await pair.http(role, '/api/v1/fqdn/cache');
  if (status !== 200) throw new Error(`${role}: HTTP ${String(status)} ${body}`);
  return new Map((JSON.parse(body) as Row[]).map((row) => [row.fqdn, row]));
}

/** A pair that has learned all names, each member some, and has acknowledged them. */
async function startLearned(t: Test): Promise<{ pair: Pair; before: Map<string, Row> }> {
  const { pair } = await startBench(t, ({ query }) => buildAnswer(query, [{ ...addressA('192.0.2.7'), ttlSeconds: TTL_SECONDS }]));
  const counted = await pair.counters('answered');
  const names: string[] = [];
  // A member that was slow for a moment is answered for by the other: then more names are asked.
  await until('both members to have learned some', LEARN_DEADLINE_MS, async () => {
    const more = Array.from({ length: NAMES_AT_ONCE }, (_, index) => `n${String(names.length + index)}.a.test`);
    names.push(...more);
    t.strictSame(new Set(await Promise.all(more.map((name) => ask(pair, name)))), new Set([RCODE.noError]));
    return (await pair.counters('answered')).every((count, index) => count > counted[index]) ? true : null;
  });
  await until('all acknowledged', LEARN_DEADLINE_MS, async () => {
    // In this order: what the agent learns between the two would not be in a lag read before.
    if ((await list(pair, 'agent')).size !== names.length) return null;
    const members = await Promise.all(ROLES.map((role) => pair.status(role)));
    return members.every(({ peer }) => peer.lag === 0) ? true : null;
  });
  const before = await list(pair, 'agent');
  for (const role of ROLES) pair.member(role).process.kill('SIGKILL');
  for (const role of ROLES) await pair.member(role).exited;
  return { pair, before };
}

async function checkKept(t: Test, pair: Pair, role: Role, before: Map<string, Row>): Promise<void> {
  const after = await list(pair, role);
  const restored = pair.member(role).output.split('\n').find((line) => line.includes('learned mappings are back from the disk')) ?? '{}';
  t.match(JSON.parse(restored), { mappings: before.size }, role);
  t.equal((await pair.status(role)).counters.answered, 0, `${role} has answered nothing yet`);
  t.strictSame([...after.keys()].sort(), [...before.keys()].sort(), role);
  const differs = (a: Row, b: Row, field: 'lookup-time' | 'expiration-time'): boolean => Math.abs(Date.parse(a[field]) - Date.parse(b[field])) > DRIFT_MS;
  const changed = [...after].filter(([name, row]) => {
    const former = before.get(name);
    return row.ips.join() !== former?.ips.join() || differs(row, former, 'lookup-time') || differs(row, former, 'expiration-time');
  });
  t.strictSame(changed, [], `${role}: the same addresses and times`);
}

t.test('both killed and both started again: each has every acknowledged mapping and the policy before its first answer', async (t) => {
  const { pair, before } = await startLearned(t);
  for (const role of ROLES) pair.launch(role);
  for (const role of ROLES) await pair.ready(role);
  for (const role of ROLES) await checkKept(t, pair, role, before);
  t.strictSame([...await rcodes(pair, CLIENT_A, 'n1.a.test', 20)], [RCODE.noError]);
  t.strictSame([...await rcodes(pair, CLIENT_B, 'n1.a.test', 20)], [RCODE.refused]);
});

t.test('both killed and dns-proxy alone started again: it has every acknowledged mapping, and enforces', async (t) => {
  const { pair, before } = await startLearned(t);
  pair.members.delete('agent');
  pair.launch('dns-proxy');
  await pair.ready('dns-proxy');
  await checkKept(t, pair, 'dns-proxy', before);
  t.strictSame([...await rcodes(pair, CLIENT_A, 'n1.a.test', 5)], [RCODE.noError]);
  t.strictSame([...await rcodes(pair, CLIENT_B, 'n1.a.test', 5)], [RCODE.refused]);
});
