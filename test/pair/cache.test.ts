import t from 'tap';
import { UdpClient } from '../harness/clients.js';
import { CLIENT_A, CLIENT_B } from '../harness/manifests.js';
import { ROLES } from '../harness/pair.js';
import type { Role } from '../harness/pair.js';
import { DEADLINE_MS, until } from '../harness/until.js';
import { addressA, buildAnswer, buildQuery, RCODE, readMessage, TYPE } from '../harness/wire.js';
import { startBench } from './start.js';

interface Row {
  readonly fqdn: string;
  readonly ips: readonly string[];
  readonly ttl: number;
  readonly source: string;
  readonly 'lookup-time': string;
  readonly 'expiration-time': string;
  readonly 'endpoint-id': number;
}

const TTL_SECONDS = 300;
/** Both times are shown in whole milliseconds. */
const ROUNDING_MS = 1;

const { pair } = await startBench(t, ({ query, question }) => {
  if (question.name.startsWith('lie')) {
    return buildAnswer(query, [{ ...addressA('192.0.2.7'), ttlSeconds: TTL_SECONDS }, { ...addressA('198.51.100.66'), name: 'elsewhere.example', ttlSeconds: TTL_SECONDS }]);
  }
  if (question.name.startsWith('alias')) {
    return buildAnswer(query, [{ type: TYPE.CNAME, ttlSeconds: TTL_SECONDS, data: Buffer.from('\u0006target\u0007example\u0000', 'latin1') }, { ...addressA('192.0.2.8'), name: 'target.example', ttlSeconds: TTL_SECONDS }]);
  }
  return buildAnswer(query, [{ ...addressA('192.0.2.7'), ttlSeconds: TTL_SECONDS }]);
});

async function ask(from: string, name: string): Promise<void> {
  const client = await UdpClient.open(from, pair.server);
  const answer = readMessage(await client.ask(buildQuery({ name, type: TYPE.A })));
  client.close();
  if (answer.rcode !== RCODE.noError) throw new Error(`${name}: response code ${String(answer.rcode)}`);
}

/** Over HTTP, which is quicker to ask again and again than the CLI. */
async function list(role: Role): Promise<Row[]> {
  const { status, body } = await pair.http(role, '/api/v1/fqdn/cache');
  if (status !== 200) throw new Error(`${role}: HTTP ${String(status)} ${body}`);
  return JSON.parse(body) as Row[];
}

function listed(role: Role, name: string): Promise<Row> {
  return until(`${name} in the cache of ${role}`, DEADLINE_MS, async () => (await list(role)).find(({ fqdn }) => fqdn === `${name}.`));
}

t.test('a mapping learned by one daemon is in the cache of both', async (t) => {
  // Until each could answer for the other, one may still take the other for hung.
  await pair.redundant();
  // Twenty source ports: each daemon learns some of these names, whichever the kernel chose.
  const before = await pair.counters('answered');
  const learned = Array.from({ length: 20 }, (_, index) => `n${String(index)}.a.test`);
  await Promise.all(learned.map((name) => ask(CLIENT_A, name)));
  const answered = (await pair.counters('answered')).map((count, index) => count - before[index]);
  t.ok(answered.every((count) => count > 0), `agent and dns-proxy answered ${answered.join(' and ')}`);
  for (const role of ROLES) {
    for (const name of learned) {
      const row = await listed(role, name);
      t.match(row, { ips: ['192.0.2.7'], ttl: TTL_SECONDS, source: 'lookup' }, `${role}: ${name}`);
      const livesMs = Date.parse(row['expiration-time']) - Date.parse(row['lookup-time']);
      t.ok(Math.abs(livesMs - TTL_SECONDS * 1_000) <= ROUNDING_MS, `it lives for its TTL: ${String(livesMs)} ms`);
    }
  }
  const [a, b] = await Promise.all(ROLES.map(async (role) =>
    (await pair.cliJson<Row[]>('cache', 'list', '--member', role)).map((row) => ({ name: row.fqdn, ips: row.ips, endpoint: row['endpoint-id'] }))));
  t.equal(a.length, learned.length);
  t.strictSame(a, b, 'both lists are the same');
});

t.test('addresses are learned along the alias chain under the name that was asked, and nothing else is', async (t) => {
  await ask(CLIENT_A, 'alias.a.test');
  await ask(CLIENT_A, 'lie.a.test');
  t.match(await listed('agent', 'alias.a.test'), { ips: ['192.0.2.8'] });
  t.match(await listed('agent', 'lie.a.test'), { ips: ['192.0.2.7'] });
  const rows = await list('agent');
  t.notOk(rows.some(({ ips }) => ips.includes('198.51.100.66')), 'the address of another name');
});

t.test('the table has the columns that users of Cilium know', async (t) => {
  const { code, standardOutput } = await pair.cli('cache', 'list');
  t.equal(code, 0);
  t.match(standardOutput.split('\n')[0], /^Endpoint\s+Source\s+FQDN\s+TTL\s+ExpirationTime\s+IPs\s*$/);
  t.match(standardOutput, /\d+\s+lookup\s+alias\.a\.test\.\s+300\s+\S+\s+192\.0\.2\.8/);
});

t.test('a clean by pattern removes those mappings from both, and a full clean all', async (t) => {
  await ask(CLIENT_B, 'kept.b.test');
  for (const role of ROLES) await listed(role, 'kept.b.test');
  const { code, output } = await pair.cli('cache', 'clean', '-f', '-p', '*.a.test');
  t.equal(code, 0, output);
  t.match(output, 'FQDN proxy cache cleared');
  for (const role of ROLES) {
    const rows = await until(`clean on ${role}`, DEADLINE_MS, async () => {
      const found = await list(role);
      return found.some(({ fqdn }) => fqdn.endsWith('.a.test.')) ? null : found;
    });
    t.ok(rows.some(({ fqdn }) => fqdn === 'kept.b.test.'), `${role} keeps the others`);
  }
  t.equal((await pair.cli('cache', 'clean', '-f', '--member', 'dns-proxy')).code, 0);
  for (const role of ROLES) await until(`empty cache on ${role}`, DEADLINE_MS, async () => ((await list(role)).length === 0 ? true : null));
});
