/** A member that hangs, whose queries the other answers meanwhile, and that goes on: each query is told once, by the one that answered it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import t from 'tap';
import { ownAddress } from '../harness/address.js';
import { UdpClient } from '../harness/clients.js';
import { CLIENT_A } from '../harness/manifests.js';
import { startNative } from '../harness/native.js';
import { peerOf } from '../harness/pair.js';
import type { Role } from '../harness/pair.js';
import { repositoryRoot } from '../harness/repository.js';
import { startOwing } from '../harness/under-load.js';
import { DEADLINE_MS } from '../harness/until.js';
import { buildQuery, TYPE } from '../harness/wire.js';

const QUERIES = 200;
/** So long that no answer is under way when the member is stopped. */
const UPSTREAM_DELAY_MS = 600;
const STOPPED_AFTER_MS = 200;
/** It is there again before the answers to its own questions are. */
const STOPPED_FOR_MS = 200;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
const execute = promisify(execFile);

const upstream = await startNative('upstream', ['--listen', `${ownAddress}:0`, '--delay-ms', String(UPSTREAM_DELAY_MS)]);
t.teardown(() => upstream.child.stop());
const pair = await startOwing(t, { upstreams: [{ address: ownAddress, port: upstream.port }] });

/** `REQUEST name` and `RESPONSE name` with their verdicts, as a member shows them. */
async function told(member: Role, prefix: string): Promise<readonly string[]> {
  const { stdout } = await execute(
    join(repositoryRoot, 'packages/cli/bin/tandem'), ['observe', '--all', '--member', member, '-o', 'jsonpb', '--run-dir', pair.runDir],
    { maxBuffer: OUTPUT_BYTES_MAX, timeout: DEADLINE_MS },
  );
  return stdout.split('\n').filter((line) => line !== '').flatMap((line) => {
    const { flow } = JSON.parse(line) as { readonly flow?: { readonly verdict: string; readonly l7: { readonly type: string; readonly dns: { readonly query: string } } } };
    return flow?.l7.dns.query.startsWith(prefix) === true ? [`${flow.l7.type} ${flow.verdict} ${flow.l7.dns.query}`] : [];
  });
}

for (const role of ['agent', 'dns-proxy'] as const) {
  t.test(`${role} hangs while it owes answers, and goes on: each query is told once`, async (t) => {
    await pair.redundant();
    const takenBefore = await pair.metric(peerOf(role), 'taken');
    const clients = await Promise.all(Array.from({ length: QUERIES }, () => UdpClient.open(CLIENT_A, pair.server)));
    const names = clients.map((_, i) => `hung-${role}-${String(i)}.bench.test.`);
    const answers = Promise.all(clients.map((client, i) => client.ask(buildQuery({ name: names[i], type: TYPE.A }))));
    await pause(STOPPED_AFTER_MS);
    pair.member(role).process.kill('SIGSTOP');
    await pause(STOPPED_FOR_MS);
    pair.member(role).process.kill('SIGCONT');
    t.equal((await answers).length, QUERIES, 'every query is answered');
    for (const client of clients) client.close();
    t.ok((await pair.metric(peerOf(role), 'taken')) - takenBefore > QUERIES / 10, 'many by the other member');
    // The one that hung has its own upstream's answers by now, or has given them up.
    await pause(UPSTREAM_DELAY_MS);
    const expected = names.flatMap((name) => [`REQUEST FORWARDED ${name}`, `RESPONSE FORWARDED ${name}`]).sort();
    for (const member of [role, peerOf(role)]) t.same([...(await told(member, `hung-${role}-`))].sort(), expected, `told by ${member}`);
  });
}
