/** What the CLI shows and does of a pair at work: flows, the policy they would need, one member's leaving. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { UdpClient } from '../harness/clients.js';
import { CLIENT_A, CLIENT_B } from '../harness/manifests.js';
import { ROLES } from '../harness/pair.js';
import { until } from '../harness/until.js';
import { addressA, buildAnswer, buildQuery, RCODE, readMessage, TYPE } from '../harness/wire.js';
import { startBench } from './start.js';

const FLOWS_DEADLINE_MS = 5_000;

const { pair, upstream } = await startBench(t, ({ query, question }) => (
  question.name.startsWith('missing') ? buildAnswer(query, [], { rcode: RCODE.nxDomain }) : buildAnswer(query, [addressA('192.0.2.7')])
));
await pair.redundant();

async function ask(from: string, name: string): Promise<number> {
  const client = await UdpClient.open(from, pair.server);
  try {
    return readMessage(await client.ask(buildQuery({ name, type: TYPE.A }))).rcode;
  } finally {
    client.close();
  }
}

/** The lines once there are that many. */
function observed(lines: number, ...args: string[]): Promise<readonly string[]> {
  return until(`${String(lines)} flows`, FLOWS_DEADLINE_MS, async () => {
    const { code, standardOutput, output } = await pair.cli('observe', ...args);
    if (code !== 0) throw new Error(output);
    const found = standardOutput.split('\n').filter((line) => line !== '');
    return found.length >= lines ? found : null;
  });
}

t.test('each request, answer and refusal is a line, from either member', async (t) => {
  t.strictSame([await ask(CLIENT_A, 'www.a.test'), await ask(CLIENT_A, 'missing.a.test'), await ask(CLIENT_B, 'www.a.test')], [RCODE.noError, RCODE.nxDomain, RCODE.refused]);
  const time = /^\w{3} [ \d]\d \d\d:\d\d:\d\d\.\d{3}: /;
  const port = /:(?!53\b)\d+ /g;
  // A pod of another node: its name is not known here.
  const server = upstream.address;
  const expected = [
    `default/client-a:PORT (ID:N) -> ${server}:53 (ID:N) dns-request proxy FORWARDED (DNS Query www.a.test. A)`,
    `default/client-a:PORT (ID:N) <- ${server}:53 (ID:N) dns-response proxy FORWARDED (DNS Answer "192.0.2.7" TTL: 60 (Proxy www.a.test. A))`,
    `default/client-a:PORT (ID:N) -> ${server}:53 (ID:N) dns-request proxy FORWARDED (DNS Query missing.a.test. A)`,
    `default/client-a:PORT (ID:N) <- ${server}:53 (ID:N) dns-response proxy FORWARDED (DNS Answer RCode: Non-Existent Domain TTL: 4294967295 (Proxy missing.a.test. A))`,
    `default/client-b:PORT (ID:N) -> ${server}:53 (ID:N) dns-request proxy DROPPED (DNS Query www.a.test. A)`,
  ];
  for (const role of ROLES) {
    const lines = await observed(expected.length, '--protocol', 'dns', '--member', role);
    for (const line of lines) t.match(line, time);
    t.strictSame(lines.map((line) => line.replace(time, '').replaceAll(port, ':PORT ').replaceAll(/\(ID:\d+\)/g, '(ID:N)')), expected, role);
  }
});

t.test('filters narrow it down, and JSON has the fields of Hubble', async (t) => {
  t.equal((await observed(1, '--verdict', 'DROPPED')).length, 1);
  t.equal((await observed(1, '--from-pod', 'default/client-b')).length, 1);
  t.equal((await observed(4, '--pod', 'default/client-a')).length, 4);
  t.equal((await observed(4, '--not', '--verdict', 'DROPPED')).length, 4);
  t.match(await observed(1, '--dns-query', '^missing', '--last', '1', '--print-node-name'), [/\[node-1\]: default\/client-a:\d+ .* <- .*RCode: Non-Existent Domain/]);
  const [line] = await observed(1, '--verdict', 'DROPPED', '-o', 'json');
  t.match(JSON.parse(line), {
    flow: {
      verdict: 'DROPPED', drop_reason_desc: 'POLICY_DENIED', Type: 'L7', traffic_direction: 'EGRESS', is_reply: false, node_name: 'node-1', uuid: /./,
      source: { namespace: 'default', pod_name: 'client-b', labels: /app=b/ }, destination: { labels: /k8s-app=kube-dns/ }, IP: { source: CLIENT_B, destination: upstream.address, ipVersion: 'IPv4' },
      l4: { UDP: { destination_port: 53 } }, l7: { type: 'REQUEST', dns: { query: 'www.a.test.', qtypes: ['A'], observation_source: 'proxy' } }, egress_denied_by: [{ name: 'policy-b' }],
    },
    node_name: 'node-1',
  });
});

t.test('the policy that is suggested allows what was refused', async (t) => {
  const { code, standardOutput, output } = await pair.cli('policy', 'suggest');
  t.equal(code, 0, output);
  t.match(standardOutput, /name: allow-b\n[^]*matchName: www\.a\.test\n/);
  writeFileSync(join(pair.folder, 'suggested.yaml'), standardOutput);
  t.match(await pair.cli('policy', 'validate', join(pair.folder, 'suggested.yaml')), { code: 0 });
  pair.writeManifest('suggested.yaml', standardOutput);
  await until('the suggested policy to be in force on both', FLOWS_DEADLINE_MS, async () => {
    const [a, b] = await Promise.all(ROLES.map((role) => pair.cliJson<{ verdict: string }>('policy', 'trace', '--member', role, '--from', 'default/client-b', '--server', `${upstream.address}:53/UDP`, '--name', 'www.a.test')));
    return a.verdict === 'allow' && b.verdict === 'allow' ? true : null;
  });
  t.equal(await ask(CLIENT_B, 'www.a.test'), RCODE.noError);
  t.equal(await ask(CLIENT_B, 'other.a.test'), RCODE.refused, 'and nothing else');
});

t.test('a drained member is gone, the other answers and has the flows of both, and nobody drains that one', async (t) => {
  const { code, standardOutput, output } = await pair.cli('drain', '--member', 'agent');
  t.equal(code, 0, output);
  t.match(standardOutput, /^agent \(process \d+\) has left in \d+\.\d s; dns-proxy answers/);
  t.equal(await ask(CLIENT_A, 'after.a.test'), RCODE.noError);
  t.match(await observed(6, '--all'), [/www\.a\.test/]);
  t.match(await pair.cliJson('status'), { redundant: false, members: { 'agent': { reachable: false }, 'dns-proxy': { reachable: true } } });
  t.match(await pair.cli('drain', '--member', 'dns-proxy'), { code: 69, output: /without dns-proxy nobody answers: agent: not running/ });
  t.equal(await ask(CLIENT_A, 'still.a.test'), RCODE.noError);
});
