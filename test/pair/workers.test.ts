/**
 * Members with two workers each (`--workers 2`): each worker has sockets, a journal and a counterpart of its own, and what holds for a
 * member with one holds for all of them together. Also where their number changes from one process to the next, or differs.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { UdpClient } from '../harness/clients.js';
import { CLIENT_A } from '../harness/manifests.js';
import { ROLES } from '../harness/pair.js';
import type { Role } from '../harness/pair.js';
import { repositoryRoot } from '../harness/repository.js';
import { kill, loadFor, nothingLost, replaced, restartBySigterm, startOwing, underLoad } from '../harness/under-load.js';
import { DEADLINE_MS, until, within } from '../harness/until.js';
import { buildQuery, RCODE, readMessage, TYPE } from '../harness/wire.js';

const SECONDS = 2;
/** Of one member. */
const AFTER_QUERIES = 1_000;
/** Ports that are asked from: the kernel chooses by them which worker of which member gets the query. */
const PORTS = 64;
const POISON = 'poison.bench.test';
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

const execute = promisify(execFile);
const withWorkers = (workers: number): Record<string, string> => ({ TANDEM_WORKERS: String(workers) });
const pair = await startOwing(t, { environment: withWorkers(2) });

/** Queries received, by worker. */
async function byWorker(role: Role): Promise<number[]> {
  const { body } = await pair.http(role, '/metrics');
  return [...body.matchAll(/^tandem_worker_queries_total\{[^}]*worker="\d+"[^}]*\} (\d+)$/gm)].map(([, count]) => Number(count));
}

function during(role: Role, what: () => Promise<void>): ReturnType<typeof loadFor> {
  return underLoad(() => loadFor(SECONDS, pair), { pair, role, metric: 'queries', growth: AFTER_QUERIES }, what);
}

async function isUnharmed(t: Test, loading: ReturnType<typeof loadFor>): Promise<void> {
  const load = await loading;
  t.comment(`${String(load.sent)} sent, worst ${String(load.maxUs)} µs`);
  await nothingLost(t, pair, load);
}

/** Each name once, each from a port of its own; the answers' codes. */
async function askFromManyPorts(names: readonly string[]): Promise<number[]> {
  return Promise.all(names.map(async (name) => {
    const client = await UdpClient.open(CLIENT_A, pair.server);
    const answer = await client.ask(buildQuery({ name, type: TYPE.A }));
    client.close();
    return readMessage(answer).rcode;
  }));
}

/** Starts the role anew with that many workers. */
async function restartedWith(t: Test, role: Role, workers: number, faults = ''): Promise<void> {
  if (pair.member(role).exit === null) {
    pair.member(role).process.kill('SIGTERM');
    t.same(await within('its end', DEADLINE_MS, pair.member(role).exited), { code: 0, signal: null });
  }
  pair.launch(role, [], { environment: { ...withWorkers(workers), ...(faults === '' ? {} : { TANDEM_FAULTS: faults }) } });
  await pair.ready(role);
}

async function workerProblems(role: Role): Promise<readonly string[]> {
  return (await pair.status(role)).policy.problems.filter((problem) => problem.startsWith('--workers: '));
}

/** Names of answers that the member shows, as often as it does. */
async function answersShown(role: Role): Promise<string[]> {
  const { stdout } = await execute(
    join(repositoryRoot, 'packages/cli/bin/tandem'), ['observe', '--all', '--member', role, '-o', 'jsonpb', '--run-dir', pair.runDir],
    { maxBuffer: OUTPUT_BYTES_MAX, timeout: DEADLINE_MS },
  );
  const flows = stdout.split('\n').filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { readonly flow?: { readonly l7: { readonly type: string; readonly dns: { readonly query: string } } } }).flow);
  return flows.flatMap((flow) => (flow?.l7.type === 'RESPONSE' ? [flow.l7.dns.query] : []));
}

t.test('what any worker of either member learns, and the flows of all of them, are known to both members', async (t) => {
  await pair.redundant();
  const names = Array.from({ length: PORTS }, (_, i) => `${String(i)}-learned.bench.test`);
  t.same(new Set(await askFromManyPorts(names)), new Set([RCODE.noError]));
  for (const role of ROLES) {
    const counts = await byWorker(role);
    t.equal(counts.length, 2);
    t.ok(counts.every((count) => count > 0), `${role} got ${counts.join(' and ')} queries`);
  }
  const wanted = names.map((name) => `${name}.`).sort();
  for (const role of ROLES) {
    await until(`all mappings at ${role}`, DEADLINE_MS, async () => {
      const known = new Set((await pair.cliJson<{ fqdn: string }[]>('cache', 'list', '--member', role)).map(({ fqdn }) => fqdn));
      return wanted.every((name) => known.has(name)) ? true : null;
    });
    t.same((await answersShown(role)).filter((name) => name.endsWith('-learned.bench.test.')).sort(), wanted, `each flow once at ${role}`);
  }
});

t.test('one is killed: nothing is lost, nothing is answered twice, and it comes back', async (t) => {
  await pair.redundant();
  const takenBefore = await pair.metric('agent', 'taken');
  const before = await byWorker('agent');
  await isUnharmed(t, during('dns-proxy', () => kill(pair, 'dns-proxy')));
  t.ok(await pair.metric('agent', 'taken') > takenBefore, 'there was something to take over');
  t.equal(await pair.metric('agent', 'adopted'), 1, 'one member, by both workers');
  t.ok((await byWorker('agent')).every((count, worker) => count > before[worker]), 'both workers had their share');
  // Planted for the next test.
  await restartedWith(t, 'dns-proxy', 2, `crash-on=${POISON}.`);
  await pair.redundant();
  t.equal(await pair.metric('agent', 'adopted'), 0, 'all sockets went back');
});

t.test('a query that ends one worker ends its process, and is answered SERVFAIL by that worker’s counterpart alone', async (t) => {
  const load = loadFor(SECONDS, pair);
  const codes = new Set<number>();
  for (let i = 0; i < PORTS && pair.member('dns-proxy').exit === null; i++) for (const code of await askFromManyPorts([POISON])) codes.add(code);
  t.same(await within('the fault', DEADLINE_MS, pair.member('dns-proxy').exited), { code: null, signal: 'SIGSEGV' });
  t.ok(codes.has(RCODE.servFail), 'the deadly one got SERVFAIL');
  await isUnharmed(t, load);
  t.equal(await pair.metric('agent', 'taken_unparsed'), 1, 'it alone');
  t.equal(pair.member('agent').exit, null);
  await restartedWith(t, 'dns-proxy', 2);
});

t.test('both are restarted by SIGTERM at once: one waits for the other, with all its workers, and nothing is lost', async (t) => {
  t.setTimeout(DEADLINE_MS * 2);
  await pair.redundant();
  await isUnharmed(t, during('agent', async () => {
    await Promise.all(ROLES.map((role) => restartBySigterm(t, pair, role)));
  }));
});

/** A process of that many workers takes the place of the one that runs, whose sockets all go on being read. */
async function succeededBy(t: Test, role: Role, workers: number): Promise<void> {
  const former = pair.member(role);
  await isUnharmed(t, during(role, () => replaced(pair, role, withWorkers(workers))));
  former.process.kill('SIGTERM');
  t.same(await within('its end', DEADLINE_MS, former.exited), { code: 0, signal: null });
  t.equal((await byWorker(role)).length, workers);
  // From all ports: a socket that nobody reads would be met.
  t.same(new Set(await askFromManyPorts(Array.from({ length: PORTS }, (_, i) => `${String(i)}-ports.bench.test`))), new Set([RCODE.noError]));
}

t.test('a second process takes the place of a first that lives, with as many workers, with fewer and with more: nothing is lost', async (t) => {
  t.setTimeout(DEADLINE_MS * 3);
  await pair.redundant();
  await succeededBy(t, 'agent', 2);
  await pair.redundant();
  t.same(await workerProblems('agent'), []);

  await succeededBy(t, 'agent', 1);
  for (const [role, own, peers] of [['agent', 1, 2], ['dns-proxy', 2, 1]] as const) {
    const said = await until(`${role} to know`, DEADLINE_MS, async () => (await workerProblems(role)).at(0));
    t.match(said, `this member has ${String(own)}, its peer ${String(peers)}`);
    t.equal(await pair.metric(role, 'redundant'), 0);
  }
  t.equal(await pair.metric('dns-proxy', 'adopted'), 0, 'its second worker reads nothing of the agent any more');

  await succeededBy(t, 'agent', 2);
  await pair.redundant();
});

t.test('one member has two workers and the other one: they serve, and a restart of the first loses nothing', async (t) => {
  t.setTimeout(DEADLINE_MS * 3);
  await isUnharmed(t, during('agent', () => restartedWith(t, 'agent', 1)));
  t.equal(await pair.metric('agent', 'redundant'), 0);
  t.equal(await pair.metric('dns-proxy', 'adopted'), 0, 'the one worker has the sockets of both');
  await isUnharmed(t, during('agent', () => restartedWith(t, 'agent', 2)));
  await pair.redundant();
  t.same(await workerProblems('agent'), []);
});
