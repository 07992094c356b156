/**
 * A pair on loopback whose agent has its policy from a real API server, as the ServiceAccount of deploy/ with exactly its rights. Pods are objects that
 * the test makes; the clients' addresses are loopback's.
 */
import type { Test } from 'tap';
import { render } from '../deploy/kubectl/kubectl.js';
import { ownAddress } from '../harness/address.js';
import { CLIENT_A, CLIENT_B, dnsPolicy, NODE_NAME } from '../harness/manifests.js';
import { Pair, ROLES } from '../harness/pair.js';
import { UdpClient } from '../harness/clients.js';
import { until } from '../harness/until.js';
import { Upstream } from '../harness/upstream.js';
import { addressA, buildAnswer, buildQuery, readMessage, TYPE } from '../harness/wire.js';
import { Cluster } from './cluster/cluster.js';

export const SERVICE_ACCOUNT = { namespace: 'tandem-system', name: 'tandem-agent' } as const;
const CRDS = ['crd/ciliumnetworkpolicies.cilium.io', 'crd/ciliumclusterwidenetworkpolicies.cilium.io'];
/** Sockets that ask in turn, so that both members answer. */
const CLIENTS = 8;
const SETTLED_MS = 60_000;

export interface PodPlan {
  readonly name: string;
  readonly namespace?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly address: string;
  readonly node?: string;
}

export class AgentStage {
  readonly cluster: Cluster;
  readonly pair: Pair;
  readonly kubeconfig: string;

  private constructor(cluster: Cluster, pair: Pair, kubeconfig: string) {
    this.cluster = cluster;
    this.pair = pair;
    this.kubeconfig = kubeconfig;
  }

  /** client-a and client-b are pods of the node, with a policy each for names under a.test and b.test. All ends with the test. */
  static async start(t: Test, flags: readonly string[] = []): Promise<AgentStage> {
    const cluster = await Cluster.start();
    t.teardown(() => cluster.stop());
    await cluster.apply(...render('crds'));
    await cluster.kubectlOk('wait', '--for=condition=Established', '--timeout=60s', ...CRDS);
    const rights = render('base').filter(({ kind }) => kind !== 'DaemonSet' && kind !== 'Namespace');
    await cluster.apply(...render('base').filter(({ kind }) => kind === 'Namespace'));
    await cluster.apply(...rights);
    const kubeconfig = await cluster.kubeconfigOf(SERVICE_ACCOUNT.namespace, SERVICE_ACCOUNT.name);
    await putPod(cluster, { name: 'client-a', labels: { app: 'a' }, address: CLIENT_A });
    await putPod(cluster, { name: 'client-b', labels: { app: 'b' }, address: CLIENT_B });
    await putPod(cluster, { name: 'kube-dns', namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' }, address: ownAddress, node: 'node-2' });
    await cluster.apply(dnsPolicy('policy-a', { app: 'a' }, ['*.a.test']), dnsPolicy('policy-b', { app: 'b' }, ['*.b.test']));
    const upstream = await Upstream.start(ownAddress, 0, ({ query }) => buildAnswer(query, [addressA('192.0.2.7')]));
    t.teardown(() => {
      upstream.close();
    });
    const pair = await Pair.start({ upstreams: [upstream], manifests: {}, source: ['--kubernetes', '--kubeconfig', kubeconfig], flags });
    t.teardown(async () => {
      if (!t.passing()) t.comment(pair.output());
      await pair.stop();
    });
    const stage = new AgentStage(cluster, pair, kubeconfig);
    await stage.answered(CLIENT_A, 'first.a.test', 'NOERROR');
    return stage;
  }

  /** Response codes that a pod gets for a name, from several sockets. */
  async rcodes(from: string, name: string): Promise<Set<string>> {
    const seen = await Promise.all(Array.from({ length: CLIENTS }, async () => {
      const client = await UdpClient.open(from, this.pair.server);
      try {
        const { rcode } = readMessage(await client.ask(buildQuery({ name, type: TYPE.A })));
        return rcode === 0 ? 'NOERROR' : rcode === 5 ? 'REFUSED' : `code ${String(rcode)}`;
      } finally {
        client.close();
      }
    }));
    return new Set(seen);
  }

  /** Milliseconds until all sockets, and so both members, get that alone. */
  async answered(from: string, name: string, wanted: 'NOERROR' | 'REFUSED'): Promise<number> {
    const started = performance.now();
    await until(`${name} to be ${wanted} for ${from}`, SETTLED_MS, async () => {
      const seen = await this.rcodes(from, name);
      return seen.size === 1 && seen.has(wanted) ? true : null;
    });
    return performance.now() - started;
  }

  /** Sum over the labels of a metric of the agent; 0 if it has none. */
  async sourceMetric(name: string, label = ''): Promise<number> {
    const { body } = await this.pair.http('agent', '/metrics');
    return [...body.matchAll(new RegExp(`^tandem_source_${name}\\{([^}]*)\\} (\\S+)$`, 'gm'))].filter(([, labels]) => labels.includes(label)).reduce((sum, [, , value]) => sum + Number(value), 0);
  }

  /** Both enforce the same, and the agent hears the API server. */
  async caughtUp(): Promise<void> {
    await until('the source to be heard again', SETTLED_MS, async () => ((await this.sourceMetric('away')) === 0 ? true : null));
    await until('both members on one policy', SETTLED_MS, async () => {
      const [a, b] = await Promise.all(ROLES.map((role) => this.pair.status(role)));
      return a.policy.hash === b.policy.hash ? true : null;
    });
  }
}

export async function putPod(cluster: Cluster, { name, namespace = 'default', labels, address, node = NODE_NAME }: PodPlan): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/pods`;
  await cluster.api.call('POST', path, { metadata: { name, labels }, spec: { nodeName: node, terminationGracePeriodSeconds: 0, containers: [{ name: 'pod', image: 'pod:test' }] } });
  await cluster.api.call('PATCH', `${path}/${name}/status`, { status: { phase: 'Running', podIP: address, podIPs: [{ ip: address }], conditions: [{ type: 'Ready', status: 'True' }] } });
}
