/** A member ends at a named place of its code, where no random kill falls: nothing is lost, and what it had learned is known. */
import t from 'tap';
import { UdpClient } from '../harness/clients.js';
import { CLIENT_A } from '../harness/manifests.js';
import { peerOf, ROLES } from '../harness/pair.js';
import type { Role } from '../harness/pair.js';
import { loadFor, nothingLost, startOwing } from '../harness/under-load.js';
import { DEADLINE_MS, until, within } from '../harness/until.js';
import { buildQuery, RCODE, readMessage, TYPE } from '../harness/wire.js';

const SECONDS = 2;
/** Passes of the point before it kills: the load runs by then. Batches grow when the machine is busy, so it is few. */
const PASSES = 40;
const POINTS = ['before-receive', 'after-receive', 'mid-batch', 'after-take', 'before-send', 'after-send'];

const pair = await startOwing(t);

async function restarted(role: Role, faults: string): Promise<void> {
  if (pair.member(role).exit === null) await pair.member(role).stop('SIGTERM');
  pair.launch(role, [], faults === '' ? {} : { environment: { TANDEM_FAULTS: faults } });
  await pair.ready(role);
  await pair.redundant();
}

/** The answer's code. */
async function askFromNewPort(name: string): Promise<number> {
  const client = await UdpClient.open(CLIENT_A, pair.server);
  const answer = await client.ask(buildQuery({ name, type: TYPE.A }));
  client.close();
  return readMessage(answer).rcode;
}

/** A client whose queries the kernel gives to this member, also when that has been restarted: its sockets are the same. */
async function clientOf(role: Role): Promise<UdpClient> {
  for (let i = 0; i < 64; i++) {
    const client = await UdpClient.open(CLIENT_A, pair.server);
    const before = await pair.metric(role, 'queries');
    await client.ask(buildQuery({ name: 'whose.bench.test', type: TYPE.A }));
    if (await pair.metric(role, 'queries') > before) return client;
    client.close();
  }
  throw new Error(`no port is ${role}'s`);
}

for (const [i, point] of POINTS.entries()) {
  const role = ROLES[i % 2];
  t.test(`${role} is killed ${point}: nothing is lost, nothing is answered twice`, async (t) => {
    await restarted(role, `kill-at=${point}:${String(PASSES)}`);
    const load = await loadFor(SECONDS, pair);
    t.same(await within('the fault', DEADLINE_MS, pair.member(role).exited), { code: null, signal: 'SIGKILL' }, 'the fault happened');
    t.comment(`${String(load.sent)} sent, worst ${String(load.maxUs)} µs`);
    await nothingLost(t, pair, load);
    await restarted(role, '');
  });
}

for (const role of ROLES) {
  const peer = peerOf(role);

  t.test(`what ${role} learned from its very last answer is known to ${peer}`, async (t) => {
    await restarted(role, 'kill-at=after-send:1');
    const asked: string[] = [];
    // The kernel chooses by port whom it asks: the one that is to die is met sooner or later.
    while (asked.length < 64 && pair.member(role).exit === null) {
      const name = `${String(asked.length)}-last-of-${role}.bench.test`;
      await askFromNewPort(name);
      asked.push(`${name}.`);
    }
    t.same(await within('the fault', DEADLINE_MS, pair.member(role).exited), { code: null, signal: 'SIGKILL' }, 'the fault happened');
    await until(`all of ${String(asked.length)} mappings`, DEADLINE_MS, async () => {
      const rows = await pair.cliJson<{ fqdn: string }[]>('cache', 'list', '--member', peer);
      return asked.every((name) => rows.some(({ fqdn }) => fqdn === name)) ? true : null;
    });
    await restarted(role, '');
  });

  t.test(`a query that kills ${role} does not kill ${peer}: it gets SERVFAIL, and no other query is lost`, async (t) => {
    const poison = 'poison.bench.test';
    await restarted(role, `crash-on=${poison}.`);
    const load = loadFor(SECONDS, pair);
    const codes = new Set<number>();
    for (let i = 0; i < 64 && pair.member(role).exit === null; i++) {
      codes.add(await askFromNewPort(poison));
    }
    t.same(await within('the fault', DEADLINE_MS, pair.member(role).exited), { code: null, signal: 'SIGSEGV' }, 'the fault happened');
    t.ok(codes.has(RCODE.servFail), 'the deadly one got SERVFAIL');
    await nothingLost(t, pair, await load);
    t.equal(pair.member(peer).exit, null, `${peer} lives`);
    await restarted(role, '');
  });

  t.test(`a query that ${role} hangs with, and that kills ${peer}, does not kill ${role} when it wakes: it gets SERVFAIL`, async (t) => {
    const poison = 'taken-poison.bench.test';
    const client = await clientOf(role);
    await restarted(peer, `crash-on=${poison}.`);
    await restarted(role, `stop-at=after-receive:1,crash-on=${poison}.`);
    const hung = pair.member(role).process;
    t.teardown(() => hung.kill('SIGCONT'));
    const answer = client.ask(buildQuery({ name: poison, type: TYPE.A }), DEADLINE_MS);
    t.same(await within('the fault', DEADLINE_MS, pair.member(peer).exited), { code: null, signal: 'SIGSEGV' }, 'the fault happened');
    hung.kill('SIGCONT');
    t.equal(readMessage(await answer).rcode, RCODE.servFail);
    t.equal(pair.member(role).exit, null, `${role} lives`);
    t.equal(await pair.metric(role, 'taken_unparsed'), 1);
    client.close();
    await restarted(peer, '');
    await restarted(role, '');
  });
}
