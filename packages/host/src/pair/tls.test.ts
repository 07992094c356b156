import { copyFileSync, existsSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import t, { type Test } from 'tap';
import { AppError, type Settings, type Snapshot, type SocketAddress } from '@tandem/core';
import { DEADLINE_MS, until, within } from '../dataplane/testing/wait.js';
import type { Member } from '../member/member.js';
import { freeAddress } from '../testing/free-address.js';
import { startPairClient } from './client.js';
import { startPairServer } from './server.js';
import { Certificates } from './testing/certificates.js';
import { mappingOf, Node, type RecordingLog } from './testing/members.js';

function closed(socket: Socket): Promise<void> {
  return within('closed', DEADLINE_MS, new Promise((resolve) => socket.on('close', () => resolve())));
}

interface Bench {
  readonly node: Node;
  readonly certificates: Certificates;
  readonly at: SocketAddress;
  readonly agent: Member;
  readonly log: RecordingLog;
}

async function agentOverTls(t: Test): Promise<Bench> {
  const node = new Node();
  const certificates = new Certificates(node);
  certificates.ca('ca');
  certificates.issue('agent', 'tandem-agent', 'ca');
  certificates.issue('proxy', 'tandem-dns-proxy', 'ca');
  const at = await freeAddress();
  const { member: agent, log } = node.member('agent', { pairListen: at, ...certificates.settings('agent', 'ca') });
  const server = await startPairServer({ member: agent, onForeignSnapshot: () => undefined, onSnapshot: (one: Snapshot) => agent.enforce(one) });
  t.teardown(async () => {
    await server.close();
    await agent.stop();
    node.remove();
  });
  return { node, certificates, at, agent, log };
}

function proxyOverTls(t: Test, { node, at }: Bench, settings: Partial<Settings>): { member: Member; log: RecordingLog } {
  const proxy = node.member('dns-proxy', { pairConnect: at, ...settings });
  const client = startPairClient({ member: proxy.member, onSnapshot: (one) => proxy.member.enforce(one) });
  t.teardown(async () => {
    client.close();
    await proxy.member.stop();
  });
  return proxy;
}

t.test('members are linked over TCP when each has a certificate in its name, and mappings pass', async (t) => {
  const bench = await agentOverTls(t);
  bench.agent.mappings.merge([mappingOf(1)]);
  const { member } = proxyOverTls(t, bench, bench.certificates.settings('proxy', 'ca'));
  await until('linked', DEADLINE_MS, () => bench.agent.peer.connected && member.cache.size === 1);
});

const STRANGERS: readonly [string, (made: Certificates) => Partial<Settings>, { readonly agent: RegExp } | { readonly proxy: RegExp }][] = [
  ['whose certificate another CA has signed', (made) => {
    made.ca('other');
    made.issue('alien', 'tandem-dns-proxy', 'other');
    return { ...made.settings('alien', 'ca') };
  }, { agent: /a pair link was refused.*does not hold/ }],
  ['whose certificate is in another name', (made) => {
    made.issue('web', 'web.example', 'ca');
    return made.settings('web', 'ca');
  }, { agent: /a pair link was refused.*tandem-dns-proxy/ }],
  ['that trusts another CA', (made) => {
    made.ca('other');
    return made.settings('proxy', 'other');
  }, { proxy: /the agent is not reached/ }],
];

for (const [what, settingsOf, where] of STRANGERS) {
  t.test(`a peer ${what} is not linked, and the log says so`, async (t) => {
    const bench = await agentOverTls(t);
    const { member, log } = proxyOverTls(t, bench, settingsOf(bench.certificates));
    await until('in the log', DEADLINE_MS, () => ('agent' in where ? bench.log.has(where.agent) : log.has(where.proxy)));
    t.equal(bench.agent.peer.connected, false);
    t.equal(member.peer.connected, false);
    t.notOk(bench.log.has(/pair link is up/));
  });
}

t.test('an agent whose certificate is in another name is left', async (t) => {
  const bench = await agentOverTls(t);
  bench.certificates.issue('agent', 'web.example', 'ca');
  const { member, log } = proxyOverTls(t, bench, bench.certificates.settings('proxy', 'ca'));
  await until('in the log', DEADLINE_MS, () => log.has(/the agent is not reached/));
  t.equal(member.peer.connected, false);
  t.notOk(bench.log.has(/pair link is up/));
});

t.test('who has no certificate, speaks no TLS or an old one gets nowhere', async (t) => {
  const { at, agent, log } = await agentOverTls(t);
  const plain = connect(at.port, at.address);
  plain.on('error', () => undefined);
  plain.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  plain.resume();
  await closed(plain);
  for (const options of [{}, { maxVersion: 'TLSv1.2' as const }]) {
    const socket = connectTls({ host: at.address, port: at.port, rejectUnauthorized: false, ALPNProtocols: ['h2'], ...options });
    socket.on('error', () => undefined);
    socket.resume();
    await closed(socket);
  }
  for (const reason of [/showed no certificate/, /http request|wrong version number|packet length/, /unsupported protocol|no protocols/]) t.ok(log.has(reason), String(reason));
  t.equal(agent.peer.connected, false);
});

t.test('replaced certificates are used by the next connection; unusable ones leave the former in use', async (t) => {
  const bench = await agentOverTls(t);
  const { certificates, log, agent } = bench;
  writeFileSync(certificates.path('agent.pem'), 'no certificate');
  const first = proxyOverTls(t, bench, certificates.settings('proxy', 'ca'));
  await until('linked', DEADLINE_MS, () => first.member.peer.connected);
  t.ok(log.has(/new certificates.*the former stay.*--pair-tls-cert/));
  certificates.ca('next');
  copyFileSync(certificates.path('next.pem'), certificates.path('ca.pem'));
  certificates.issue('agent', 'tandem-agent', 'next');
  certificates.issue('renewed', 'tandem-dns-proxy', 'next');
  const second = proxyOverTls(t, bench, certificates.settings('renewed', 'next'));
  await until('linked', DEADLINE_MS, () => second.member.peer.connected);
  t.equal(agent.peer.connected, true);
});

t.test('files that cannot be used are refused at the start, with setting and file', async (t) => {
  const node = new Node();
  t.teardown(() => node.remove());
  const certificates = new Certificates(node);
  certificates.ca('ca');
  certificates.issue('agent', 'tandem-agent', 'ca');
  certificates.issue('other', 'tandem-agent', 'ca');
  writeFileSync(certificates.path('junk.pem'), 'junk');
  const good = certificates.settings('agent', 'ca');
  const cases: readonly [Partial<Settings>, RegExp][] = [
    [{ pairTlsCert: certificates.path('absent.pem') }, /^--pair-tls-cert .*absent\.pem cannot be read: /],
    [{ pairTlsCert: certificates.path('junk.pem') }, /^--pair-tls-cert .*junk\.pem holds no PEM/],
    [{ pairTlsKey: certificates.path('junk.pem') }, /^--pair-tls-key .*junk\.pem holds no PEM/],
    [{ pairTlsCa: certificates.path('junk.pem') }, /^--pair-tls-ca .*junk\.pem holds no PEM/],
    [{ pairTlsKey: certificates.path('other.key') }, /^--pair-tls-key .*other\.key is not the key of .*agent\.pem/],
  ];
  for (const [changes, message] of cases) {
    const { member } = node.member('agent', { pairListen: await freeAddress(), ...good, ...changes });
    const start = startPairServer({ member, onForeignSnapshot: () => undefined, onSnapshot: () => Promise.resolve() });
    await t.rejects(start, { code: 'CONFIGURATION', message });
    await member.stop();
    const { member: proxy } = node.member('dns-proxy', { pairConnect: await freeAddress(), ...good, ...changes });
    t.throws(() => startPairClient({ member: proxy, onSnapshot: () => Promise.resolve() }), { code: 'CONFIGURATION', message });
    await proxy.stop();
  }
});

t.test('an address that is taken is an error that names it, and leaves no socket behind', async (t) => {
  const { node, at, certificates } = await agentOverTls(t);
  const other = new Node();
  t.teardown(() => other.remove());
  const { member } = other.member('agent', { pairListen: at, ...certificates.settings('agent', 'ca') });
  t.teardown(() => member.stop());
  const error = await startPairServer({ member, onForeignSnapshot: () => undefined, onSnapshot: () => Promise.resolve() }).then(() => null, (one: unknown) => one);
  t.ok(error instanceof AppError);
  t.match(error, { code: 'UNAVAILABLE', message: new RegExp(`${at.address}:${at.port}.*--pair-listen`) });
  t.notOk(existsSync(join(other.dir, 'pair.sock')));
  t.ok(existsSync(join(node.dir, 'pair.sock')));
});
