/**
 * The DNS lines of scenarios 1 and 2 (a mapping's first look-up; default deny, step by step), as `tandem observe` prints them for live
 * queries, and the same flows as JSON.
 */
import t from 'tap';
import type { Test } from 'tap';
import { ownAddress } from '../harness/address.js';
import { UdpClient } from '../harness/clients.js';
import { namespace, pod } from '../harness/manifests.js';
import type { Zone } from '../harness/upstream.js';
import { DEADLINE_MS, until } from '../harness/until.js';
import { addressA, buildAnswer, buildQuery, RCODE, TYPE } from '../harness/wire.js';
import { type Bench, startBench } from './start.js';

const NET_1 = '127.0.1.1';
const PRODUCTPAGE = '127.0.1.11';
const INTERNAL_CLIENT = '127.0.1.12';
const KUBE_DNS = { matchLabels: { 'k8s:io.kubernetes.pod.namespace': 'kube-system', 'k8s:k8s-app': 'kube-dns' } };
const ADDRESSES: Readonly<Record<string, string>> = {
  'echo.k8s.intra': '172.17.0.2', 'reviews.default.svc.cluster.local': '10.96.3.4', 'ifconfig.me': '198.51.100.80', 'cnn.com': '198.51.100.81',
};

const zone: Zone = ({ query, question }) => {
  const address = question.type === TYPE.A ? ADDRESSES[question.name] : undefined;
  const answers = address === undefined ? [] : [{ ...addressA(address), ttlSeconds: 30 }];
  return buildAnswer(query, answers, { rcode: question.name in ADDRESSES ? RCODE.noError : RCODE.nxDomain });
};

function policy(name: string, labels: Readonly<Record<string, string>>, egress: readonly object[]): object {
  return { apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name, namespace: 'default' }, spec: { endpointSelector: { matchLabels: labels }, egress } };
}

function dns(pattern: string | null): object {
  const ports = [{ port: '53', protocol: 'ANY' }];
  return { toEndpoints: [KUBE_DNS], toPorts: [{ ports, ...(pattern === null ? {} : { rules: { dns: [{ matchPattern: pattern }] } }) }] };
}

const MANIFESTS = {
  'namespaces.json': { apiVersion: 'v1', kind: 'List', items: [namespace('default'), namespace('kube-system')] },
  'pods.json': {
    apiVersion: 'v1', kind: 'List', items: [
      pod({ name: 'net1', labels: { app: 'net' }, addresses: [NET_1] }),
      pod({ name: 'productpage-v1-5d8c6b9f4-x7k2p', labels: { 'app': 'productpage', 'pod-template-hash': '5d8c6b9f4' }, addresses: [PRODUCTPAGE] }),
      pod({ name: 'internal-client', labels: { app: 'internal-client' }, addresses: [INTERNAL_CLIENT] }),
      pod({ name: 'kube-dns-0', namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' }, addresses: [ownAddress] }),
    ],
  },
  'policy-echo.json': policy('echo', { app: 'net' }, [dns('*'), { toFQDNs: [{ matchPattern: '*.k8s.intra' }] }]),
  'policy-client.json': policy('internal-client', { app: 'internal-client' }, [dns('*'), { toFQDNs: [{ matchName: 'ifconfig.me' }] }]),
};

async function ask(bench: Bench, from: string, names: readonly string[]): Promise<void> {
  const client = await UdpClient.open(from, bench.pair.server);
  for (const name of names) await client.ask(buildQuery({ name, type: TYPE.A }));
  client.close();
}

/** Ports and numbers of identities differ from run to run; times are checked apart. */
function plain(line: string): string {
  return line.replace(/^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d\.\d{3}: /, '').replaceAll(/:\d{4,5} /g, ':PORT ').replaceAll(/\(ID:\d+\)/g, '(ID:N)');
}

/** What `observe` prints of a pod, at each member. */
async function lines(t: Test, bench: Bench, podName: string): Promise<readonly string[]> {
  const seen = await Promise.all((['agent', 'dns-proxy'] as const).map(async (member) => {
    const { code, standardOutput } = await bench.pair.cli('observe', '--member', member, '--protocol', 'dns', '--pod', podName);
    t.equal(code, 0);
    return standardOutput.split('\n').filter((line) => line !== '');
  }));
  t.same(seen[1], seen[0], 'both members show the same');
  for (const line of seen[0]) t.match(line, /^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d\.\d{3}: /);
  return seen[0].map(plain);
}

function queryLine(pod: string, verdict: string, summary: string): string {
  return `${pod}:PORT (ID:N) -> kube-system/kube-dns-0:53 (ID:N) dns-request proxy ${verdict} (DNS Query ${summary})`;
}

function answerLine(pod: string, summary: string): string {
  return `${pod}:PORT (ID:N) <- kube-system/kube-dns-0:53 (ID:N) dns-response proxy FORWARDED (DNS Answer ${summary})`;
}

const bench = await startBench(t, zone, { manifests: MANIFESTS });

t.test('scenario 1: the look-up of a name that policy selects', async (t) => {
  await ask(bench, NET_1, ['echo.k8s.intra']);
  t.same(await lines(t, bench, 'default/net1'), [
    queryLine('default/net1', 'FORWARDED', 'echo.k8s.intra. A'),
    answerLine('default/net1', '"172.17.0.2" TTL: 30 (Proxy echo.k8s.intra. A)'),
  ]);
});

t.test('scenario 2: all egress denied, DNS allowed without rules, then with them', async (t) => {
  const page = 'productpage-v1-5d8c6b9f4-x7k2p';
  const name = 'reviews.default.svc.cluster.local';
  const line = queryLine(`default/${page}`, 'FORWARDED', `${name}. A`);
  const answered = answerLine(`default/${page}`, `"10.96.3.4" TTL: 30 (Proxy ${name}. A)`);
  const step = async (egress: readonly object[]): Promise<readonly string[]> => {
    const before = (await bench.pair.status('agent')).policy.revision!;
    bench.pair.writeManifest('policy-page.json', policy('productpage', { app: 'productpage' }, egress));
    await until('the policy at both', DEADLINE_MS, async () => {
      const states = await Promise.all((['agent', 'dns-proxy'] as const).map((role) => bench.pair.status(role)));
      return states.every((state) => (state.policy.revision ?? 0) > before) ? true : null;
    });
    const count = (await lines(t, bench, `default/${page}`)).length;
    await ask(bench, PRODUCTPAGE, [name]);
    return (await lines(t, bench, `default/${page}`)).slice(count);
  };
  t.same(await step([{}]), [queryLine(`default/${page}`, 'DROPPED', `${name}. A`)], 'an empty rule allows nothing');
  t.same(await step([dns(null)]), [line, answered]);
  t.same(await step([dns('*')]), [line, answered]);
});

t.test('scenario 2: search domains are tried first and do not exist', async (t) => {
  await ask(bench, INTERNAL_CLIENT, ['cnn.com.default.svc.cluster.local', 'cnn.com.svc.cluster.local', 'cnn.com.cluster.local', 'cnn.com']);
  const pod = 'default/internal-client';
  const none = ['cnn.com.default.svc.cluster.local.', 'cnn.com.svc.cluster.local.', 'cnn.com.cluster.local.'].flatMap((name) => [
    queryLine(pod, 'FORWARDED', `${name} A`), answerLine(pod, `RCode: Non-Existent Domain TTL: 4294967295 (Proxy ${name} A)`),
  ]);
  t.same(await lines(t, bench, pod), [
    ...none, queryLine(pod, 'FORWARDED', 'cnn.com. A'), answerLine(pod, '"198.51.100.81" TTL: 30 (Proxy cnn.com. A)'),
  ]);
});

t.test('as JSON: endpoint, identity, labels, workloads, verdict, direction, addresses, policy', async (t) => {
  const { standardOutput } = await bench.pair.cli('observe', '--protocol', 'dns', '--pod', 'default/productpage', '--last', '2', '-o', 'jsonpb');
  const [request, answer] = standardOutput.trim().split('\n').map((line) => JSON.parse(line) as { readonly flow: object });
  t.match(request.flow, {
    verdict: 'FORWARDED', Type: 'L7', node_name: 'node-1', is_reply: false, traffic_direction: 'EGRESS', event_type: { type: 129 },
    IP: { source: PRODUCTPAGE, destination: bench.upstream.address, ipVersion: 'IPv4' },
    l4: { UDP: { source_port: Number, destination_port: 53 } },
    source: {
      ID: Number, identity: Number, namespace: 'default', pod_name: 'productpage-v1-5d8c6b9f4-x7k2p', cluster_name: 'default',
      labels: /k8s:app=productpage/, workloads: [{ name: 'productpage-v1', kind: 'Deployment' }],
    },
    destination: { namespace: 'kube-system', pod_name: 'kube-dns-0' },
    l7: { type: 'REQUEST', dns: { query: 'reviews.default.svc.cluster.local.', observation_source: 'proxy', qtypes: ['A'] } },
    egress_allowed_by: [{ kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'productpage' }],
    Summary: 'DNS Query reviews.default.svc.cluster.local. A', time: /^\d{4}-\d\d-\d\dT/, uuid: /^[0-9a-f-]{36}$/,
  });
  t.match(answer.flow, {
    verdict: 'FORWARDED', is_reply: true, source: { pod_name: 'kube-dns-0' }, destination: { pod_name: 'productpage-v1-5d8c6b9f4-x7k2p' },
    l7: { type: 'RESPONSE', latency_ns: /^\d+$/, dns: { ips: ['10.96.3.4'], ttl: 30, rrtypes: ['A'] } },
  });
});
