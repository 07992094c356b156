/** Each kind of policy: what a client gets and what `policy trace` says about it must be the same, and name the rule. */
import t from 'tap';
import { ownAddress } from '../harness/address.js';
import { TcpClient, UdpClient } from '../harness/clients.js';
import { namespace, pod } from '../harness/manifests.js';
import { ROLES } from '../harness/pair.js';
import { addressA, buildAnswer, buildQuery, RCODE, readMessage, TYPE } from '../harness/wire.js';
import { startBench } from './start.js';

interface Case {
  /** Pod and policy name. */
  readonly name: string;
  readonly says: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** null: no policy. Without a kind: a namespaced one. Without a selector: it selects the pod by its `name` label. */
  readonly policy: { readonly kind?: string; readonly selector?: object; readonly egress: readonly object[] } | null;
  readonly allowed: readonly string[];
  readonly refused: readonly string[];
}

const kubeDns = [{ matchLabels: { 'k8s:io.kubernetes.pod.namespace': 'kube-system', 'k8s-app': 'kube-dns' } }];
const port53 = (protocol: string): object[] => [{ port: '53', protocol }];
const names = (...dns: object[]): object => ({ toEndpoints: kubeDns, toPorts: [{ ports: port53('ANY'), rules: { dns } }] });
const wide = (matchPattern: string): object => names({ matchPattern });
const clusterwide = 'CiliumClusterwideNetworkPolicy';

const cases: Case[] = [
  { name: 'match-name', says: 'matchName', policy: { egress: [names({ matchName: 'www.x.test' })] }, allowed: ['www.x.test', 'WWW.X.test'], refused: ['x.test', 'a.www.x.test', 'wwww.x.test'] },
  { name: 'one-label', says: 'a star stands for one label', policy: { egress: [wide('*.x.test')] }, allowed: ['www.x.test', '_a-b.x.test'], refused: ['x.test', 'a.b.x.test'] },
  { name: 'many-labels', says: 'two stars stand for one label or more', policy: { egress: [wide('**.x.test')] }, allowed: ['a.x.test', 'a.b.x.test'], refused: ['x.test', 'ax.test'] },
  { name: 'in-label', says: 'a star inside a label', policy: { egress: [wide('sub*.x.test')] }, allowed: ['sub.x.test', 'subdomain.x.test'], refused: ['www.x.test', 'sub.y.x.test'] },
  { name: 'everything', says: 'a lone star', policy: { egress: [wide('*')] }, allowed: ['x.test', 'a.b.c.test'], refused: [] },
  { name: 'no-dns-rules', says: 'a port without rules.dns allows any name', policy: { egress: [{ toEndpoints: kubeDns, toPorts: [{ ports: port53('ANY') }] }] }, allowed: ['any.test'], refused: [] },
  { name: 'no-ports', says: 'a server without toPorts allows any name', policy: { egress: [{ toEndpoints: kubeDns }] }, allowed: ['any.test'], refused: [] },
  { name: 'no-servers', says: 'toPorts without toEndpoints allows any server', policy: { egress: [{ toPorts: [{ ports: port53('ANY'), rules: { dns: [{ matchPattern: '*.x.test' }] } }] }] }, allowed: ['www.x.test'], refused: ['x.test'] },
  { name: 'other-server', says: 'a rule for another server allows nothing here', policy: { egress: [{ toEndpoints: [{ matchLabels: { app: 'no-such' } }], toPorts: [{ ports: port53('ANY'), rules: { dns: [{ matchPattern: '*' }] } }] }] }, allowed: [], refused: ['x.test'] },
  { name: 'other-port', says: 'a rule for another port allows nothing here', policy: { egress: [{ toEndpoints: kubeDns, toPorts: [{ ports: [{ port: '5353', protocol: 'ANY' }], rules: { dns: [{ matchPattern: '*' }] } }] }] }, allowed: [], refused: ['x.test'] },
  { name: 'fqdns-only', says: 'toFQDNs alone lets connect, not ask', policy: { egress: [{ toFQDNs: [{ matchPattern: '*.x.test' }] }] }, allowed: [], refused: ['www.x.test'] },
  { name: 'deny-all', says: 'an empty egress rule denies', policy: { egress: [{}] }, allowed: [], refused: ['www.x.test'] },
  { name: 'no-policy', says: 'a pod that no policy selects may ask anything', policy: null, allowed: ['any.test'], refused: [] },
  { name: 'two-rules', says: 'rules add up', policy: { egress: [wide('*.x.test'), wide('*.y.test')] }, allowed: ['a.x.test', 'a.y.test'], refused: ['a.z.test'] },
  { name: 'k8s-prefix', says: 'the k8s: prefix', policy: { selector: { matchLabels: { 'k8s:name': 'k8s-prefix' } }, egress: [wide('*.x.test')] }, allowed: ['a.x.test'], refused: ['a.y.test'] },
  { name: 'any-prefix', says: 'the any: prefix', policy: { selector: { matchLabels: { 'any:name': 'any-prefix' } }, egress: [wide('*.x.test')] }, allowed: ['a.x.test'], refused: ['a.y.test'] },
  { name: 'in-expression', says: 'matchExpressions with In and Exists', labels: { tier: 'front' }, policy: { selector: { matchExpressions: [{ key: 'tier', operator: 'In', values: ['front', 'back'] }, { key: 'name', operator: 'Exists' }] }, egress: [wide('*.x.test')] }, allowed: ['a.x.test'], refused: ['a.y.test'] },
  { name: 'not-in-expression', says: 'matchExpressions with NotIn and DoesNotExist', labels: { zone: 'outer' }, policy: { selector: { matchLabels: { zone: 'outer' }, matchExpressions: [{ key: 'name', operator: 'NotIn', values: ['match-name'] }, { key: 'tier', operator: 'DoesNotExist' }] }, egress: [wide('*.x.test')] }, allowed: ['a.x.test'], refused: ['a.y.test'] },
  { name: 'clusterwide', says: 'a clusterwide policy', policy: { kind: clusterwide, selector: { matchLabels: { name: 'clusterwide', 'k8s:io.kubernetes.pod.namespace': 'default' } }, egress: [wide('*.x.test')] }, allowed: ['a.x.test'], refused: ['a.y.test'] },
  { name: 'namespace-label', says: 'a clusterwide policy by namespace label', policy: { kind: clusterwide, selector: { matchLabels: { name: 'namespace-label', 'k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name': 'default' } }, egress: [wide('*.x.test')] }, allowed: ['a.x.test'], refused: ['a.y.test'] },
];

const addressOf = (index: number): string => `127.0.1.${String(100 + index)}`;

function policyOf({ name, policy }: Case): object[] {
  if (policy === null) return [];
  const kind = policy.kind ?? 'CiliumNetworkPolicy';
  const metadata = kind === clusterwide ? { name } : { name, namespace: 'default' };
  return [{ apiVersion: 'cilium.io/v2', kind, metadata, spec: { endpointSelector: policy.selector ?? { matchLabels: { name } }, egress: policy.egress } }];
}

const protocolPods = ['udp-only', 'tcp-only'];
const pods = [...cases.map(({ name, labels }) => ({ name, labels: { name, ...labels } })), ...protocolPods.map((name) => ({ name, labels: { name } }))]
  .map((one, index) => pod({ ...one, addresses: [addressOf(index)] }));
const protocolPolicies = protocolPods.flatMap((name) => policyOf({
  name, says: '', allowed: [], refused: [],
  policy: { egress: [{ toEndpoints: kubeDns, toPorts: [{ ports: port53(name.slice(0, 3).toUpperCase()), rules: { dns: [{ matchPattern: '*' }] } }] }] },
}));

const { pair } = await startBench(t, ({ query }) => buildAnswer(query, [addressA('192.0.2.7')]), {
  manifests: {
    'all.json': {
      apiVersion: 'v1',
      kind: 'List',
      items: [
        namespace('default'), namespace('kube-system'), ...pods, ...cases.flatMap(policyOf), ...protocolPolicies,
        pod({ name: 'kube-dns', namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' }, addresses: [ownAddress], nodeName: 'node-2' }),
      ],
    },
  },
});

interface Trace {
  readonly verdict: string;
  readonly rule: { readonly name: string; readonly kind: string } | null;
  readonly nearest: readonly { readonly name: string; readonly explanation: string }[];
}

async function rcode(from: string, name: string, protocol: string): Promise<number> {
  const client = await (protocol === 'tcp' ? TcpClient : UdpClient).open(from, pair.server);
  try {
    return readMessage(await client.ask(buildQuery({ name, type: TYPE.A }))).rcode;
  } finally {
    client.close();
  }
}

async function trace(from: string, name: string, protocol = 'udp'): Promise<Trace[]> {
  const query = new URLSearchParams({ from, server: ownAddress, port: '53', protocol, name });
  return Promise.all(ROLES.map(async (role) => {
    const { status, body } = await pair.http(role, `/api/v1/policy/trace?${query.toString()}`);
    if (status !== 200) throw new Error(`${role}: HTTP ${String(status)} ${body}`);
    return JSON.parse(body) as Trace;
  }));
}

for (const [index, one] of cases.entries()) {
  t.test(`${one.says}: queries and trace agree`, async (t) => {
    for (const name of one.allowed) {
      t.equal(await rcode(addressOf(index), name, 'udp'), RCODE.noError, `allowed: ${name}`);
      for (const told of await trace(`default/${one.name}`, name)) {
        t.equal(told.verdict, 'allow', `trace of ${name}`);
        if (one.policy !== null) t.match(told.rule, { name: one.name, kind: one.policy.kind ?? 'CiliumNetworkPolicy' });
      }
    }
    for (const name of one.refused) {
      t.equal(await rcode(addressOf(index), name, 'udp'), RCODE.refused, `refused: ${name}`);
      for (const told of await trace(`default/${one.name}`, name)) {
        t.match(told, { verdict: 'refuse', rule: null }, `trace of ${name}`);
        t.ok(told.nearest.every((near) => near.name === one.name && near.explanation.length > 10), JSON.stringify(told.nearest));
      }
    }
  });
}

t.test('a rule for one protocol allows that one alone', async (t) => {
  for (const [index, name] of protocolPods.entries()) {
    const from = addressOf(cases.length + index);
    for (const protocol of ['udp', 'tcp']) {
      const allowed = name.startsWith(protocol);
      t.equal(await rcode(from, 'x.test', protocol), allowed ? RCODE.noError : RCODE.refused, `${name} asks over ${protocol}`);
      for (const told of await trace(`default/${name}`, 'x.test', protocol)) t.equal(told.verdict, allowed ? 'allow' : 'refuse');
    }
  }
});
