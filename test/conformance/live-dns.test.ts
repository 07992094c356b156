/**
 * The tables' questions to DNS servers, asked live: one pair for each enforcement mode, server and port, its manifests replaced
 * group by group. Each question is asked from several ports, so that both members answer.
 */
import t, { type Test } from 'tap';
import { loadManifests } from '@tandem/manifests';
import { TcpClient, UdpClient, type Server } from '../harness/clients.js';
import { Pair, ROLES } from '../harness/pair.js';
import { settled } from '../harness/policy-edit.js';
import { Upstream } from '../harness/upstream.js';
import { addressA, buildAnswer, buildQuery, RCODE, readMessage } from '../harness/wire.js';
import { titleOf, type DnsCase, type Group } from './case.js';
import { tables } from './tables.js';

/** The kernel chooses the member by the source port: of so many, hardly ever all go to one. */
const ASKS = 4;
const MANIFEST = 'group.yaml';
/** Fewer would mean that the tables lost their live cases. */
const LIVE_SHARE_MIN = 0.9;

/** Questions of one group that one pair can be asked. */
interface LiveGroup {
  readonly group: Group;
  readonly cases: readonly DnsCase[];
  /** `namespace/pod` → the address that its client binds to. */
  readonly addresses: ReadonlyMap<string, string>;
}

/** How the pair must be started: a member judges its upstream's address, at the port that it is told. */
interface Start {
  readonly mode: string;
  readonly server: string;
  readonly port: number;
}

const keyOf = ({ mode, server, port }: Start): string => `mode ${mode}, server ${server}:${String(port)}`;

const starts = new Map<string, { readonly start: Start; readonly groups: LiveGroup[] }>();
for (const group of tables) {
  const addresses = addressesOf(group);
  const byStart = new Map<string, { readonly start: Start; readonly cases: DnsCase[] }>();
  for (const one of group.cases) {
    if (one.kind !== 'dns' || one.notLive !== null) continue;
    const start = { mode: group.settings?.enablePolicy ?? 'default', server: one.server, port: one.port };
    const known = byStart.get(keyOf(start));
    if (known === undefined) byStart.set(keyOf(start), { start, cases: [one] });
    else known.cases.push(one);
  }
  for (const [key, { start, cases }] of byStart) {
    const known = starts.get(key);
    if (known === undefined) starts.set(key, { start, groups: [{ group, cases, addresses }] });
    else known.groups.push({ group, cases, addresses });
  }
}

function addressesOf({ manifests }: Group): Map<string, string> {
  const { objects } = loadManifests([{ path: 'group.yaml', text: manifests }]);
  return new Map((objects?.pods ?? []).map(({ namespace, name, addresses }) => [`${namespace}/${name}`, addresses[0]]));
}

async function rcodeOf(one: DnsCase, from: string, server: Server): Promise<number> {
  const client = await (one.protocol === 'tcp' ? TcpClient : UdpClient).open(from, server);
  try {
    return readMessage(await client.ask(buildQuery({ name: one.name, type: one.type }))).rcode;
  } finally {
    client.close();
  }
}

async function startPair(t: Test, { mode, server, port }: Start, first: LiveGroup): Promise<Pair> {
  const upstream = await Upstream.start(server, 0, ({ query }) => buildAnswer(query, [addressA('192.0.2.7')]));
  t.teardown(() => {
    upstream.close();
  });
  const pair = await Pair.start({ upstreams: [upstream], manifests: { [MANIFEST]: first.group.manifests }, flags: ['--enable-policy', mode, '--policy-port', String(port)] });
  t.teardown(async () => {
    if (!t.passing()) t.comment(pair.output());
    await pair.stop();
  });
  return pair;
}

async function askAll(t: Test, pair: Pair, { cases, addresses }: LiveGroup): Promise<void> {
  await Promise.all(cases.map(async (one) => {
    const from = addresses.get(one.from) ?? one.from;
    const rcodes = await Promise.all(Array.from({ length: ASKS }, () => rcodeOf(one, from, pair.server)));
    t.strictSame(rcodes, new Array(ASKS).fill(one.verdict === 'allowed' ? RCODE.noError : RCODE.refused), `${titleOf(one)} [${one.source}]`);
  }));
}

t.test('most questions about names are asked live', (t) => {
  const count = [...starts.values()].flatMap(({ groups }) => groups).reduce((sum, { cases }) => sum + cases.length, 0);
  const all = tables.flatMap(({ cases }) => cases).filter(({ kind }) => kind === 'dns').length;
  t.ok(count >= all * LIVE_SHARE_MIN, `${String(count)} of ${String(all)}`);
  t.end();
});

/** By both, over all pairs: of a pair with few questions all may go to one member. */
const asked = [0, 0];

for (const [key, { start, groups }] of starts) {
  t.test(key, async (t) => {
    const pair = await startPair(t, start, groups[0]);
    const before = await pair.counters('queries');
    for (const one of groups) {
      if (one !== groups[0]) {
        const { revision } = (await pair.status('agent')).policy;
        pair.writeManifest(MANIFEST, one.group.manifests);
        await settled(pair, revision);
      }
      await t.test(one.group.name, async (t) => {
        await askAll(t, pair, one);
      });
    }
    for (const [index, count] of (await pair.counters('queries')).entries()) asked[index] += count - before[index];
  });
}

t.test('both members were asked', (t) => {
  t.ok(asked.every((count) => count > 0), ROLES.map((role, index) => `${role}: ${String(asked[index])}`).join(', '));
  t.end();
});
