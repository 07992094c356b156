/** What policies' annotations limit, end to end: rate, entropy, private addresses; and the answer to refused search expansions. */
import t, { type Test } from 'tap';
import { ownAddress, ownPort } from '../harness/address.js';
import { UdpClient } from '../harness/clients.js';
import { namespace, pod } from '../harness/manifests.js';
import { Pair, ROLES } from '../harness/pair.js';
import { Upstream } from '../harness/upstream.js';
import { addressA, buildAnswer, buildQuery, EDE_BLOCKED, RCODE, readMessage, TYPE, type Answer, type Message } from '../harness/wire.js';

const RATE = 1;
/** What any rate lets pass at once. */
const BURST = 10;
const FLOOD = 60;
/** As tunnels have it: 40 bytes of base32. */
const NOISY = 'mzxw6ytboi3dkmzsgq2tmnzyhe4tqnbvgyzdgmju';
const PUBLIC = '192.0.2.7';
const PRIVATE = '10.1.2.3';

const limited = {
  rated: { 'tandem.dev/query-rate': String(RATE) },
  audited: { 'tandem.dev/query-rate': String(RATE), 'tandem.dev/label-entropy': '120', 'tandem.dev/limit-action': 'audit' },
  plain: { 'tandem.dev/label-entropy': '120' },
  guarded: { 'tandem.dev/private-addresses': '*.inside.test' },
  expanded: {},
} as const;
type Pod = keyof typeof limited;
const PODS = Object.keys(limited) as Pod[];
const addressOf = (name: Pod): string => `127.0.1.${String(1 + PODS.indexOf(name))}`;

function policy(name: Pod): object {
  const kubeDns = { matchLabels: { 'k8s:io.kubernetes.pod.namespace': 'kube-system', 'k8s-app': 'kube-dns' } };
  const dns = [{ matchPattern: '**.test' }];
  return {
    apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name, namespace: 'default', annotations: limited[name] },
    spec: { endpointSelector: { matchLabels: { name } }, egress: [{ toEndpoints: [kubeDns], toPorts: [{ ports: [{ port: '53', protocol: 'ANY' }], rules: { dns } }] }] },
  };
}

/** A name that begins with `private` has a private address, one with `both` has two. */
function addressesFor(name: string): Answer[] {
  if (name.startsWith('both')) return [addressA(PUBLIC), addressA(PRIVATE)];
  return [addressA(name.startsWith('private') ? PRIVATE : PUBLIC)];
}

async function start(t: Test, flags: readonly string[]): Promise<Pair> {
  const upstream = await Upstream.start(ownAddress, ownPort(), ({ query, question }) => buildAnswer(query, addressesFor(question.name)));
  t.teardown(() => {
    upstream.close();
  });
  const items = [
    namespace('default'), namespace('kube-system'),
    pod({ name: 'kube-dns', namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' }, addresses: [ownAddress], nodeName: 'node-2' }),
    ...PODS.flatMap((name) => [pod({ name, labels: { name }, addresses: [addressOf(name)] }), policy(name)]),
  ];
  const pair = await Pair.start({ upstreams: [upstream], manifests: { 'all.json': { apiVersion: 'v1', kind: 'List', items } }, flags });
  t.teardown(async () => {
    if (!t.passing()) t.comment(pair.output());
    await pair.stop();
  });
  return pair;
}

async function ask(pair: Pair, from: Pod, name: string): Promise<Message> {
  const client = await UdpClient.open(addressOf(from), pair.server);
  try {
    return readMessage(await client.ask(buildQuery({ name, type: TYPE.A }, { ednsSize: 1232 })));
  } finally {
    client.close();
  }
}

async function sumOf(pair: Pair, counter: string): Promise<number> {
  const [a, b] = await pair.counters(counter);
  return a + b;
}

/** So many were counted. A query that one member took over from the other, which was not run for a while, may be counted by both. */
async function counted(t: Test, pair: Pair, counter: string, count: number): Promise<void> {
  const [sum, taken] = [await sumOf(pair, counter), await sumOf(pair, 'taken')];
  t.ok(sum >= count && sum <= count + taken, `${counter}: ${String(sum)} for ${String(count)}, ${String(taken)} taken over`);
}

t.test('with limits', async (t) => {
  const pair = await start(t, []);

  t.test('a pod that floods from one port gets its burst, and another pod is not touched', async (t) => {
    const client = await UdpClient.open(addressOf('rated'), pair.server);
    t.teardown(() => {
      client.close();
    });
    const startedMs = performance.now();
    const answers = await Promise.all(Array.from({ length: FLOOD }, async (_, i) => readMessage(await client.ask(buildQuery({ name: `n${String(i)}.test`, type: TYPE.A }, { ednsSize: 1232 })))));
    const seconds = (performance.now() - startedMs) / 1000;
    const passed = answers.filter(({ rcode }) => rcode === RCODE.noError).length;
    const refused = answers.filter(({ rcode, extendedErrors }) => rcode === RCODE.refused && extendedErrors.includes(EDE_BLOCKED)).length;
    t.equal(passed + refused, FLOOD, 'each is answered, or refused as blocked');
    // What was taken over before its member came to it passes by its taker's own count.
    const most = (await sumOf(pair, 'taken') > 0 ? ROLES.length : 1) * (BURST + Math.ceil(seconds * RATE));
    t.ok(passed >= BURST && passed <= most, `${String(passed)} passed in ${seconds.toFixed(2)} s, at most ${String(most)}`);
    await counted(t, pair, 'query_rate_refused', refused);
    t.equal((await ask(pair, 'plain', 'www.test')).rcode, RCODE.noError);
  });

  t.test('with the action audit everything passes and is counted', async (t) => {
    const client = await UdpClient.open(addressOf('audited'), pair.server);
    t.teardown(() => {
      client.close();
    });
    const answers = await Promise.all(Array.from({ length: FLOOD }, async (_, i) => readMessage(await client.ask(buildQuery({ name: `${NOISY}${String(i)}.test`, type: TYPE.A })))));
    t.ok(answers.every(({ rcode }) => rcode === RCODE.noError));
    await counted(t, pair, 'label_entropy_audited', FLOOD);
    t.ok(await sumOf(pair, 'query_rate_audited') > 0);
  });

  t.test('a label of noise is refused, and words are not', async (t) => {
    for (const name of [`${NOISY}.test`, `www.${NOISY.toUpperCase()}.shop.test`]) t.match(await ask(pair, 'plain', name), { rcode: RCODE.refused, extendedErrors: [EDE_BLOCKED] }, name);
    for (const name of ['www.a-rather-long-but-honest-name.test', `${'a'.repeat(60)}.test`]) t.equal((await ask(pair, 'plain', name)).rcode, RCODE.noError, name);
    await counted(t, pair, 'label_entropy_refused', 2);
    t.equal((await ask(pair, 'guarded', `${NOISY}.test`)).rcode, RCODE.noError, 'another pod has no such limit');
  });

  t.test('a private address is kept from a pod, and not learned, but for the names that may have one', async (t) => {
    for (const name of ['private.outside.test', 'both.outside.test']) t.match(await ask(pair, 'guarded', name), { rcode: RCODE.refused, answerCount: 0, extendedErrors: [EDE_BLOCKED] }, name);
    t.match(await ask(pair, 'guarded', 'private.inside.test'), { rcode: RCODE.noError, answerCount: 1 });
    t.match(await ask(pair, 'guarded', 'www.outside.test'), { rcode: RCODE.noError, answerCount: 1 });
    t.match(await ask(pair, 'plain', 'private.outside.test'), { rcode: RCODE.noError, answerCount: 1 }, 'another pod has no such limit');
    await counted(t, pair, 'private_address_refused', 2);
  });

  t.test('a refused expansion is refused without the flag', async (t) => {
    t.match(await ask(pair, 'expanded', 'www.shop.test.default.svc.cluster.local'), { rcode: RCODE.refused, extendedErrors: [EDE_BLOCKED] });
  });
});

t.test('with the flags for search expansions', async (t) => {
  const pair = await start(t, ['--refused-search-expansions', 'nxdomain', '--cluster-domain', 'k8s.example', '--search-domain', 'corp.example']);
  for (const domain of ['default.svc.k8s.example', 'svc.k8s.example', 'k8s.example', 'corp.example', 'Default.SVC.k8s.Example']) {
    t.match(await ask(pair, 'expanded', `www.shop.test.${domain}`), { rcode: RCODE.nxDomain, extendedErrors: [EDE_BLOCKED] }, domain);
  }
  for (const name of ['www.shop.org.default.svc.k8s.example', 'www.shop.test.other.svc.k8s.example', 'www.shop.test.cluster.local', 'default.svc.k8s.example', 'www.shop.org']) {
    t.match(await ask(pair, 'expanded', name), { rcode: RCODE.refused, extendedErrors: [EDE_BLOCKED] }, name);
  }
  t.equal((await ask(pair, 'expanded', 'www.shop.test')).rcode, RCODE.noError);
  await counted(t, pair, 'search_expansions', 5);
  for (const role of ROLES) t.strictSame((await pair.status(role)).policy.problems, [], role);
});
