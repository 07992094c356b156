import { readFileSync, mkdtempSync, rmSync, statSync, writeFileSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials, status } from '@grpc/grpc-js';
import type { SocketAddress } from '@tandem/core';
import { Flow, GetFlowsRequest, ObserverClient, type observerPb } from '@tandem/proto';
import t, { type Test } from 'tap';
import { Certificates } from '../pair/testing/certificates.js';
import { RecordingLog } from '../pair/testing/members.js';
import { freeAddress } from '../testing/free-address.js';
import type { HubbleListenSettings } from './listen.js';
import { STREAMS_MAX } from './observer.js';
import { type HubbleServer, type ObserverModule, startHubbleServer } from './server.js';
import { ListedFlows } from './testing/listed-flows.js';
import { answerOf, Follower, refusalOf, serve, SILENT, uuidsOf } from './testing/served-flows.js';

const PLAIN = { hubbleTlsCertFile: null, hubbleTlsKeyFile: null, hubbleTlsClientCaFiles: [] } as const;

function newDir(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-hubble-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function start(t: Test, settings: HubbleListenSettings, log: RecordingLog | typeof SILENT = SILENT): Promise<HubbleServer> {
  const server = await startHubbleServer({ settings, log, flows: new ListedFlows(), fail: (error) => { throw error; } });
  t.teardown(() => server.close());
  return server;
}

function nodes(client: ObserverClient): Promise<observerPb.GetNodesResponse> {
  return answerOf((callback) => client.getNodes({}, callback));
}

async function asked(address: string, as = credentials.createInsecure(), options: Record<string, string> = {}): Promise<observerPb.GetNodesResponse> {
  const client = new ObserverClient(address, as, { ...options, 'grpc.use_local_subchannel_pool': 1 });
  try {
    return await nodes(client);
  } finally {
    client.close();
  }
}

t.test('the Unix socket is its owner\'s alone, and gone with the server', async (t) => {
  const path = join(newDir(t), 'agent-hubble.sock');
  const server = await startHubbleServer({ settings: { ...PLAIN, hubbleListen: path }, log: SILENT, flows: new ListedFlows(), fail: (error) => { throw error; } });
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.match(await asked(`unix:${path}`), { nodes: [{ address: `unix:${path}`, tls: { enabled: false } }, {}] });
  await server.close();
  t.notOk(existsSync(path));
});

t.test('what cannot be loaded is said, ends nobody, and is tried again for who dials next', async (t) => {
  const path = join(newDir(t), 'agent-hubble.sock');
  const log = new RecordingLog();
  let failures = 1;
  const importServer = (): Promise<ObserverModule> => (failures-- > 0 ? Promise.reject(new Error('EIO: i/o error')) : import('./observer-server.js'));
  const server = await startHubbleServer({ settings: { ...PLAIN, hubbleListen: path }, log, flows: new ListedFlows(), fail: (error) => { throw error; }, importServer });
  t.teardown(() => server.close());
  t.match(await refusalOf(asked(server.address)), { code: status.UNAVAILABLE });
  t.match(await asked(server.address), { nodes: [{}, {}] });
  t.ok(log.has(/^error the Observer API cannot be loaded .*EIO/), log.lines.join('\n'));
});

t.test('a dead process\'s socket is replaced, a living one\'s is not, and neither is a file', async (t) => {
  const dir = newDir(t);
  const path = join(dir, 'agent-hubble.sock');
  const first = await start(t, { ...PLAIN, hubbleListen: path });
  await t.rejects(start(t, { ...PLAIN, hubbleListen: path }), { code: 'UNAVAILABLE', message: /another process answers at .*; stop it or choose another --hubble-listen/ });
  t.match(await asked(first.address), { nodes: [{}, {}] });
  const file = join(dir, 'notes.txt');
  writeFileSync(file, 'keep');
  await t.rejects(start(t, { ...PLAIN, hubbleListen: file }), { code: 'UNAVAILABLE', message: /it is there and no socket/ });
  t.equal(readFileSync(file, 'utf8'), 'keep');
  await t.rejects(start(t, { ...PLAIN, hubbleListen: join(dir, 'absent', 'x.sock') }), { code: 'UNAVAILABLE', message: /choose another --hubble-listen/ });
});

t.test('it listens at a TCP address, which another cannot have', async (t) => {
  const at = await freeAddress();
  const server = await start(t, { ...PLAIN, hubbleListen: at });
  t.equal(server.address, `127.0.0.1:${at.port}`);
  t.match(await asked(server.address), { nodes: [{ address: server.address }, {}] });
  await t.rejects(start(t, { ...PLAIN, hubbleListen: at }), { code: 'UNAVAILABLE', message: /cannot listen at 127\.0\.0\.1:.*EADDRINUSE.*choose another --hubble-listen/ });
});

t.test('an open port on an address that others reach is warned of', async (t) => {
  const { port } = await freeAddress();
  const log = new RecordingLog();
  const everywhere: SocketAddress = { address: '0.0.0.0', family: 4, port };
  await start(t, { ...PLAIN, hubbleListen: everywhere }, log);
  t.ok(log.has(/the Observer API is open to all who reach its port/));
});

t.test('with certificates it speaks TLS, and with a CA to those that have one from it', async (t) => {
  const dir = newDir(t);
  const certificates = new Certificates({ dir });
  for (const ca of ['ca', 'stranger-ca']) certificates.ca(ca);
  certificates.issue('server', 'hubble.test', 'ca');
  certificates.issue('client', 'client.test', 'ca');
  certificates.issue('stranger', 'client.test', 'stranger-ca');
  const [ca, cert, key] = [certificates.path('ca.pem'), certificates.path('server.pem'), certificates.path('server.key')];
  const name = { 'grpc.ssl_target_name_override': 'hubble.test' };
  const as = (who: string | null): ReturnType<typeof credentials.createSsl> => (
    who === null ? credentials.createSsl(readFileSync(ca)) : credentials.createSsl(readFileSync(ca), readFileSync(certificates.path(`${who}.key`)), readFileSync(certificates.path(`${who}.pem`)))
  );

  const open = await start(t, { hubbleListen: await freeAddress(), hubbleTlsCertFile: cert, hubbleTlsKeyFile: key, hubbleTlsClientCaFiles: [] });
  t.match(await asked(open.address, as(null), name), { nodes: [{ tls: { enabled: true } }, {}] });
  t.match(await refusalOf(asked(open.address)), { code: status.UNAVAILABLE });

  const closed = await start(t, { hubbleListen: await freeAddress(), hubbleTlsCertFile: cert, hubbleTlsKeyFile: key, hubbleTlsClientCaFiles: [certificates.path('ca.pem')] });
  t.match(await asked(closed.address, as('client'), name), { nodes: [{}, {}] });
  t.match(await refusalOf(asked(closed.address, as(null), name)), { code: status.UNAVAILABLE });
  t.match(await refusalOf(asked(closed.address, as('stranger'), name)), { code: status.UNAVAILABLE });

  await t.rejects(start(t, { hubbleListen: await freeAddress(), hubbleTlsCertFile: join(dir, 'absent.pem'), hubbleTlsKeyFile: key, hubbleTlsClientCaFiles: [] }), { code: 'CONFIGURATION', message: /--hubble-tls-cert-file .*absent\.pem cannot be read/ });
  await t.rejects(start(t, { hubbleListen: await freeAddress(), hubbleTlsCertFile: cert, hubbleTlsKeyFile: certificates.path('client.key'), hubbleTlsClientCaFiles: [] }), { code: 'CONFIGURATION', message: /--hubble-tls-key-file .* is not the key of/ });
});

t.test('there is a bound to requests at once, and who leaves makes room', async (t) => {
  const flows = new ListedFlows([Flow.fromPartial({ uuid: 'one' })]);
  const { client } = await serve(t, flows);
  const followers = Array.from({ length: STREAMS_MAX }, () => new Follower(client, { number: 1n }));
  await Promise.all(followers.map((follower) => follower.until(({ length }) => length === 1)));
  t.match(await refusalOf(uuidsOf(client, {})), { code: status.RESOURCE_EXHAUSTED, details: /64 requests go through the flows already/ });
  t.match(await refusalOf(answerOf<observerPb.GetNamespacesResponse>((callback) => client.getNamespaces({}, callback))), { code: status.RESOURCE_EXHAUSTED });
  followers[0].cancel();
  // The server hears of it after the next call may have come.
  for (;;) {
    const came = await uuidsOf(client, {}).catch(() => null);
    if (came !== null) {
      t.strictSame(came, ['one']);
      break;
    }
  }
  for (const follower of followers) follower.cancel();
});

t.test('a request that is larger than any that makes sense is refused unread, and a deadline ends what follows', async (t) => {
  const { client } = await serve(t, new ListedFlows());
  t.match(await refusalOf(uuidsOf(client, { fieldMask: ['x'.repeat(300_000)] })), { code: status.RESOURCE_EXHAUSTED });
  const follower = client.getFlows(GetFlowsRequest.fromPartial({ follow: true }), { deadline: Date.now() + 100 });
  const all = async (): Promise<void> => {
    for await (const response of follower as AsyncIterable<unknown>) t.fail('a flow', { response });
  };
  t.match(await refusalOf(all()), { code: status.DEADLINE_EXCEEDED });
});
