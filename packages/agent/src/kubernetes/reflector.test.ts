import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ApiClient } from './api-client.js';
import { OBJECT_BYTES_MAX } from './list-reader.js';
import { Reflector, type RawObject, type ReflectorTimes } from './reflector.js';
import { SourceCounts } from './source-counts.js';
import { COLLECTIONS, FakeApiServer, type FakeObject } from './testing/fake-api-server.js';

const TIMES: ReflectorTimes = { watchSeconds: 60, stallMargin: 1_000, backoffFirst: 5, backoffMax: 50, slow: 20, settled: 1_000, grace: 0 };

interface Kept { readonly name: string; readonly value: unknown }

class Stage {
  readonly counts = new SourceCounts();
  readonly reflector: Reflector<Kept>;
  private wake: () => void = () => undefined;

  constructor(t: Test, server: FakeApiServer, options: { readonly times?: Partial<ReflectorTimes>; readonly tokenFile?: string; readonly paths?: readonly string[]; readonly mayBeAbsent?: boolean } = {}) {
    const token = options.tokenFile === undefined ? null : { path: options.tokenFile };
    const client = new ApiClient(
      { server: new URL(server.url), ca: null, cert: null, key: null, token, tlsServerName: null, insecureSkipTlsVerify: false }, { version: '0', answerMsMax: 300 },
    );
    const wake = (): void => { this.wake(); };
    this.reflector = new Reflector<Kept>({
      resource: 'namespaces', paths: options.paths ?? [COLLECTIONS.namespaces], query: {},
      mayBeAbsent: options.mayBeAbsent ?? true,
      read: (raw: RawObject) => ({ name: raw.metadata.name, value: raw.value }),
    }, {
      client, counts: this.counts, times: { ...TIMES, ...options.times }, random: Math.random,
      onChange: wake, onSynced: wake, onUnreachable: () => undefined, onOpened: () => undefined, fail: (error) => { throw error; },
    });
    t.teardown(() => {
      this.reflector.close();
      client.close();
    });
    this.reflector.start();
  }

  get names(): string[] {
    return [...this.reflector.objects.keys()].sort();
  }

  /** Once it is so; tap's own limit says when it never is. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 5);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  has(...names: string[]): Promise<void> {
    return this.until(() => this.names.join() === names.map((name) => `/${name}`).join());
  }
}

function named(name: string, value: unknown = 1): FakeObject {
  return { metadata: { name }, value };
}

async function server(t: Test, ...names: string[]): Promise<FakeApiServer> {
  const server = await new FakeApiServer().start();
  t.teardown(() => server.stop());
  for (const name of names) server.put('namespaces', named(name));
  return server;
}

const listQueries = ({ requests }: FakeApiServer): string[] =>
  requests.filter(({ url }) => url.searchParams.get('watch') === null && url.pathname !== '/readyz').map(({ url }) => url.search.slice(1));
const listsOf = (server: FakeApiServer): number => listQueries(server).length;

t.test('what is there, and what comes, changes and goes', async (t) => {
  const api = await server(t, 'a', 'b');
  const stage = new Stage(t, api);
  await stage.has('a', 'b');
  const before = stage.reflector.objects.get('/a');
  await stage.until(() => api.watches === 1);
  api.put('namespaces', named('c'));
  api.put('namespaces', named('a'));
  api.put('namespaces', named('b', 2));
  api.delete('namespaces', '/c');
  await stage.until(() => stage.reflector.objects.get('/b')?.value === 2);
  await stage.has('a', 'b');
  t.equal(stage.reflector.objects.get('/a'), before, 'an object that did not change is the very same');
});

t.test('a long list comes in pages', async (t) => {
  const api = await server(t, ...Array.from({ length: 1_201 }, (_, i) => `n${i}`));
  api.onRequest = (url) => (url.searchParams.get('resourceVersion') === '0' ? { status: 410 } : null);
  const stage = new Stage(t, api);
  await stage.until(() => stage.names.length === 1_201);
  t.equal(listsOf(api), 4, 'one that is refused, and three pages');
});

for (const form of ['as a status', 'as an event'] as const) {
  t.test(`a version that is too old, ${form}, leads to a list that finds deletions`, async (t) => {
    const api = await server(t, 'a', 'b', 'c');
    const stage = new Stage(t, api);
    await stage.has('a', 'b', 'c');
    await stage.until(() => api.watches === 1);
    await api.stop();
    api.delete('namespaces', '/b');
    api.put('namespaces', named('d'));
    api.expiresByEvent = form === 'as an event';
    api.compact();
    await api.start();
    await stage.has('a', 'c', 'd');
    t.equal(stage.counts.relists.get('namespaces'), 1);
    t.equal(stage.counts.errors.get('expired'), 1);
    t.match(listQueries(api).at(-1), /^resourceVersion=103&resourceVersionMatch=NotOlderThan$/, 'from the cache of the server');
  });
}

t.test('the newest is asked for only where the version is refused, and once', async (t) => {
  const api = await server(t, 'a');
  const stage = new Stage(t, api);
  await stage.until(() => api.watches === 1);
  const faults = [500, 410];
  const fail = (): void => {
    api.onRequest = (url) => (url.searchParams.get('watch') === '1' || faults.length === 0 ? null : { status: faults.shift()! });
    api.sendRaw('7\n');
  };
  fail();
  await stage.until(() => listQueries(api).length === 4 && api.watches === 1);
  const cached = 'resourceVersion=101&resourceVersionMatch=NotOlderThan';
  t.strictSame(listQueries(api), ['limit=500&resourceVersion=0', cached, cached, 'limit=500']);
  fail();
  await stage.until(() => listQueries(api).length === 5);
  t.equal(listQueries(api).at(-1), cached);
});

t.test('a bookmark is where the next watch begins', async (t) => {
  const api = await server(t, 'a');
  const stage = new Stage(t, api);
  await stage.until(() => api.watches === 1);
  api.put('pods', { metadata: { name: 'other', namespace: 'x' } });
  api.bookmark();
  api.put('namespaces', named('b'));
  await stage.has('a', 'b');
  api.put('pods', { metadata: { name: 'other2', namespace: 'x' } });
  api.bookmark();
  api.endWatches();
  await stage.until(() => api.requests.filter(({ url }) => url.searchParams.get('watch') === '1').length === 2);
  t.equal(api.requests.at(-1)?.url.searchParams.get('resourceVersion'), '104');
  t.equal(api.requests.at(-1)?.url.searchParams.get('allowWatchBookmarks'), 'true');
});

t.test('a stream that breaks goes on from its last event, without a list', async (t) => {
  const api = await server(t, 'a');
  const stage = new Stage(t, api);
  await stage.until(() => api.watches === 1);
  api.dropConnections();
  api.put('namespaces', named('b'));
  await stage.has('a', 'b');
  t.equal(listsOf(api), 1);
  t.equal(stage.counts.errors.get('connect'), 1);
});

t.test('a stream that is silent beyond its end is cut', async (t) => {
  const api = await server(t, 'a');
  let stalls = 1;
  api.onRequest = (url) => (url.searchParams.get('watch') === '1' && stalls-- > 0 ? { raw: '' } : null);
  const stage = new Stage(t, api, { times: { watchSeconds: 0, stallMargin: 50 } });
  await stage.until(() => (stage.counts.errors.get('stalled') ?? 0) >= 1);
  api.put('namespaces', named('b'));
  await stage.has('a', 'b');
  t.equal(listsOf(api), 1);
});

t.test('a server that never answers is a broken connection', async (t) => {
  const api = await server(t, 'a');
  let stalls = 2;
  api.onRequest = () => (stalls-- > 0 ? 'stall' : null);
  const stage = new Stage(t, api);
  await stage.has('a');
  t.equal(stage.counts.errors.get('connect'), 2);
});

t.test('a server that asks for patience gets it', async (t) => {
  const api = await server(t, 'a');
  let refusals = 1;
  api.onRequest = () => (refusals-- > 0 ? { status: 429, headers: { 'retry-after': '1' } } : null);
  const begin = performance.now();
  const stage = new Stage(t, api);
  await stage.has('a');
  t.ok(performance.now() - begin >= 1_000);
  t.equal(stage.counts.errors.get('throttled'), 1);
});

t.test('a token that was rotated counts at once', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-token-'));
  t.teardown(() => { rmSync(dir, { recursive: true, force: true }); });
  const tokenFile = join(dir, 'token');
  writeFileSync(tokenFile, 'one\n');
  const api = await server(t, 'a');
  api.token = 'two';
  const stage = new Stage(t, api, { tokenFile });
  await stage.until(() => (stage.counts.errors.get('credentials') ?? 0) >= 2);
  t.match(stage.reflector.trouble, { code: 'credentials', message: '401: Unauthorized' });
  writeFileSync(tokenFile, 'two\n');
  await stage.has('a');
  await stage.until(() => stage.reflector.trouble === null);
});

t.test('while the server is away everything stays, and one kick is enough when it is back', async (t) => {
  const api = await server(t, 'a');
  const stage = new Stage(t, api, { times: { backoffFirst: 60_000, backoffMax: 60_000 } });
  await stage.until(() => api.watches === 1);
  await api.stop();
  await stage.until(() => stage.reflector.trouble !== null);
  t.strictSame(stage.names, ['/a']);
  api.put('namespaces', named('b'));
  api.delete('namespaces', '/a');
  await api.start();
  stage.reflector.kick();
  await stage.has('b');
});

t.test('kicks do not make a watch hasty that was cut twice in a row', async (t) => {
  const api = await server(t, 'a');
  const stage = new Stage(t, api, { times: { backoffFirst: 20, backoffMax: 60_000 } });
  await stage.until(() => api.watches === 1);
  await api.stop();
  const cuts = (): number => stage.counts.errors.get('connect') ?? 0;
  await stage.until(() => cuts() >= 2);
  for (const count of [3, 4, 5, 6, 7]) {
    stage.reflector.kick();
    await stage.until(() => cuts() >= count);
  }
  const begin = performance.now();
  await stage.until(() => cuts() > 7);
  // At least half of 20 ms doubled six times, less what a timer may be early.
  const waitedMs = performance.now() - begin;
  t.ok(waitedMs >= 600, `the next try after ${waitedMs} ms`);
});

t.test('what cannot be read leads to a list', async (t) => {
  for (const [raw, code] of [
    ['{"type":"ADDED","obj\n', 'malformed'], ['{"type":"ADDED","object":{"metadata":{"resourceVersion":"5"}}}\n', 'malformed'], ['7\n', 'malformed'],
    ['{"type":"NEWS","object":{"metadata":{"name":"x","resourceVersion":"5"}}}\n', 'malformed'], ['{"type":"ERROR","object":{"code":500,"message":"x"}}\n', 'server'],
  ] as const) {
    const api = await server(t, 'a');
    const stage = new Stage(t, api);
    await stage.until(() => api.watches === 1);
    api.sendRaw(raw);
    await stage.until(() => stage.counts.errors.get(code) === 1);
    api.put('namespaces', named('b'));
    await stage.has('a', 'b');
  }
});

t.test('an event beyond the bound ends the stream, and what it was about is listed', async (t) => {
  const api = await server(t, 'a');
  const stage = new Stage(t, api);
  await stage.until(() => api.watches === 1);
  const part = 'x'.repeat(65_536);
  for (let i = 0; i <= OBJECT_BYTES_MAX; i += part.length) api.sendRaw(part);
  await stage.until(() => stage.counts.errors.get('too-large') === 1);
  api.put('namespaces', named('b'));
  await stage.has('a', 'b');
  t.equal(stage.counts.relists.get('namespaces'), 1, 'a list, and not the same event for ever');
});

t.test('of several paths the first that is there is listed and watched', async (t) => {
  const api = await new FakeApiServer(['endpointSlices']).start();
  t.teardown(() => api.stop());
  api.put('endpointSlicesBeta', { metadata: { name: 's', namespace: 'n' } });
  const stage = new Stage(t, api, { paths: [COLLECTIONS.endpointSlices, COLLECTIONS.endpointSlicesBeta, COLLECTIONS.endpoints] });
  await stage.until(() => stage.names.join() === 'n/s');
  await stage.until(() => api.watches === 1);
  api.put('endpointSlicesBeta', { metadata: { name: 't', namespace: 'n' } });
  await stage.until(() => stage.names.join() === 'n/s,n/t');
});

t.test('a kind that is not there has no objects once the server is ready, until it comes', async (t) => {
  const api = await new FakeApiServer(['policies']).start();
  t.teardown(() => api.stop());
  let isReady = false;
  api.onRequest = ({ pathname }) => (pathname === '/readyz' && !isReady ? { status: 500 } : null);
  const stage = new Stage(t, api, { paths: [COLLECTIONS.policies] });
  await stage.until(() => api.requests.some(({ url }) => url.pathname === '/readyz'));
  t.notOk(stage.reflector.isSynced, 'a server that starts says so of kinds that it has not loaded');
  isReady = true;
  await stage.until(() => stage.reflector.isSynced);
  t.match(stage.reflector.trouble, { code: 'absent' });
  api.define('policies');
  api.put('policies', { metadata: { name: 'p', namespace: 'n' } });
  await stage.until(() => stage.names.join() === 'n/p');
});

t.test('a kind that every server has is never taken as none', async (t) => {
  const api = await new FakeApiServer(['namespaces']).start();
  t.teardown(() => api.stop());
  const stage = new Stage(t, api, { mayBeAbsent: false });
  await stage.until(() => (stage.counts.errors.get('absent') ?? 0) >= 4);
  t.notOk(stage.reflector.isSynced);
  api.define('namespaces');
  api.put('namespaces', named('a'));
  await stage.has('a');
});

t.test('no right is trouble, and nothing is taken for empty', async (t) => {
  const api = await server(t, 'a');
  let refusals = 3;
  api.onRequest = () => (refusals-- > 0 ? { status: 403, body: JSON.stringify({ message: 'namespaces is\u001b[31m forbidden' }) } : null);
  const stage = new Stage(t, api);
  await stage.until(() => stage.reflector.trouble !== null);
  t.match(stage.reflector.trouble, { code: 'forbidden', message: '403: namespaces is [31m forbidden' });
  t.notOk(stage.reflector.isSynced);
  await stage.has('a');
});

t.test('a server that ends every watch at once is not stormed', async (t) => {
  const api = await server(t, 'a');
  api.onRequest = (url) => (url.searchParams.get('watch') === '1' ? { raw: '' } : null);
  const stage = new Stage(t, api, { times: { backoffFirst: 20, backoffMax: 100 } });
  await stage.has('a');
  const begin = performance.now();
  await stage.until(() => api.requests.length >= 15);
  const tookMs = performance.now() - begin;
  t.ok(tookMs >= 500, `15 requests in ${tookMs} ms`);
});
