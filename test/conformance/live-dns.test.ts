/**
 * The tables' questions to DNS servers, asked live: one pair for each enforcement mode, its manifests replaced group by group.
 * Each question is asked from several ports, so that both members answer.
 */
import t, { type Test } from 'tap';
import { loadManifests } from '@tandem/manifests';
import { TcpClient, UdpClient, type Server } from '../harness/clients.js';
import { Pair, ROLES } from '../harness/pair.js';
import { settled } from '../harness/policy-edit.js';
import { Upstream } from '../harness/upstream.js';
import { addressA, buildAnswer, buildQuery, RCODE, readMessage } from '../harness/wire.js';
import { DNS_SERVER, titleOf, type DnsCase, type Group } from './case.js';
import { tables } from './tables.js';

/** The kernel chooses the member by the source port: of so many, hardly ever all go to one. */
const ASKS = 4;
const MANIFEST = 'group.yaml';
/** A share of the questions that could be asked at all: fewer would mean that the tables lost their live cases. */
const LIVE_MIN = 150;

interface LiveGroup {
  readonly group: Group;
  readonly cases: readonly DnsCase[];
  /** `namespace/pod` → the address that its client binds to. */
  readonly addresses: ReadonlyMap<string, string>;
}

const live: readonly LiveGroup[] = tables
  .map((group) => ({
    group,
    cases: group.cases.filter((one) => one.kind === 'dns').filter(({ notLive }) => notLive === null),
    addresses: addressesOf(group),
  }))
  .filter(({ cases }) => cases.length > 0);

function addressesOf({ manifests }: Group): Map<string, string> {
  const { objects } = loadManifests([{ path: 'group.yaml', text: manifests }]);
  return new Map((objects?.pods ?? []).map(({ namespace, name, addresses }) => [`${namespace}/${name}`, addresses[0]]));
}

const modeOf = ({ group }: LiveGroup): string => group.settings?.enablePolicy ?? 'default';

async function rcodeOf(one: DnsCase, from: string, server: Server): Promise<number> {
  const client = await (one.protocol === 'tcp' ? TcpClient : UdpClient).open(from, server);
  try {
    return readMessage(await client.ask(buildQuery({ name: one.name, type: one.type }))).rcode;
  } finally {
    client.close();
  }
}

async function startPair(t: Test, mode: string, first: LiveGroup): Promise<Pair> {
  const upstream = await Upstream.start(DNS_SERVER, 0, ({ query }) => buildAnswer(query, [addressA('192.0.2.7')]));
  t.teardown(() => {
    upstream.close();
  });
  const pair = await Pair.start({ upstreams: [upstream], manifests: { [MANIFEST]: first.group.manifests }, flags: ['--enable-policy', mode] });
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
  const count = live.reduce((sum, { cases }) => sum + cases.length, 0);
  t.ok(count >= LIVE_MIN, `${String(count)} of ${String(tables.flatMap(({ cases }) => cases).filter(({ kind }) => kind === 'dns').length)}`);
  t.end();
});

for (const mode of new Set(live.map(modeOf))) {
  t.test(`mode ${mode}`, async (t) => {
    const groups = live.filter((one) => modeOf(one) === mode);
    const pair = await startPair(t, mode, groups[0]);
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
    const counts = (await pair.counters('queries')).map((count, index) => count - before[index]);
    t.ok(counts.every((count) => count > 0), `both members were asked (${ROLES.map((role, index) => `${role}: ${String(counts[index])}`).join(', ')})`);
  });
}
