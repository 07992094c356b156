/** What a client that is slow, idle or speaks no HTTP gets, and what others get meanwhile. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Log } from '@tandem/core';
import type { DaemonView } from './daemon-view.js';
import { startHttpServers, type HttpOptions } from './http-server.js';

const quiet: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

const view: DaemonView = { role: 'agent', ready: () => ({ ready: true, reason: 'ok' }), cacheImport: () => ({ read: 0 }) } as unknown as DaemonView;

async function served(t: Test, options: Partial<HttpOptions> = {}, shown = view): Promise<{ port: number; unixPath: string }> {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-http-'));
  const servers = await startHttpServers({ listen: { address: '127.0.0.1', port: 0, family: 4 }, unixPath: join(dir, 'agent.sock'), log: quiet, ...options }, shown);
  t.teardown(async () => {
    await servers.close();
    rmSync(dir, { recursive: true });
  });
  return { port: servers.listen.port, unixPath: servers.unixPath };
}

async function connected(t: Test, port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  t.teardown(() => { socket.destroy(); });
  await once(socket, 'connect');
  return socket;
}

/** All that comes until the other end closes. */
function allFrom(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.setEncoding('latin1').on('data', (piece: string) => { text += piece; }).on('close', () => { resolve(text); });
  });
}

t.test('a request that does not become whole is refused soon after its time', async (t) => {
  const { port } = await served(t, { requestMs: 50 });
  for (const begin of ['GET /healthz HTTP/1.1\r\nhost: a\r\n', 'POST /api/v1/policy/trace HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{']) {
    const socket = await connected(t, port);
    const answered = allFrom(socket);
    const beganMs = performance.now();
    socket.write(begin);
    t.match(await answered, /^HTTP\/1\.1 408 .*"code":"LIMIT"/s);
    t.ok(performance.now() - beganMs < 5_000, 'within seconds');
  }
});

const CONNECTIONS_MAX = 64;
const PROBE = 'GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';

t.test('connections that are left open do not keep a probe out', async (t) => {
  const { port } = await served(t);
  for (const begin of ['', 'GET /healthz HTTP/1.1\r\nhost:', 'POST /api/v1/policy/trace HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{']) {
    const idle: Socket[] = [];
    while (idle.length < CONNECTIONS_MAX) {
      const socket = await connected(t, port);
      if (begin !== '') socket.write(begin);
      idle.push(socket.resume());
    }
    const ended = once(idle[0], 'close');
    const probe = await connected(t, port);
    probe.write(PROBE);
    t.match(await allFrom(probe), /^HTTP\/1\.1 200 .*ok\n$/s, begin);
    await ended;
    t.equal(idle.filter(({ closed }) => closed).length, 1, 'the one that has waited longest makes room');
    for (const socket of idle) socket.destroy();
  }
});

t.test('a connection that has just been answered, or is being answered, outlives those that wait longer', async (t) => {
  let answerLate: () => void = () => undefined;
  let begun: () => void = () => undefined;
  const underWay = new Promise<void>((resolve) => { begun = resolve; });
  const slow = { ...view, metricsText: () => new Promise<string>((resolve) => { answerLate = () => { resolve('late\n'); }; begun(); }) };
  const { port } = await served(t, {}, slow);
  const [answered, asking] = [await connected(t, port), await connected(t, port)];
  const second = await connected(t, port);
  const ended = once(second.resume(), 'close');
  const late = once(asking, 'data');
  asking.write('GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n');
  answered.write(PROBE.replace('connection: close\r\n', ''));
  await once(answered, 'data');
  await underWay;
  for (let open = 3; open < CONNECTIONS_MAX; open++) await connected(t, port);
  const probe = await connected(t, port);
  probe.write(PROBE);
  t.match(await allFrom(probe), /^HTTP\/1\.1 200/);
  await ended;
  answerLate();
  t.match(String((await late)[0]), /^HTTP\/1\.1 200 .*late\n$/s);
  const again = once(answered, 'data');
  answered.write(PROBE);
  t.match(String((await again)[0]), /^HTTP\/1\.1 200/);
});

t.test('where all are being answered, the oldest makes room', async (t) => {
  let asked = 0;
  let allAsked: () => void = () => undefined;
  const underWay = new Promise<void>((resolve) => { allAsked = resolve; });
  const metricsText = (): Promise<string> => new Promise(() => { if (++asked === CONNECTIONS_MAX) allAsked(); });
  const { port } = await served(t, {}, { ...view, metricsText });
  const all: Socket[] = [];
  for (let open = 0; open < CONNECTIONS_MAX; open++) {
    const socket = await connected(t, port);
    socket.resume().write('GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n');
    all.push(socket);
  }
  await underWay;
  const ended = once(all[0], 'close');
  const probe = await connected(t, port);
  probe.write(PROBE);
  t.match(await allFrom(probe), /^HTTP\/1\.1 200/);
  await ended;
  t.equal(all.filter(({ closed }) => closed).length, 1);
});

t.test('a refusal that no route sees has the form of all others', async (t) => {
  const { port } = await served(t);
  const table: readonly [string, number, string, RegExp][] = [
    [`GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 431, 'LIMIT', /larger than 8192 bytes/],
    [`POST /api/v1/policy/trace HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n2;${'x'.repeat(20_000)}\r\n{}\r\n0\r\n\r\n`, 413, 'LIMIT', /extensions/],
    ['GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n', 400, 'USAGE', /no Host header/],
    ['POST /api/v1/policy/trace HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', 400, 'USAGE', /no HTTP: /],
    ['\x00\x01\x02\r\n\r\n', 400, 'USAGE', /no HTTP: /],
    ['GET /healthz HTTP/1.1\r\nhost: a\r\nexpect: wonders\r\n\r\n', 417, 'USAGE', /100-continue/],
    ['CONNECT 192.0.2.1:443 HTTP/1.1\r\nhost: 192.0.2.1:443\r\n\r\n', 405, 'USAGE', /CONNECT/],
  ];
  for (const [sent, status, code, message] of table) {
    const socket = await connected(t, port);
    const answered = allFrom(socket);
    socket.write(sent, 'latin1');
    const text = await answered;
    const label = sent.slice(0, 60);
    t.match(text, new RegExp(`^HTTP/1\\.1 ${status} [A-Z].*\\r\\ncontent-type: application/json`, 's'), label);
    t.match(JSON.parse(text.slice(text.indexOf('\r\n\r\n'))), { error: { code, message } }, label);
  }
  const old = await connected(t, port);
  old.write('GET /healthz HTTP/1.0\r\n\r\n');
  t.match(await allFrom(old), /^HTTP\/1\.1 200/, 'HTTP/1.0 needs no Host header');
});

t.test('who asks for a tunnel and is gone before the answer does no harm', async (t) => {
  const { port } = await served(t);
  const faults: unknown[] = [];
  const note = (error: unknown): void => { faults.push(error); };
  process.on('uncaughtException', note);
  t.teardown(() => { process.off('uncaughtException', note); });
  for (let i = 0; i < 200; i++) {
    const socket = await connected(t, port);
    socket.write('CONNECT a:1 HTTP/1.1\r\n\r\n');
    socket.resetAndDestroy();
  }
  const probe = await connected(t, port);
  probe.write(PROBE);
  t.match(await allFrom(probe), /^HTTP\/1\.1 200 /);
  t.same(faults, []);
});
