import t from 'tap';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ownAddress, ownPort } from '../harness/address.js';
import { UdpClient } from '../harness/clients.js';
import { CLIENT_A } from '../harness/manifests.js';
import { ROLES } from '../harness/pair.js';
import type { Pair, Role } from '../harness/pair.js';
import { DEADLINE_MS, until, within } from '../harness/until.js';
import { addressA, buildAnswer, buildQuery, RCODE, readMessage, TYPE } from '../harness/wire.js';
import { startBench } from './start.js';

const TTL_SECONDS = 300;
const NAMES = 40;

interface Row {
  readonly fqdn: string;
}

function answer({ query }: { readonly query: Buffer }): Buffer {
  return buildAnswer(query, [{ ...addressA('192.0.2.7'), ttlSeconds: TTL_SECONDS }]);
}

/** Asks for so many names; whichever member the kernel chooses learns each. */
async function ask(pair: Pair, prefix: string): Promise<void> {
  await Promise.all(Array.from({ length: NAMES }, async (_, i) => {
    const client = await UdpClient.open(CLIENT_A, pair.server);
    try {
      const { rcode } = readMessage(await client.ask(buildQuery({ name: `${prefix}${String(i)}.a.test`, type: TYPE.A })));
      if (rcode !== RCODE.noError) throw new Error(`response code ${String(rcode)}`);
    } finally {
      client.close();
    }
  }));
}

async function names(pair: Pair, role: Role): Promise<string[]> {
  const { body } = await pair.http(role, '/api/v1/fqdn/cache');
  return (JSON.parse(body) as Row[]).map(({ fqdn }) => fqdn).sort();
}

function expected(...prefixes: readonly string[]): string[] {
  return prefixes.flatMap((prefix) => Array.from({ length: NAMES }, (_, i) => `${prefix}${String(i)}.a.test.`)).sort();
}

function equal(pair: Pair, what: readonly string[]): Promise<true> {
  return until('both caches equal', DEADLINE_MS, async () => {
    const [a, b] = await Promise.all(ROLES.map((role) => names(pair, role)));
    return a.join() === what.join() && b.join() === what.join() ? true : null;
  });
}

for (const [hung, other] of [['dns-proxy', 'agent'], ['agent', 'dns-proxy']] as const) {
  t.test(`what is learned and cleaned while ${hung} hangs reaches it when it goes on`, async (t) => {
    const { pair } = await startBench(t, answer);
    await ask(pair, 'before');
    await equal(pair, expected('before'));
    // Before each holds the other's sockets, what the kernel gives to the hung one waits for it.
    await pair.redundant();
    process.kill(pair.member(hung).pid, 'SIGSTOP');
    await ask(pair, 'while');
    t.equal((await pair.cli('cache', 'clean', '-f', '-p', 'before*.a.test', '--member', other)).code, 0);
    process.kill(pair.member(hung).pid, 'SIGCONT');
    await equal(pair, expected('while'));
    await until('nothing owed', DEADLINE_MS, async () => ((await Promise.all(ROLES.map((role) => pair.status(role)))).every(({ peer }) => peer.lag === 0) ? true : null));
  });
}

t.test('the pair works over TCP with certificates, and a daemon without all its files does not start', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-tls-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const openssl = (...args: readonly string[]): Buffer => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...key, '-days', '2', '-subj', '/CN=ca', '-keyout', 'ca.key', '-out', 'ca.pem');
  for (const role of ROLES) {
    openssl('req', ...key, '-subj', `/CN=${role}`, '-keyout', `${role}.key`, '-out', `${role}.csr`);
    writeFileSync(join(dir, 'ext'), `subjectAltName=DNS:tandem-${role}\n`);
    openssl('x509', '-req', '-in', `${role}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'ext', '-out', `${role}.pem`);
  }
  const at = `${ownAddress}:${String(ownPort())}`;
  const flags = (role: Role, ...files: readonly string[]): string[] => [
    role === 'agent' ? '--pair-listen' : '--pair-connect', at, ...files.flatMap((file) => [`--pair-tls-${file}`, join(dir, file === 'ca' ? 'ca.pem' : `${role}.${file === 'cert' ? 'pem' : 'key'}`)]),
  ];
  const { pair } = await startBench(t, answer, { roles: [] });
  for (const role of ROLES) {
    const child = pair.launch(role, flags(role, 'cert', 'ca'));
    t.equal((await within(`${role} refuses`, DEADLINE_MS, child.exited)).code, 65);
    t.match(child.output, /--pair-(listen|connect) \S+ needs --pair-tls-key: /);
  }
  for (const role of ROLES) pair.launch(role, flags(role, 'cert', 'key', 'ca'));
  await Promise.all(ROLES.map((role) => pair.ready(role)));
  await pair.inTouch();
  await ask(pair, 'tls');
  await equal(pair, expected('tls'));
});
