import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Log } from '@tandem/core';
import type { DaemonView, StatusView } from './daemon-view.js';
import { startHttpServers } from './http-server.js';
import type { PairView } from './page-pair.js';
import { apiSocketPath } from './paths.js';

const quiet: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const bytes = new TextEncoder().encode('<!doctype html><title>page</title>');
const page = [{ path: '/', contentType: 'text/html; charset=utf-8', bytes }, { path: '/assets/main.js', contentType: 'text/javascript', bytes: new Uint8Array([1, 2]) }];
/** Well within what a page waits. */
const DEADLINE_MS = 2_000;

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly text: string;
}

interface Site {
  readonly runDir: string;
  get(path: string, headers?: Record<string, string>, method?: string): Promise<Reply>;
  pair(): Promise<PairView>;
}

/** An agent's HTTP side; all that is asked of the daemon here is its status. */
async function serve(t: Test): Promise<Site> {
  const runDir = mkdtempSync(join(tmpdir(), 'tandem-page-'));
  const view = { role: 'agent', status: () => ({ role: 'agent', pid: 1 }) as StatusView } as DaemonView;
  const servers = await startHttpServers({ listen: { address: '127.0.0.1', port: 0, family: 4 }, unixPath: apiSocketPath(runDir, 'agent'), log: quiet, page }, view);
  t.teardown(async () => {
    await servers.close();
    rmSync(runDir, { recursive: true });
  });
  const get: Site['get'] = (path, headers = {}, method = 'GET') => new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port: servers.listen.port, path, method, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => { text += piece; });
      response.on('end', () => { resolve({ status: response.statusCode!, headers: response.headers as Reply['headers'], text }); });
    });
    sent.on('error', reject).end();
  });
  return { runDir, get, pair: async () => JSON.parse((await get('/api/v1/pair')).text) as PairView };
}

/** What the other member's API does with a request; counts them. */
async function peer(t: Test, runDir: string, answer: (response: ServerResponse) => void): Promise<{ asked: number; readonly server: Server }> {
  const seen = { asked: 0, server: createServer((_, response) => { seen.asked++; answer(response); }) };
  await new Promise<void>((resolve) => { seen.server.listen(apiSocketPath(runDir, 'dns-proxy'), resolve); });
  t.teardown(() => { seen.server.closeAllConnections(); seen.server.close(); });
  return seen;
}

t.test('the page is served with a policy that lets nothing in from elsewhere', async (t) => {
  const site = await serve(t);
  const reply = await site.get('/');
  t.match(reply, { status: 200, text: '<!doctype html>', headers: { 'content-type': 'text/html; charset=utf-8', 'x-content-type-options': 'nosniff', 'cache-control': 'no-cache' } });
  const policy = reply.headers['content-security-policy'] ?? '';
  t.strictSame(policy.split('; '), [
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data:", "form-action 'none'",
    "frame-ancestors 'none'", "base-uri 'none'",
  ]);
  t.notMatch(policy, /unsafe|\*|https?:/);
  t.match(await site.get('/', {}, 'HEAD'), { status: 200, text: '', headers: { 'content-length': String(bytes.length) } });
  t.match(await site.get('/', {}, 'POST'), { status: 405 });
  t.match(await site.get('/api'), { status: 200, text: /GET +\/api\/v1\/pair/ });
  t.match(await site.get('/assets/other.js'), { status: 404 });
});

t.test('a browser that has a file is told so by its tag', async (t) => {
  const site = await serve(t);
  const { etag } = (await site.get('/assets/main.js')).headers;
  t.match(etag, /^"[0-9a-f]{32}"$/);
  t.match(await site.get('/assets/main.js', { 'if-none-match': `W/${etag!}, "x"` }), { status: 304, text: '', headers: { etag } });
  t.match(await site.get('/assets/main.js', { 'if-none-match': '"x"' }), { status: 200 });
  t.not((await site.get('/')).headers.etag, etag, 'each file has its own');
});

t.test('each way of being away has its cause', async (t) => {
  const absent = await serve(t);
  t.match(await absent.pair(), { self: 'agent', members: [{ role: 'agent', reachable: true, status: { pid: 1 } }, { role: 'dns-proxy', reachable: false, cause: 'absent', reason: /not running/, status: null }] });

  const silent = await serve(t);
  await peer(t, silent.runDir, () => undefined);
  const startedMs = performance.now();
  t.match((await silent.pair()).members[1], { reachable: false, cause: 'silent', reason: /no answer in 300 ms/ });
  t.ok(performance.now() - startedMs < DEADLINE_MS, 'within its deadline');

  const broken = await serve(t);
  await peer(t, broken.runDir, (response) => { response.writeHead(500).end('{}'); });
  t.match((await broken.pair()).members[1], { cause: 'failed', reason: /status 500/ });

  const huge = await serve(t);
  await peer(t, huge.runDir, (response) => { response.end(`"${'x'.repeat(2_000_000)}"`); });
  t.match((await huge.pair()).members[1], { cause: 'failed' }, 'more than a status can be is not read');

  const nonsense = await serve(t);
  await peer(t, nonsense.runDir, (response) => { response.end('{'); });
  t.match((await nonsense.pair()).members[1], { cause: 'failed' });
});

t.test('however many pages look at once, the other member is asked once', async (t) => {
  const site = await serve(t);
  const seen = await peer(t, site.runDir, (response) => { response.end(JSON.stringify({ role: 'dns-proxy', pid: 2 })); });
  const answers = await Promise.all(Array.from({ length: 40 }, () => site.pair()));
  t.match(answers[39].members[1], { reachable: true, cause: null, reason: 'ok', status: { pid: 2 } });
  t.ok(seen.asked <= 2, `asked ${String(seen.asked)} times`);
  t.match(await site.get('/api/v1/pair?x=1'), { status: 400, text: /unknown parameter/ });
});

t.test('a member that was killed leaves its socket, and is told from one that ended', async (t) => {
  const site = await serve(t);
  const path = apiSocketPath(site.runDir, 'dns-proxy');
  const killed = spawnSync(process.execPath, ['-e', `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`]);
  t.equal(killed.signal, 'SIGKILL');
  t.match((await site.pair()).members[1], { reachable: false, cause: 'gone', reason: /its process is gone/ });
});

t.test('a search for flows is held to its limits before anybody looks', async (t) => {
  const site = await serve(t);
  for (const [bad, text] of [['last=0', /1 to 1000/], ['last=1e3', /1 to 1000/], ['verdict=DENIED', /FORWARDED, DROPPED/], [`name=${'a'.repeat(256)}`, /at most 255/], ['pods=a', /unknown parameter/]] as const) {
    t.match(await site.get(`/api/v1/flows?${bad}`), { status: 400, text }, bad.slice(0, 20));
  }
  t.match(await site.get('/api/v1/flows?verdict=DROPPED&last=1000'), { status: 503, text: /keeps no flows/ });
});

t.test("a page from elsewhere whose name leads to this machine's loopback address reads nothing", async (t) => {
  const site = await serve(t);
  for (const host of ['evil.example', 'evil.example:9964', 'localhost.evil.example', '127.0.0.1.evil.example']) {
    for (const path of ['/', '/assets/main.js', '/api', '/api/v1/pair', '/api/v1/flows', '/api/v1/status']) {
      t.match(await site.get(path, { host }), { status: 421, text: /localhost/ }, `${host} ${path}`);
    }
  }
  for (const host of ['localhost', 'LOCALHOST:9964', 'pair.localhost', '127.0.0.1:1', '[::1]:9964', '10.0.0.1']) t.match(await site.get('/api/v1/pair', { host }), { status: 200 }, host);
  t.match(await site.get('/healthz', { host: 'node-a.example:9964' }), { status: 200 }, 'a probe comes by any name');
});
