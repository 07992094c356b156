/** The agent serves Cilium's contract: policy to a DNS proxy of another make, mappings from it; and to dns-proxy itself. */
import t, { type Test } from 'tap';
import { status } from '@grpc/grpc-js';
import { ownAddress, ownPort } from '../harness/address.js';
import { baseManifests, CLIENT_A, CLIENT_B, dnsPolicy, STRANGER } from '../harness/manifests.js';
import { Pair } from '../harness/pair.js';
import { DEADLINE_MS, until } from '../harness/until.js';
import { Upstream } from '../harness/upstream.js';
import { RCODE } from '../harness/wire.js';
import { rcodes } from '../pair/rcodes.js';
import { CiliumProxyModel } from './proxy-model.js';
import { ADDRESS, answerAll } from './stage.js';

interface Row {
  readonly fqdn: string;
  readonly ips: readonly string[];
  readonly ttl: number;
}

interface Served {
  readonly agent: Pair;
  readonly upstream: Upstream;
  readonly at: { readonly address: string; readonly port: number };
}

async function serve(t: Test): Promise<Served> {
  const upstream = await Upstream.start(ownAddress, ownPort(), answerAll);
  t.teardown(() => { upstream.close(); });
  const at = { address: ownAddress, port: ownPort() };
  const agent = await Pair.start({
    upstreams: [upstream], manifests: baseManifests(upstream.address), roles: ['agent'], flags: ['--standalone-dns-proxy-listen', `${at.address}:${String(at.port)}`],
  });
  t.teardown(async () => {
    if (!t.passing()) t.comment(agent.output());
    for (const [role, exit] of await agent.stop()) if (exit.code !== 0) throw new Error(`${role} ended with ${JSON.stringify(exit)}`);
  });
  return { agent, upstream, at };
}

function proxyOf(t: Test, { at }: Served, isAnswering = true): CiliumProxyModel {
  const proxy = new CiliumProxyModel(at, isAnswering);
  t.teardown(() => { proxy.close(); });
  return proxy;
}

function states(proxy: CiliumProxyModel, count: number): Promise<true> {
  return until(`${String(count)} states`, DEADLINE_MS, () => (proxy.states.length >= count ? true : null));
}

async function cached(agent: Pair): Promise<Row[]> {
  return JSON.parse((await agent.http('agent', '/api/v1/fqdn/cache')).body) as Row[];
}

t.test('a proxy is told each change of policy, one state a second at most, and mappings that it tells are learned', async (t) => {
  const served = await serve(t);
  const { agent, upstream } = served;
  const proxy = proxyOf(t, served);
  await states(proxy, 1);
  const patterns = (): string[] => proxy.states.at(-1)!.state.egressL7DnsPolicy.flatMap(({ dnsPattern }) => dnsPattern);
  t.ok(patterns().includes('*.a.test.'));
  for (let i = 0; i < 5; i++) {
    agent.writeManifest('policy-b.json', dnsPolicy('policy-b', { app: 'b' }, [`n${String(i)}.test`]));
    const { revision } = (await agent.status('agent')).policy;
    await until('another policy', DEADLINE_MS, async () => ((await agent.status('agent')).policy.revision !== revision ? true : null));
  }
  await until('the last policy', DEADLINE_MS, () => (patterns().includes('n4.test.') ? true : null));
  const gaps = proxy.states.slice(1).map(({ atMs }, i) => atMs - proxy.states[i].atMs);
  t.ok(gaps.every((ms) => ms >= 900), `states lie apart: ${gaps.map(Math.round).join()} ms`);
  t.equal(new Set(proxy.states.map(({ state }) => state.requestId)).size, proxy.states.length);

  t.equal(await proxy.tell({ fqdn: 'Told.a.test.', recordIp: [Buffer.from(ADDRESS)], ttl: 300, sourceIp: Buffer.from(CLIENT_A) }), null);
  t.match((await cached(agent)).find(({ fqdn }) => fqdn === 'told.a.test.'), { ips: [ADDRESS], ttl: 300 });
  t.match(await proxy.tell({ fqdn: 'a.test.', recordIp: [Buffer.from(ADDRESS)], ttl: 300, sourceIp: Buffer.from(STRANGER) }), { code: status.NOT_FOUND, details: /no endpoint of this node/ });
  t.match(await proxy.tell({ fqdn: 'a.test.', recordIp: [Buffer.from([1])], ttl: 300, sourceIp: Buffer.from(CLIENT_A) }), { code: status.INVALID_ARGUMENT, details: /record_ip/ });
  for (const bytes of [Buffer.from('0a7f00', 'hex'), Buffer.from([0xff]), Buffer.alloc(4000, 0xff), Buffer.from('3a020a05', 'hex')]) {
    t.match(await proxy.tell(bytes), { code: status.INVALID_ARGUMENT, details: 'a mapping that cannot be read' });
  }
  t.match(await proxy.tell(Buffer.concat([Buffer.from([0x0a, 0x80, 0x80, 0x20]), Buffer.alloc(512 * 1024, 0x61)])), { code: status.RESOURCE_EXHAUSTED });
  t.equal(proxy.ended, null, 'the stream goes on');
  t.equal((await cached(agent)).length, 1);
  t.equal(upstream.asked.length, 0);
});

t.test('proxies beyond the bound are turned away, and one that answers in bytes that are no message is, too', async (t) => {
  const served = await serve(t);
  const proxies = Array.from({ length: 7 }, () => proxyOf(t, served, false));
  for (const proxy of proxies) await states(proxy, 1);
  proxies[0].answer(Buffer.from([0xff]));
  await until('it is turned away', DEADLINE_MS, () => proxies[0].ended);
  t.match(proxies[0].ended, { code: status.INVALID_ARGUMENT });
  await states(proxyOf(t, served), 1);
  t.equal((await served.agent.status('agent')).readiness.ready, true);
});

t.test("dns-proxy takes its policy from Tandem's own agent by that contract, with the same verdicts, and tells it what it learns", async (t) => {
  const served = await serve(t);
  const { agent, upstream, at } = served;
  const beside = await Pair.start({ upstreams: [upstream], manifests: {}, roles: ['dns-proxy'], flags: ['--cilium-agent', `${at.address}:${String(at.port)}`] });
  t.teardown(async () => {
    if (!t.passing()) t.comment(beside.output());
    await beside.stop();
  });
  for (const [from, name] of [[CLIENT_A, 'www.a.test'], [CLIENT_A, 'www.b.test'], [CLIENT_A, 'www.both.test'], [CLIENT_B, 'www.a.test'], [CLIENT_B, 'www.b.test'], [STRANGER, 'www.a.test']] as const) {
    const [own, told] = [await rcodes(agent, from, name, 1), await rcodes(beside, from, name, 1)];
    t.strictSame([...told], [...own], `${from} ${name}`);
  }
  t.strictSame([...await rcodes(beside, CLIENT_A, 'only-here.a.test', 1)], [RCODE.noError]);
  await until('the agent has learned it', DEADLINE_MS, async () => (await cached(agent)).find(({ fqdn }) => fqdn === 'only-here.a.test.'));
  agent.writeManifest('policy-b.json', dnsPolicy('policy-b', { app: 'b' }, ['*.a.test']));
  await until('the change comes through', DEADLINE_MS, async () => ((await rcodes(beside, CLIENT_B, 'www.a.test', 1)).has(RCODE.noError) ? true : null));
});
