import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { AppError, PROTOCOL, type ConnectionRequest, type Log, type TraceRequest, type TraceResult } from '@tandem/core';
import { DEADLINE_MS } from '../dataplane/testing/wait.js';
import type { CacheFilter, CacheRow, DaemonView, StatusView } from './daemon-view.js';
import { startHttpServers, type HttpServers } from './http-server.js';

const quiet: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

const row: CacheRow = {
  'fqdn': 'echo.k8s.intra.', 'ips': ['172.17.0.2'], 'lookup-time': '2026-11-05T10:00:00.000Z', 'ttl': 30,
  'expiration-time': '2026-11-05T10:00:30.000Z', 'endpoint-id': 7, 'source': 'lookup',
};

const STALL_MS = 50;

/** Records what it was asked; `rows` and readiness can be set. */
class RecordingView implements DaemonView {
  readonly role = 'agent';
  readonly asked: unknown[] = [];
  rows: CacheRow[] = [row];
  isReady = true;

  ready() {
    return { ready: this.isReady, reason: this.isReady ? 'ok' : 'no policy snapshot yet' };
  }

  status(): StatusView {
    return { role: 'agent', pid: 1 } as StatusView;
  }

  cacheList(filter: CacheFilter) {
    this.asked.push(filter);
    return this.rows;
  }

  cacheClean(matchPattern: string | null) {
    this.asked.push(matchPattern);
    return { removed: 1 };
  }

  cacheExport() {
    return [];
  }

  cacheImport(entries: unknown) {
    this.asked.push(entries);
    return Promise.resolve({ read: 1, learned: 1, known: 0, expired: 0, strangers: 0, cleaned: 0, evicted: 0 });
  }

  settings() {
    return { 'slots': 8_192, 'listen': ['127.0.0.1:53'] };
  }

  endpoints() {
    return [];
  }

  policies(): never {
    throw new Error('a fault');
  }

  trace(traced: TraceRequest): TraceResult {
    this.asked.push(traced);
    throw new AppError('NOT_FOUND', `no pod ${traced.from}`);
  }

  traceConnection(traced: ConnectionRequest): never {
    this.asked.push(traced);
    throw new AppError('NOT_FOUND', `no pod ${traced.to}`);
  }

  metricsText() {
    return Promise.resolve('tandem_redundant 1\n');
  }
}

interface Reply {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly text: string;
}

function ask(at: { port: number } | { socketPath: string }, method: string, path: string, body?: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = request({ ...at, host: '127.0.0.1', method, path, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => { text += piece; });
      response.on('end', () => { resolve({ status: response.statusCode!, headers: response.headers, text }); });
    });
    sent.on('error', reject).end(body);
  });
}

async function served(t: Test, view: DaemonView = new RecordingView(), { stallMs = 10_000, log = quiet } = {}): Promise<{ servers: HttpServers; tcp: { port: number }; unix: { socketPath: string } }> {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-http-'));
  const servers = await startHttpServers({
    listen: { address: '127.0.0.1', port: 0, family: 4 }, unixPath: join(dir, 'agent.sock'), log, stallMs,
  }, view);
  t.teardown(async () => {
    await servers.close();
    rmSync(dir, { recursive: true });
  });
  return { servers, tcp: { port: servers.listen.port }, unix: { socketPath: servers.unixPath } };
}

t.test('both sockets serve the same routes', async (t) => {
  const { tcp, unix } = await served(t);
  for (const at of [tcp, unix]) {
    t.match(await ask(at, 'GET', '/healthz'), { status: 200, text: 'ok\n' });
    t.match(await ask(at, 'GET', '/readyz'), { status: 200, text: 'ok\n' });
    t.match(await ask(at, 'GET', '/metrics'), { status: 200, text: 'tandem_redundant 1\n', headers: { 'content-type': /version=0.0.4/ } });
    t.match(await ask(at, 'GET', '/'), { status: 200, text: /DELETE +.*|\/api\/v1\/fqdn\/cache/ });
    t.strictSame(JSON.parse((await ask(at, 'GET', '/api/v1/status')).text), { role: 'agent', pid: 1 });
    t.strictSame(JSON.parse((await ask(at, 'GET', '/api/v1/fqdn/cache')).text), [row]);
    t.strictSame(JSON.parse((await ask(at, 'GET', '/api/v1/endpoints')).text), []);
    t.match(await ask(at, 'HEAD', '/healthz'), { status: 200, text: '' });
  }
});

t.test('a member that is not ready says why', async (t) => {
  const view = new RecordingView();
  view.isReady = false;
  const { tcp } = await served(t, view);
  t.match(await ask(tcp, 'GET', '/readyz'), { status: 503, text: 'no policy snapshot yet\n' });
  t.match(await ask(tcp, 'GET', '/healthz'), { status: 200 });
});

t.test('changes are taken on the Unix socket alone', async (t) => {
  const view = new RecordingView();
  const { tcp, unix } = await served(t, view);
  t.match(await ask(tcp, 'DELETE', '/api/v1/fqdn/cache'), { status: 403, text: /Unix socket/ });
  t.match(await ask(tcp, 'POST', '/api/v1/fqdn/cache/import', '[]'), { status: 403, text: /Unix socket/ });
  t.strictSame(view.asked, []);
  t.strictSame(JSON.parse((await ask(unix, 'DELETE', '/api/v1/fqdn/cache?matchPattern=*.intra')).text), { removed: 1 });
  t.strictSame(JSON.parse((await ask(unix, 'DELETE', '/api/v1/fqdn/cache')).text), { removed: 1 });
  t.match(JSON.parse((await ask(unix, 'POST', '/api/v1/fqdn/cache/import', '[{}]')).text), { read: 1, learned: 1 });
  t.match(await ask(unix, 'POST', '/api/v1/fqdn/cache/import', '[{'), { status: 400, text: /not JSON/ });
  t.match(await ask(unix, 'POST', '/api/v1/fqdn/cache/import?all=1', '[]'), { status: 400, text: /unknown parameter .*known: none/ });
  t.match(await ask(tcp, 'GET', '/api/v1/fqdn/cache/export'), { status: 200, text: '[]\n' });
  t.strictSame(view.asked, ['*.intra', null, [{}]]);
  t.equal(statSync(unix.socketPath).mode & 0o777, 0o600, 'which is the owner\'s');
});

t.test('settings name files of the host: they are told on the Unix socket alone', async (t) => {
  const { tcp, unix } = await served(t);
  t.match(await ask(tcp, 'GET', '/api/v1/settings'), { status: 403, text: /Unix socket/ });
  t.strictSame(JSON.parse((await ask(unix, 'GET', '/api/v1/settings')).text), { slots: 8_192, listen: ['127.0.0.1:53'] });
});

t.test('no route takes a parameter that it does not know, nor one twice', async (t) => {
  const view = new RecordingView();
  const { unix } = await served(t, view);
  const listed = (await ask(unix, 'GET', '/api')).text.matchAll(/^(\S+) +(\/\S*)$/gm);
  let count = 0;
  for (const [, methods, path] of listed) {
    for (const method of methods.split('|')) {
      for (const query of ['namespace=x', 'a=1&a=1', '=']) {
        const at = `${method} ${path}?${query}`;
        t.match(await ask(unix, method, `${path}?${query}`, method === 'POST' ? '{}' : undefined), { status: 400, text: /unknown parameter/ }, at);
        count++;
      }
    }
  }
  t.ok(count >= 51, `${count} asked`);
  t.match(await ask(unix, 'GET', '/api/v1/endpoints?'), { status: 200 });
  t.strictSame(view.asked, []);
});

t.test('filters reach the daemon, and a bad one reaches nobody', async (t) => {
  const view = new RecordingView();
  const { unix } = await served(t, view);
  await ask(unix, 'GET', '/api/v1/fqdn/cache?matchPattern=*&endpoint=7&source=connection');
  t.strictSame(view.asked, [{ matchPattern: '*', endpointId: 7, source: 'connection' }]);
  for (const query of ['source=x', 'endpoint=-1', 'endpoint=70000', 'endpoint=1&endpoint=2', 'matchpattern=a', 'matchPattern=', `matchPattern=${'a'.repeat(300)}`]) {
    for (const method of ['GET', 'DELETE']) t.match(await ask(unix, method, `/api/v1/fqdn/cache?${query}`), { status: 400, text: /"code":"USAGE"/ }, `${method} ${query}`);
  }
  t.equal(view.asked.length, 1);
});

t.test('a trace of a connection is asked by query or body, and its refusals are answers', async (t) => {
  const view = new RecordingView();
  const { tcp } = await served(t, view);
  const path = '/api/v1/policy/trace/connection';
  const fields = { from: 'demo/web', to: 'demo/api', port: 8, protocol: 'icmp' };
  t.match(await ask(tcp, 'POST', path, JSON.stringify(fields)), { status: 404, text: /no pod demo\/api/ });
  await ask(tcp, 'GET', `${path}?from=demo/web&to=203.0.113.7&port=443&name=a.example`);
  t.strictSame(view.asked, [{ ...fields, protocol: 1, name: null }, { from: 'demo/web', to: '203.0.113.7', port: 443, protocol: 6, name: 'a.example' }]);
  const bad: readonly [object, RegExp][] = [
    [{ ...fields, server: 'x' }, /unknown field \\"server\\"/], [{ ...fields, port: 70000 }, /0 to 65535/], [{ ...fields, port: undefined }, /0 to 65535/],
    ...['', ' ', '0x50', '1e3', '-0', true, [8]].map((port): [object, RegExp] => [{ ...fields, port }, /0 to 65535/]),
    [{ ...fields, protocol: 'gre' }, /tcp, udp, icmp, icmpv6, sctp/], [{ ...fields, to: '' }, /to must be/],
  ];
  for (const [body, text] of bad) t.match(await ask(tcp, 'POST', path, JSON.stringify(body)), { status: 400, text }, JSON.stringify(body));
  t.match(await ask(tcp, 'GET', `${path}?from=demo/web&to=203.0.113.7&to=203.0.113.8&port=443`), { status: 400, text: /to is given twice/ });
  t.match(await ask(tcp, 'GET', `${path}?from=demo/web&server=203.0.113.7`), { status: 400, text: /unknown parameter \\"server\\"/ });
});

t.test('a trace is asked by query or body, and its refusals are answers', async (t) => {
  const view = new RecordingView();
  const { tcp } = await served(t, view);
  const fields = { from: 'demo/web', server: '0:0::1', port: 53, protocol: 'tcp', name: 'a.example' };
  t.match(await ask(tcp, 'POST', '/api/v1/policy/trace', JSON.stringify(fields)), { status: 404, text: /no pod demo\/web/ });
  await ask(tcp, 'GET', '/api/v1/policy/trace?from=demo/web&server=::1&port=53&protocol=TCP&name=a.example');
  await ask(tcp, 'GET', '/api/v1/policy/trace?from=127.0.1.1&server=127.0.0.1&name=a');
  const asked = { ...fields, server: '::1', protocol: PROTOCOL.tcp, type: 1 };
  t.strictSame(view.asked, [asked, asked, { from: '127.0.1.1', server: '127.0.0.1', port: 53, protocol: PROTOCOL.udp, name: 'a', type: 1 }]);
  const bad: readonly [string, RegExp][] = [
    ['{', /not JSON/], ['[]', /JSON object/], ['{"fro":1}', /unknown field \\"fro\\"/], [JSON.stringify({ ...fields, server: 'x' }), /not an IP address/],
    [JSON.stringify({ ...fields, port: 70000 }), /1 to 65535/], [JSON.stringify({ ...fields, protocol: 'sctp' }), /udp, tcp/],
    [JSON.stringify({ ...fields, name: 7 }), /name must be a text/], [JSON.stringify({ ...fields, from: '' }), /from must be/],
  ];
  for (const [body, text] of bad) t.match(await ask(tcp, 'POST', '/api/v1/policy/trace', body), { status: 400, text }, body);
  t.match(await ask(tcp, 'POST', '/api/v1/policy/trace', 'x'.repeat(70_000)), { status: 413, text: /65536/ });
});

t.test('a trace has its rules spread out and its reason as a sentence', async (t) => {
  const origin = { kind: 'CiliumNetworkPolicy', namespace: 'demo', name: 'web', path: 'spec.egress[0]' } as const;
  const result: TraceResult = {
    verdict: 'refused', reason: 'no-rule', endpoint: null, server: { address: '::1', kind: 'world', services: [], targets: [] },
    port: 53, protocol: 'udp', name: 'a.', rule: null, near: [{ origin, missed: 'name', explanation: 'x' }], deniedBy: [{ ...origin, path: 'spec' }], isOpen: false, revision: 3,
  };
  const view = new RecordingView();
  const { tcp } = await served(t, Object.assign(view, { trace: () => result }));
  const path = '/api/v1/policy/trace?from=a&server=::1&name=a';
  t.match(JSON.parse((await ask(tcp, 'GET', path)).text), {
    verdict: 'refuse', cause: 'no-rule', reason: /no rule allows/, rule: null, nearest: [{ ...origin, missed: 'name', explanation: 'x' }], deniedBy: [{ name: 'web', path: 'spec' }], revision: 3,
  });
  Object.assign(view, { trace: () => ({ ...result, verdict: 'allowed', reason: 'rule', rule: { origin, pattern: '*.a' }, near: [] }) });
  t.match(JSON.parse((await ask(tcp, 'GET', path)).text), { verdict: 'allow', rule: { ...origin, pattern: '*.a' }, nearest: [] });
  const reasons: readonly [Partial<TraceResult>, string, RegExp][] = [
    [{ verdict: 'audit' }, 'audit', /no rule allows this; --policy-audit-mode lets it pass$/],
    [{ deniedBy: [], isOpen: true }, 'refuse', /rules.dns still limits what this server may be asked/],
    [{ reason: 'denied-by-rule' }, 'refuse', /a rule denies it/],
    [{ deniedBy: [] }, 'refuse', /no policy closes the endpoint, but --enable-policy is "always"/],
    [{ reason: 'unknown-endpoint' }, 'refuse', /no local endpoint, and --unknown-endpoint is "refuse"$/],
    [{ reason: 'unknown-endpoint', verdict: 'allowed' }, 'allow', /no local endpoint, and --unknown-endpoint is "allow"$/],
    [{ reason: 'unknown-endpoint', verdict: 'audit' }, 'audit', /is "refuse"; --policy-audit-mode lets it pass$/],
  ];
  for (const [change, verdict, reason] of reasons) {
    Object.assign(view, { trace: () => ({ ...result, ...change }) });
    t.match(JSON.parse((await ask(tcp, 'GET', path)).text), { verdict, reason });
  }
});

t.test('unknown paths, methods and our own faults are told apart', async (t) => {
  const { tcp } = await served(t);
  t.match(await ask(tcp, 'GET', '/api/v2'), { status: 404, text: /there are \// });
  t.match(await ask(tcp, 'GET', '/constructor'), { status: 404 });
  for (const path of ['//', '//[', '//elsewhere/healthz', '/%']) t.match(await ask(tcp, 'GET', path), { status: 404 }, path);
  for (const target of ['*', 'http://[']) t.match(await ask(tcp, 'OPTIONS', target), { status: 400, text: /names no path/ }, target);
  t.match(await ask(tcp, 'PUT', '/healthz'), { status: 405, headers: { allow: 'GET' } });
  t.match(await ask(tcp, 'GET', '/api/v1/policies'), { status: 500, text: /INTERNAL/ });
  t.match(await ask(tcp, 'GET', '/healthz'), { status: 200 }, 'and it goes on');
});

t.test('the log has a fault of ours with its stack, and nothing of a body that breaks off', async (t) => {
  const errors: unknown[] = [];
  const { tcp } = await served(t, new RecordingView(), { log: { ...quiet, error: (...line) => { errors.push(line); } } });
  for (const isDestroyed of [true, false]) {
    await new Promise<void>((resolve) => {
      const socket = connect(tcp.port, '127.0.0.1', () => {
        socket.write('POST /api/v1/policy/trace HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{', () => {
          if (isDestroyed) socket.destroy();
          else socket.end();
        });
      });
      socket.on('close', () => { resolve(); }).on('error', () => undefined).resume();
    });
  }
  t.match(await ask(tcp, 'GET', '/api/v1/policies'), { status: 500 });
  t.match(errors, [['an HTTP request failed', { path: '/api/v1/policies', code: 'INTERNAL', error: { message: 'a fault', stack: /http-server/ } }]]);
});

t.test('a large cache comes as one array', async (t) => {
  const view = new RecordingView();
  view.rows = Array.from({ length: 5_001 }, (_, i) => ({ ...row, 'endpoint-id': i }));
  const { unix } = await served(t, view);
  t.strictSame(JSON.parse((await ask(unix, 'GET', '/api/v1/fqdn/cache')).text), view.rows);
});

t.test('a header that is too large and bytes that are no HTTP end their connection only', async (t) => {
  const { tcp } = await served(t);
  const reply = await new Promise<string>((resolve) => {
    let text = '';
    const socket = connect(tcp.port, '127.0.0.1', () => { socket.write(`GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`); });
    socket.on('data', (data) => { text += data.toString('latin1'); }).on('close', () => { resolve(text); }).on('error', () => undefined);
  });
  t.match(reply, /^HTTP\/1\.1 431/);
  await new Promise<void>((resolve) => {
    const socket = connect(tcp.port, '127.0.0.1', () => { socket.end('\x00\x01\x02\r\n\r\n'); });
    socket.on('close', () => { resolve(); }).on('error', () => undefined).resume();
  });
  t.match(await ask(tcp, 'GET', '/healthz'), { status: 200 });
});

t.test('an import may take longer than a connection on which nothing moves', async (t) => {
  const view = new RecordingView();
  const imported = await view.cacheImport([]);
  view.cacheImport = () => new Promise((resolve) => { setTimeout(() => { resolve(imported); }, 5 * STALL_MS); });
  const { unix } = await served(t, view, { stallMs: STALL_MS });
  t.match(await ask(unix, 'POST', '/api/v1/fqdn/cache/import', '[]'), { status: 200, text: /"learned":1/ });
});

t.test('a client that does not read its answer is let go of', async (t) => {
  const view = new RecordingView();
  view.rows = Array.from({ length: 100_000 }, () => row);
  const errors: unknown[] = [];
  const { tcp } = await served(t, view, { stallMs: STALL_MS, log: { ...quiet, error: (...line) => { errors.push(line); } } });
  const error = await new Promise<NodeJS.ErrnoException>((resolve) => {
    const socket = connect(tcp.port, '127.0.0.1', () => { socket.write('GET /api/v1/fqdn/cache HTTP/1.1\r\nhost: localhost\r\n\r\n'); });
    // Who reads nothing is told of the end by the failure of what it writes.
    const nudge = setInterval(() => { socket.write('\r\n'); }, 10 * STALL_MS);
    socket.pause().on('error', (reason) => {
      clearInterval(nudge);
      resolve(reason);
    });
  });
  t.match(error.code, /^(?:EPIPE|ECONNRESET)$/);
  t.strictSame(errors, [], 'which is no fault');
  t.match(await ask(tcp, 'GET', '/healthz'), { status: 200 });
});

t.test('lists that are not read leave room for others on the other socket, and go when their reader does', async (t) => {
  const view = new RecordingView();
  view.rows = Array.from({ length: 100_000 }, () => row);
  const { tcp, unix } = await served(t, view);
  const readers = await Promise.all(Array.from({ length: 4 }, async () => {
    const socket = connect(tcp.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write('GET /api/v1/fqdn/cache HTTP/1.1\r\nhost: localhost\r\n\r\n');
    await once(socket, 'readable');
    return socket.pause();
  }));
  t.match(await ask(tcp, 'GET', '/api/v1/fqdn/cache'), { status: 503, text: /"UNAVAILABLE","message":"4 lists are being read; ask again"/ });
  t.match(await ask(tcp, 'GET', '/api/v1/status'), { status: 200 });
  t.match(await ask(unix, 'GET', '/api/v1/endpoints'), { status: 200 });
  for (const socket of readers) socket.destroy();
  const byMs = performance.now() + DEADLINE_MS;
  while ((await ask(tcp, 'HEAD', '/api/v1/fqdn/cache')).status !== 200) if (performance.now() > byMs) throw new Error('there is no room');
  t.pass('there is room again');
});

t.test('a dead socket file is replaced, a living one is not', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-http-'));
  const path = join(dir, 'agent.sock');
  const listen = { address: '127.0.0.1', port: 0, family: 4 } as const;
  const first = await startHttpServers({ listen, unixPath: path, log: quiet }, new RecordingView());
  await t.rejects(startHttpServers({ listen, unixPath: path, log: quiet }, new RecordingView()), { code: 'UNAVAILABLE', message: /another process answers/ });
  t.match(await ask({ socketPath: path }, 'GET', '/healthz'), { status: 200 }, 'which still answers');
  await first.close();
  t.throws(() => statSync(path), 'closing removes it');
  writeFileSync(path, '');
  chmodSync(path, 0o600);
  const second = await startHttpServers({ listen, unixPath: path, log: quiet }, new RecordingView());
  await second.close();
  rmSync(dir, { recursive: true });
});

t.test('a taken port is refused with a remedy, and the Unix socket is given back', async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => { taken.listen(0, '127.0.0.1', resolve); });
  const { port } = taken.address() as { port: number };
  const dir = mkdtempSync(join(tmpdir(), 'tandem-http-'));
  const path = join(dir, 'agent.sock');
  await t.rejects(startHttpServers({ listen: { address: '127.0.0.1', port, family: 4 }, unixPath: path, log: quiet }, new RecordingView()),
    { code: 'UNAVAILABLE', message: /the port is taken; .*--http-listen/ });
  t.throws(() => statSync(path));
  taken.close();
  rmSync(dir, { recursive: true });
});
