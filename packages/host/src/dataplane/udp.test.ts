import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import t, { type Test } from 'tap';
import { AppError, type Snapshot } from '@tandem/core';
import { EDE, RCODE } from '@tandem/dns';
import { freeAddress } from '../testing/free-address.js';
import { DataPlane, type DataPlaneEvents } from './data-plane.js';
import { TcpClient, UdpClient } from './testing/clients.js';
import { addressFor, answerTo, extendedError, query, read } from './testing/messages.js';
import { newDir, Rig, type RigOptions, settingsOf, snapshotOf } from './testing/rig.js';
import { type Asked, TestUpstream } from './testing/upstream.js';
import { DEADLINE_MS, until } from './testing/wait.js';

/** What a client is promised (DESIGN §4.4). */
const ANSWER_MS = 2500;

const deaf: DataPlaneEvents = { onMappings: () => undefined, onPolicyApplied: () => undefined, onWarning: () => undefined, onCrash: () => undefined };

async function started(t: Test, options: RigOptions = {}): Promise<Rig> {
  const rig = await Rig.start(options);
  t.teardown(() => rig.stop());
  return rig;
}

async function opened(t: Test, from = '127.0.0.1'): Promise<UdpClient> {
  const client = await UdpClient.open(from);
  t.teardown(() => client.close());
  return client;
}

t.test('an answer is the upstream\'s, byte for byte, but for the ID, over v4 and v6', async (t) => {
  const rig = await started(t, { listen: ['127.0.0.1', '::1'] });
  for (const [i, from] of ['127.0.0.1', '::1'].entries()) {
    const client = await opened(t, from);
    const asked = query('WWW.Example.', 'A');
    const { bytes, ...source } = await client.ask(asked, rig.plane.addresses[i]);
    t.strictSame(bytes.subarray(0, 2), asked.subarray(0, 2), 'the ID is the client\'s');
    t.strictSame(bytes.subarray(2), addressFor(rig.upstream.asked[i].query).subarray(2));
    t.strictSame(source, { from, fromPort: rig.plane.addresses[i].port });
    t.equal(read(rig.upstream.asked[i].query).questions[0].name, 'WWW.Example.', 'letter case is kept');
  }
});

t.test('an upstream may have a v6 address', async (t) => {
  const rig = await started(t, { upstream: '::1' });
  const client = await opened(t);
  t.equal(read((await client.ask(query('www.example.'), rig.server)).bytes).rcode, RCODE.noError);
});

for (const [wildcard, from, asked] of [['0.0.0.0', '127.0.0.1', '127.0.0.2'], ['::', '::1', '::1']] as const) {
  t.test(`a socket at ${wildcard} answers from the address that was asked`, async (t) => {
    const rig = await started(t, { listen: [wildcard] });
    const client = await opened(t, from);
    const to = { ...rig.server, address: asked };
    const answer = await client.ask(query('www.example.'), to);
    t.match(answer, { from: asked, fromPort: to.port });
    t.equal(read(answer.bytes).rcode, RCODE.noError);
    const stream = await TcpClient.open(to, { from });
    t.teardown(() => stream.close());
    t.equal(read(await stream.ask(query('www.example.'))).rcode, RCODE.noError);
  });
}

t.test('a silent upstream is asked twice, and then the client is told, in time', async (t) => {
  const rig = await started(t, { zone: () => undefined });
  const client = await opened(t);
  const begin = performance.now();
  const { bytes } = await client.ask(query('www.example.'), rig.server);
  const tookMs = performance.now() - begin;
  t.ok(tookMs <= ANSWER_MS, `${Math.round(tookMs)} ms`);
  t.equal(read(bytes).rcode, RCODE.servFail);
  t.equal(extendedError(bytes), EDE.noReachableAuthority);
  t.equal(rig.upstream.asked.length, 2);
  t.not(rig.upstream.asked[0].query.readUInt16BE(0), rig.upstream.asked[1].query.readUInt16BE(0), 'under another ID');
});

t.test('a second upstream is asked where the first is silent', async (t) => {
  const second = await TestUpstream.start('127.0.0.1', (asked) => asked.answer(addressFor(asked.query)));
  t.teardown(() => second.stop());
  const rig = await started(t, { zone: () => undefined, moreUpstreams: [second.address] });
  const client = await opened(t);
  t.equal(read((await client.ask(query('www.example.'), rig.server)).bytes).rcode, RCODE.noError);
  t.strictSame([rig.upstream.asked.length, second.asked.length], [1, 1]);
});

t.test('an upstream port that is nobody\'s gives SERVFAIL in time', async (t) => {
  const nobody = await freeAddress();
  const rig = await started(t, { settings: { upstreams: [nobody] } });
  const client = await opened(t);
  const begin = performance.now();
  t.equal(read((await client.ask(query('www.example.'), rig.server)).bytes).rcode, RCODE.servFail);
  t.ok(performance.now() - begin <= ANSWER_MS);
});

t.test('source ports are many, and replacing them loses no answer', async (t) => {
  // The upstream is so many questions behind: some answers come to ports that are no longer asked from. A socket holds 256.
  const behind = 100;
  const portsAtOnce = 64;
  const open: Asked[] = [];
  const rig = await started(t, {
    settings: { slots: 8192, upstreamPorts: portsAtOnce },
    zone: (asked) => {
      open.push(asked);
      if (open.length > behind) answerOldest();
    },
  });
  const answerOldest = (): void => {
    const asked = open.shift()!;
    asked.answer(addressFor(asked.query));
  };
  const client = await opened(t);
  const names = new Map<number, string>();
  const portsAsked = (): number => new Set(rig.upstream.asked.map(({ fromPort }) => fromPort)).size;
  while (portsAsked() <= portsAtOnce) {
    for (let i = 0; i < 4; i++) {
      const one = query(`n${names.size}.example.`);
      names.set(one.readUInt16BE(0), `n${names.size}.example.`);
      client.send(one, rig.server);
    }
    await until('asked', DEADLINE_MS, () => rig.upstream.asked.length >= names.size);
  }
  while (open.length > 0) answerOldest();
  await until('all answers', DEADLINE_MS, () => client.received.length >= names.size);
  const wrong = client.received.filter(({ bytes }) => read(bytes).rcode !== RCODE.noError || read(bytes).questions[0].name !== names.get(bytes.readUInt16BE(0)));
  t.strictSame(wrong, []);
  t.equal(rig.plane.counters.get('retried'), 0, 'each was asked once');
  t.comment(`${names.size} questions from ${portsAsked()} ports`);
});

t.test('a forged answer from another address or port is not taken', async (t) => {
  const rig = await started(t, {
    zone: (asked) => {
      const forger = createSocket('udp4').bind(0, '127.0.0.1', () => {
        forger.send(answerTo(asked.query, 'A', [{ form: 'address', address: '192.0.2.66' }]), asked.fromPort, '127.0.0.1', () => {
          forger.close();
          setImmediate(() => asked.answer(addressFor(asked.query)));
        });
      });
    },
  });
  const client = await opened(t);
  const { bytes } = await client.ask(query('www.example.'), rig.server);
  t.match(read(bytes).answers, [{ data: { address: '192.0.2.1' } }]);
});

t.test('a new policy decides as soon as it is said to be applied; what is under way keeps its verdict', async (t) => {
  const open: Asked[] = [];
  const rig = await started(t, { zone: (asked) => open.push(asked) });
  const client = await opened(t);
  const early = client.ask(query('early.example.'), rig.server);
  await until('asked', DEADLINE_MS, () => open.length === 1);
  rig.plane.setPolicy(snapshotOf(2, { denied: true }));
  await until('applied', DEADLINE_MS, () => rig.applied.includes(2));
  const { bytes } = await client.ask(query('late.example.'), rig.server);
  t.equal(read(bytes).rcode, RCODE.refused);
  t.equal(extendedError(bytes), EDE.blocked);
  open[0].answer(addressFor(open[0].query));
  t.equal(read((await early).bytes).rcode, RCODE.noError);
  t.equal(open.length, 1, 'a refused name is not asked');
});

t.test('without policy everything is refused, until one comes', async (t) => {
  const rig = await started(t, { snapshot: null });
  const client = await opened(t);
  const { bytes } = await client.ask(query('www.example.'), rig.server);
  t.equal(read(bytes).rcode, RCODE.refused);
  t.equal(extendedError(bytes), EDE.notReady);
  rig.plane.setPolicy(snapshotOf(1));
  await until('applied', DEADLINE_MS, () => rig.applied.includes(1));
  t.equal(read((await client.ask(query('www.example.'), rig.server)).bytes).rcode, RCODE.noError);
});

t.test('a stranger is refused', async (t) => {
  const rig = await started(t, { listen: ['0.0.0.0'] });
  const client = await opened(t, '127.0.0.9');
  const { bytes } = await client.ask(query('www.example.'), { ...rig.server, address: '127.0.0.1' });
  t.equal(read(bytes).rcode, RCODE.refused);
  t.equal(extendedError(bytes), EDE.prohibited);
  t.equal(rig.upstream.asked.length, 0);
});

t.test('a mapping is passed on once, and again after the cache was cleaned', async (t) => {
  const rig = await started(t);
  const client = await opened(t);
  for (let i = 0; i < 3; i++) await client.ask(query('WWW.example.'), rig.server);
  await until('learned', DEADLINE_MS, () => rig.mappings.length > 0);
  await client.ask(query('other.example.'), rig.server);
  await until('learned', DEADLINE_MS, () => rig.mappings.length > 1);
  t.match(rig.mappings, [
    { endpointId: 1, name: 'www.example.', address: '192.0.2.1', ttlSeconds: 60 },
    { endpointId: 1, name: 'other.example.', address: '192.0.2.1', ttlSeconds: 60 },
  ]);
  rig.plane.forgetMappings(null);
  await client.ask(query('www.example.'), rig.server);
  await until('learned again', DEADLINE_MS, () => rig.mappings.length === 3);
});

t.test('more mappings than one turn takes all arrive', async (t) => {
  const addresses = Array.from({ length: 50 }, (_, i) => ({ form: 'address', address: `2001:db8::${(i + 1).toString(16)}` }) as const);
  const rig = await started(t, { zone: (asked) => asked.answer(answerTo(asked.query, 'AAAA', addresses)) });
  const client = await opened(t);
  for (let i = 0; i < 50; i++) await client.ask(query(`n${i}.example.`, 'AAAA'), rig.server);
  await until('all learned', DEADLINE_MS, () => rig.mappings.length === 2500);
  t.equal(new Set(rig.mappings.map(({ name, address }) => `${name} ${address}`)).size, 2500);
});

t.test('what is under way is answered before the end, by UDP and TCP, and then the address is free', async (t) => {
  const open: Asked[] = [];
  const rig = await started(t, { zone: (asked) => open.push(asked) });
  const client = await opened(t);
  const stream = await TcpClient.open(rig.server);
  t.teardown(() => stream.close());
  const byUdp = client.ask(query('slow.example.'), rig.server);
  const byTcp = stream.ask(query('slow.example.'));
  await until('both asked', DEADLINE_MS, () => open.length === 2);
  const stopped = rig.stopPlane();
  for (const one of open) one.answer(addressFor(one.query));
  t.equal(read((await byUdp).bytes).rcode, RCODE.noError);
  t.equal(read(await byTcp).rcode, RCODE.noError);
  await stopped;
  const taken = createServer().listen(rig.server.port, rig.server.address);
  await once(taken, 'listening');
  taken.close();
  t.strictSame(rig.crashes, []);
});

t.test('an address that is not to be had is named, with what to do', async (t) => {
  const upstream = await freeAddress();
  const udp = createSocket('udp4').bind(0, '127.0.0.1');
  const tcp = createServer().listen(0, '127.0.0.1');
  await Promise.all([once(udp, 'listening'), once(tcp, 'listening')]);
  t.teardown(() => {
    udp.close();
    tcp.close();
  });
  const free = await freeAddress();
  const tcpPort = (tcp.address() as { readonly port: number }).port;
  const dir = newDir();
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const cases = [
    [`127.0.0.1:${udp.address().port}`, 4, 'EADDRINUSE', /another program holds 127\.0\.0\.1:\d+: find it with `ss -lntup` .*another --listen$/],
    [`127.0.0.1:${tcpPort}`, 4, 'EADDRINUSE', /another program holds 127\.0\.0\.1:\d+: find it with `ss -lntup` .*another --listen$/],
    ['192.0.2.77:5353', 4, 'EADDRNOTAVAIL', /no such address; /],
    ['[2001:db8::77]:5353', 6, 'EADDRNOTAVAIL', /no such address \(or IPv6 is switched off: net.ipv6.conf.all.disable_ipv6\); /],
  ] as const;
  for (const [text, family, errno, why] of cases) {
    const [, address, port] = /^\[?(.*?)\]?:(\d+)$/.exec(text)!;
    const settings = settingsOf(dir, [free, { address, family, port: Number(port) }], [upstream]);
    const error = await DataPlane.start(settings, null, deaf)
      .then(() => null, (reason: unknown) => reason);
    t.ok(error instanceof AppError, text);
    if (!(error instanceof AppError)) return;
    t.match(error, { code: 'UNAVAILABLE', details: { errno } });
    t.ok(error.message.startsWith(`--listen ${text}: `), error.message);
    t.match(error.message, why);
  }
});

t.test('a thread that ends unasked is reported', async (t) => {
  const upstream = await freeAddress();
  const crashes: Error[] = [];
  const dir = newDir();
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const settings = settingsOf(dir, [await freeAddress()], [upstream]);
  const plane = await DataPlane.start(settings, null, { ...deaf, onCrash: (error) => crashes.push(error) });
  plane.setPolicy({ revision: 1 } as Snapshot);
  await until('reported', DEADLINE_MS, () => crashes.length > 0);
});
