import FakeTimers from '@sinonjs/fake-timers';
import t, { type Test } from 'tap';
import { readObject } from '@tandem/manifests';
import { ApiClient, type ApiRequest } from './api-client.js';
import { isDue, type PolicyStatus, statusOf } from './policy-status.js';
import { SourceCounts } from './source-counts.js';
import { StatusWriter } from './status-writer.js';
import { COLLECTIONS, FakeApiServer, type FakeObject } from './testing/fake-api-server.js';

const GOOD = { endpointSelector: {}, egress: [{}] };

function policy(name: string, spec: object = GOOD, more: object = {}): FakeObject {
  return { metadata: { name, namespace: 'shop', generation: 4 }, spec, ...more } as FakeObject;
}

function status(raw: FakeObject): PolicyStatus {
  return statusOf(raw, readObject('CiliumNetworkPolicy', raw));
}

/** Time passes by `pass` alone, and with it what is asked of the server comes to its end. */
interface Rig {
  readonly server: FakeApiServer;
  readonly counts: SourceCounts;
  readonly lines: string[];
  readonly writers: (n: number, waitMsMax: number, random?: () => number) => StatusWriter[];
  readonly set: (writer: StatusWriter) => void;
  readonly pass: (ms: number) => Promise<void>;
  /** Until it is so; tap's own limit says when it never is. */
  readonly until: (isSo: () => boolean) => Promise<void>;
}

const STEP_MS = 50;

/** `isEmptyFirst`: the writers begin when there are no policies yet. */
async function stage(t: Test, isEmptyFirst = true): Promise<Rig> {
  const server = await new FakeApiServer().start();
  const counts = new SourceCounts();
  const lines: string[] = [];
  const note = (line: string): void => { lines.push(line); };
  const api = new ApiClient({ server: new URL(server.url), ca: null, cert: null, key: null, token: null, tlsServerName: null, insecureSkipTlsVerify: false }, { version: '0' });
  const log = { debug: note, info: note, warn: note, error: note };
  let underWay = 0;
  const client = {
    text: async (request: ApiRequest): Promise<string> => {
      underWay++;
      try {
        return await api.text(request);
      } finally {
        underWay--;
      }
    },
  };
  const clock = FakeTimers.install({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  t.teardown(async () => {
    clock.uninstall();
    api.close();
    await server.stop();
  });
  const step = async (): Promise<void> => {
    clock.tick(STEP_MS);
    do await new Promise((resolve) => { setImmediate(resolve); }); while (underWay > 0);
  };
  return {
    server, counts, lines,
    writers: (n, waitMsMax, random = Math.random) => Array.from({ length: n }, (_, i) => {
      const writer = new StatusWriter({ client, log, counts, random, nodeName: `node${i}`, waitMsMax });
      t.teardown(() => { writer.close(); });
      if (isEmptyFirst) writer.set([], [COLLECTIONS.policies]);
      return writer;
    }),
    set: (writer) => { writer.set(server.all('policies').map((raw) => ({ path: COLLECTIONS.policies, status: status(raw) })), [COLLECTIONS.policies]); },
    pass: async (ms) => { for (let passed = 0; passed < ms; passed += STEP_MS) await step(); },
    until: async (isSo) => { while (!isSo()) await step(); },
  };
}

t.test('a condition is due where it is missing, says otherwise, or is of an earlier generation', (t) => {
  const condition = { type: 'Valid', status: 'True', reason: '', message: 'in other words' };
  const table: readonly [unknown, boolean][] = [
    [undefined, true], ['x', true], [{ conditions: [{ type: 'Ready', status: 'True' }] }, true], [{ conditions: [{ ...condition, status: 'Maybe' }] }, true],
    [{ conditions: [{ ...condition, status: 'False' }] }, true], [{ conditions: [condition] }, false],
    [{ conditions: [{ ...condition, observedGeneration: 4 }] }, false], [{ conditions: [{ ...condition, observedGeneration: 3 }] }, true],
  ];
  for (const [found, expected] of table) t.equal(isDue(status(policy('p', GOOD, { status: found }))), expected, JSON.stringify(found));
  t.end();
});

t.test('a message is bounded, and the same for all nodes', (t) => {
  const spec = { ...GOOD, egress: Array.from({ length: 500 }, () => ({ nonsense: 1 })) };
  const { wanted } = status(policy('p', spec));
  t.match(wanted, { status: 'False', reason: 'Invalid', message: /^Not enforced; where a valid version was in force before, that one stays\. spec\.egress\[0\].*495 more$/ });
  t.ok(wanted.message.length <= 1_024);
  t.end();
});

t.test('conditions of others stay, and the time of the last change with them', async (t) => {
  const { server, writers, set, until } = await stage(t);
  const others = { type: 'Ready', status: 'True' };
  server.put('policies', policy('p', GOOD, { status: { conditions: [{ type: 'Valid', status: 'True', observedGeneration: 1, lastTransitionTime: '2020-01-01T00:00:00Z' }, others], nodes: 7 } }));
  const [writer] = writers(1, 0);
  set(writer);
  await until(() => server.patches.length === 1);
  t.match(server.get('policies', 'shop/p')?.status, {
    nodes: 7, conditions: [others, { type: 'Valid', status: 'True', observedGeneration: 4, lastTransitionTime: '2020-01-01T00:00:00Z' }],
  });
});

t.test('of many nodes few write', async (t) => {
  const { server, writers, set, counts, pass, until } = await stage(t);
  server.put('policies', policy('p'));
  const all = writers(40, 2_000);
  for (const writer of all) set(writer);
  await until(() => counts.statusWrites.get('written') === 1);
  for (const writer of all) set(writer);
  await pass(60_000);
  t.equal(counts.statusWrites.get('written'), 1);
  t.ok(server.patches.length < 10, `${server.patches.length} tries`);
});

t.test('a conflict and a missing right do no harm, and the right that is missing is told once', async (t) => {
  const { server, writers, set, counts, lines, until } = await stage(t);
  for (const name of ['p', 'q']) server.put('policies', policy(name));
  const [writer] = writers(1, 0);
  set(writer);
  for (const name of ['p', 'q']) server.put('policies', policy(name));
  await until(() => counts.statusWrites.get('conflict') === 2);
  server.onRequest = () => ({ status: 403 });
  const [other] = writers(1, 0);
  set(other);
  await until(() => counts.statusWrites.get('failed') === 2);
  t.strictSame(lines, ['the status of policies cannot be written: the agent has no right to patch it']);
});

t.test('a server that asks for patience gets it for all policies, and each node has an order of its own', async (t) => {
  const { server, writers, set, counts, until } = await stage(t);
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) server.put('policies', policy(name));
  let refusals = 1;
  server.onRequest = () => (refusals-- > 0 ? { status: 429, headers: { 'retry-after': '1' } } : null);
  const [writer, other] = writers(2, 0);
  const begin = performance.now();
  set(writer);
  await until(() => counts.statusWrites.get('written') === 7);
  t.ok(performance.now() - begin >= 1_000);
  const first = server.patches.map(({ path }) => path);
  for (const raw of server.all('policies')) server.put('policies', { ...raw, status: undefined });
  set(other);
  await until(() => counts.statusWrites.get('written') === 15);
  const second = server.patches.slice(7).map(({ path }) => path).filter((path) => first.includes(path));
  t.notSame(first, second);
});

t.test('a status that was there before is not hurried', async (t) => {
  const { server, writers, set, pass } = await stage(t);
  server.put('policies', policy('old', GOOD, { status: { conditions: [{ type: 'Valid', status: 'False' }] } }));
  server.put('policies', policy('new'));
  const [writer] = writers(1, 300, () => 0.99);
  set(writer);
  await pass(1_000);
  t.strictSame(server.patches.map(({ path }) => path), [`${COLLECTIONS.policies.replace('/ciliumnetwork', '/namespaces/shop/ciliumnetwork')}/new/status`]);
});

t.test('what was there when the node began is not hurried either, of whatever collection; what comes later is', async (t) => {
  const { server, writers, set, pass } = await stage(t, false);
  server.put('policies', policy('there'));
  const [writer] = writers(1, 300, () => 0.99);
  // Of the policies nothing is known yet.
  writer.set([], ['/of/others']);
  set(writer);
  await pass(1_000);
  t.strictSame(server.patches, []);
  server.put('policies', policy('new'));
  set(writer);
  await pass(1_000);
  t.match(server.patches.map(({ path }) => path), [/\/new\/status$/]);
  await pass(3_600);
  t.match(server.patches.map(({ path }) => path), [/\/new\/status$/, /\/there\/status$/]);
});

t.test('of many nodes that find the same policies when they begin, few write each status', async (t) => {
  const { server, writers, set, pass, counts } = await stage(t, false);
  for (let i = 0; i < 10; i++) server.put('policies', policy(`p${i}`));
  const all = writers(40, 5_000);
  // News is half a second on its way: with five seconds to wait, four more nodes would have begun to write each of them.
  while (counts.statusWrites.get('written') !== 10) {
    for (const writer of all) set(writer);
    await pass(500);
  }
  t.ok(server.patches.length < 25, `${server.patches.length} tries`);
});

t.test('writes are rate-limited, and grow rare against somebody who undoes them', async (t) => {
  const { server, writers, set, pass } = await stage(t);
  for (let i = 0; i < 30; i++) server.put('policies', policy(`p${i}`));
  const [writer] = writers(1, 0);
  for (const begin = performance.now(); performance.now() - begin < 3_000;) {
    set(writer);
    await pass(STEP_MS);
    for (const raw of server.all('policies')) if (raw.status !== undefined) server.put('policies', { ...raw, status: undefined });
  }
  t.ok(server.patches.length >= 14 && server.patches.length <= 16, `ten at once and two a second: ${server.patches.length} writes in 3 s`);
  t.equal(new Set(server.patches.map(({ path }) => path)).size, server.patches.length, 'none was written twice');
});
