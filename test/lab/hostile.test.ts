import t from 'tap';
import { ownAddress } from '../harness/address.js';
import { framed, TcpClient, UdpClient } from '../harness/clients.js';
import { run } from '../harness/child.js';
import { baseManifests, CLIENT_A, CLIENT_B, dnsPolicy } from '../harness/manifests.js';
import { generate, nativeProgram } from '../harness/native.js';
import { formatServer } from '../harness/pair.js';
import { DEADLINE_MS, until, within } from '../harness/until.js';
import { buildQuery, RCODE, readMessage, TYPE } from '../harness/wire.js';
import { checkAlive, startLoaded } from './start.js';

const FUZZED_PACKETS = 1_000_000;
const FUZZ_DEADLINE_MS = 300_000;
const IDLE_SECONDS = 3;
const SLOW_CONNECTIONS = 300;
const BROKEN_FRAMES = 2_000;

interface Fuzzed {
  readonly sent: number;
  readonly replies: number;
  readonly honest: number;
  readonly honestLost: number;
  readonly seconds: number;
}

const pair = await startLoaded(t, { manifests: baseManifests(ownAddress), flags: ['--tcp-idle-timeout', `${String(IDLE_SECONDS)}s`] });

async function answers(from = CLIENT_A, name = 'www.a.test'): Promise<number> {
  const client = await UdpClient.open(from, pair.server);
  try {
    return readMessage(await client.ask(buildQuery({ name, type: TYPE.A }))).rcode;
  } finally {
    client.close();
  }
}

t.test('a million fuzzed packets at the live port stop no honest query', async (t) => {
  const before = await Promise.all([pair.counters('queries'), pair.counters('malformed')]);
  const { code, output, standardOutput } = await run(nativeProgram('fuzz'), ['--server', formatServer(pair.server), '--bind', CLIENT_A, '--count', String(FUZZED_PACKETS)], FUZZ_DEADLINE_MS);
  t.equal(code, 0, output);
  const result = JSON.parse(standardOutput) as Fuzzed;
  t.match(result, { sent: FUZZED_PACKETS, honestLost: 0 });
  const after = await Promise.all([pair.counters('queries'), pair.counters('malformed')]);
  const seen = after.map((pairOf, index) => pairOf.map((count, member) => count - before[index][member]));
  t.comment(`${String(result.sent)} packets in ${result.seconds.toFixed(0)} s, ${String(result.replies)} replies, ${String(result.honest)} honest queries between them; agent and dns-proxy counted ${seen[0].join(' and ')} queries, ${seen[1].join(' and ')} malformed`);
  t.ok(seen[0].every((count) => count > FUZZED_PACKETS / 10), 'both were under attack');
  checkAlive(t, pair, 'fuzzed packets');
});

t.test('TCP frames that are cut short, empty or lie about their length harm only their own connection', async (t) => {
  const honest = await TcpClient.open(CLIENT_B, pair.server);
  const frame = framed(buildQuery({ name: 'www.a.test', type: TYPE.A }));
  for (let round = 0; round < BROKEN_FRAMES; round++) {
    const client = await TcpClient.open(CLIENT_A, pair.server);
    const cut = frame.subarray(0, round % frame.length);
    const lie = Buffer.from(frame);
    lie.writeUInt16BE((round * 257) & 0xffff);
    client.socket.end(round % 2 === 0 ? cut : lie);
    if (round % 4 === 0) client.close();
    else client.socket.unref();
  }
  t.equal(readMessage(await honest.ask(buildQuery({ name: 'www.b.test', type: TYPE.A }))).rcode, RCODE.noError, 'a connection from before goes on');
  honest.close();
  t.equal(await answers(), RCODE.noError);
  checkAlive(t, pair, 'broken TCP frames');
});

t.test('slow-loris connections are closed in time, and cost others nothing', async (t) => {
  const frame = framed(buildQuery({ name: 'www.a.test', type: TYPE.A }));
  const started = performance.now();
  const slow = await Promise.all(Array.from({ length: SLOW_CONNECTIONS }, () => TcpClient.open(CLIENT_A, pair.server)));
  let sent = 0;
  const drip = setInterval(() => {
    for (const client of slow) if (!client.socket.destroyed) client.socket.write(frame.subarray(sent % (frame.length - 1), (sent % (frame.length - 1)) + 1));
    sent++;
  }, 500);
  const other = await TcpClient.open(CLIENT_B, pair.server);
  t.equal(readMessage(await other.ask(buildQuery({ name: 'www.b.test', type: TYPE.A }))).rcode, RCODE.noError, 'another client gets a connection and an answer');
  other.close();
  t.equal(await answers(), RCODE.noError, 'UDP goes on');
  try {
    await within('all closed', (IDLE_SECONDS + 5) * 1_000, Promise.all(slow.map((client) => client.closed)));
  } finally {
    clearInterval(drip);
    for (const client of slow) client.close();
  }
  t.comment(`${String(SLOW_CONNECTIONS)} connections that sent a byte every 500 ms were closed within ${((performance.now() - started) / 1_000).toFixed(1)} s`);
  checkAlive(t, pair, 'slow connections');
});

t.test('hostile manifests are each refused with a clear complaint, and policy stays', async (t) => {
  const selector = { matchName: 'www.a.test', matchPattern: '*.a.test' };
  const good = dnsPolicy('policy-x', { app: 'b' }, ['*.x.test'], ['*.x.test']);
  const changed = (from: string | RegExp, to: string): string => JSON.stringify(good, null, 2).replace(from, to);
  const bombs = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]', ...Array.from({ length: 9 }, (_, index) => `a${String(index + 1)}: &a${String(index + 1)} [${Array.from({ length: 10 }, () => `*a${String(index)}`).join(', ')}]`)].join('\n');
  const cases: [string, RegExp, string][] = [
    ['10 MB', /bytes; \d+ are the most/, `# ${'x'.repeat(78)}\n`.repeat(131_072)],
    ['cyclic YAML', /alias|anchor|cycl/i, 'apiVersion: v1\nkind: Pod\nmetadata: &m\n  name: x\n  labels: *m\n'],
    ['alias bomb', /alias|anchor/i, bombs],
    ['unknown field', /toEndpoint\b/, changed('"toEndpoints"', '"toEndpoint"')],
    ['both matchName and matchPattern', /matchName.*matchPattern|matchPattern.*matchName/s, changed(/"toFQDNs": \[[^\]]*\]/, `"toFQDNs": ${JSON.stringify([selector])}`)],
    ['port 70000', /65535/, changed('"53"', '"70000"')],
    ['not YAML at all', /hostile\.yaml/, '\u0000\u0001{[\n\t- :'],
  ];
  for (const [name, complaint, text] of cases) {
    pair.writeManifest('hostile.yaml', text);
    const problems = await until(`a complaint about ${name}`, DEADLINE_MS, async () => {
      const found = (await pair.status('agent')).policy.problems;
      return found.some((problem) => complaint.test(problem)) ? found : null;
    });
    t.ok(problems.every((problem) => problem.includes('hostile.yaml')), `${name}: ${problems[0].slice(0, 200)}`);
    t.equal(await answers(), RCODE.noError, 'policy stays');
    t.equal(await answers(CLIENT_B), RCODE.refused);
  }
  pair.writeManifest('hostile.yaml', JSON.stringify(good));
  await until('no complaints', DEADLINE_MS, async () => ((await pair.status('agent')).policy.problems.length === 0 ? true : null));
  checkAlive(t, pair, 'hostile manifests');
});

t.test('after all attacks, load goes through whole', async (t) => {
  const load = await generate(['--server', formatServer(pair.server), '--bind', CLIENT_A, '--suffix', 'a.test', '--clients', '100', '--count', '50000']);
  t.match(load, { answered: 50_000, lost: 0, wrong: 0, failed: 0 });
  checkAlive(t, pair, 'the load after');
});
