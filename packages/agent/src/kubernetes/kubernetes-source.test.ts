import t, { type Test } from 'tap';
import type { Log, PolicyObjects } from '@tandem/core';
import { formatProblem, loadManifests } from '@tandem/manifests';
import type { LoadedManifests } from '../manifest-folder.js';
import { KubernetesSource } from './kubernetes-source.js';
import type { ReflectorTimes } from './reflector.js';
import { FakeApiServer, type Collection, type FakeObject } from './testing/fake-api-server.js';

export const FAST: ReflectorTimes = { watchSeconds: 60, stallMargin: 1_000, backoffFirst: 5, backoffMax: 50, slow: 20, settled: 1_000, grace: 0 };
const LABELS = { 'kubernetes.io/metadata.name': 'shop' };

/** What the source publishes, one after another. */
class Stage {
  readonly published: LoadedManifests[] = [];
  readonly lines: string[] = [];
  readonly source: KubernetesSource;
  readonly started: Promise<void>;
  private wake: () => void = () => undefined;

  constructor(t: Test, server: FakeApiServer, { clusterCidrs = [] as string[], times = FAST } = {}) {
    const note = (line: string): void => { this.lines.push(line); };
    const log: Log = { debug: () => undefined, info: note, warn: note, error: note };
    this.source = new KubernetesSource({
      config: { server: new URL(server.url), ca: null, cert: null, key: null, token: null, tlsServerName: null, insecureSkipTlsVerify: false },
      settings: { nodeName: 'node', enablePolicy: 'default', clusterCidrs }, version: '0', log, times, statusWaitMsMax: 0,
      publish: (loaded) => {
        this.published.push(loaded);
        this.wake();
        return Promise.resolve();
      },
      fail: (error) => { throw error; },
    });
    t.teardown(() => { this.source.close(); });
    this.started = this.source.start();
  }

  get last(): LoadedManifests | undefined {
    return this.published.at(-1);
  }

  get objects(): PolicyObjects | null {
    return this.last?.objects ?? null;
  }

  get problems(): string[] {
    return this.last?.problems.map(formatProblem) ?? [];
  }

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 10);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

function pod(name: string, address: string, { node = 'node', labels = { app: name }, namespace = 'shop' } = {}): FakeObject {
  return {
    metadata: { name, namespace, uid: `uid-${name}`, labels }, spec: { nodeName: node, containers: [{ ports: [{ name: 'dns', containerPort: 53, protocol: 'UDP' }] }] },
    status: { phase: 'Running', podIP: address, podIPs: [{ ip: address }] },
  };
}

function policy(name: string, egress: unknown, app = 'web'): FakeObject {
  return { metadata: { name, namespace: 'shop', uid: `uid-${name}`, generation: 1 }, spec: { endpointSelector: { matchLabels: { app } }, egress } };
}

async function server(t: Test, absent: readonly Collection[] = []): Promise<FakeApiServer> {
  const server = await new FakeApiServer(absent).start();
  t.teardown(() => server.stop());
  server.put('namespaces', { metadata: { name: 'shop', labels: LABELS } });
  server.put('pods', pod('web', '10.0.0.1'));
  return server;
}

const podNames = ({ objects }: Stage): string[] => objects?.pods.map(({ name }) => name) ?? [];

t.test('the first state is whole, and the same as from a folder', async (t) => {
  const api = await server(t);
  api.put('policies', policy('p', [{ toFQDNs: [{ matchName: 'example.com' }] }]));
  api.put('services', { metadata: { name: 'dns', namespace: 'shop' }, spec: { clusterIP: '10.96.0.10', ports: [{ port: 53, protocol: 'UDP' }] } });
  api.put('endpointSlices', {
    metadata: { name: 'dns-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'dns' } }, addressType: 'IPv4', endpoints: [{ addresses: ['10.0.0.1'] }], ports: [{ port: 53, protocol: 'UDP' }],
  });
  api.put('networkPolicies', { metadata: { name: 'n', namespace: 'shop' }, spec: { podSelector: {}, policyTypes: ['Ingress'] } });
  const stage = new Stage(t, api);
  await stage.started;
  t.equal(stage.published.length, 1);
  const kinds: readonly [Collection, string, string][] = [
    ['namespaces', 'v1', 'Namespace'], ['pods', 'v1', 'Pod'], ['services', 'v1', 'Service'], ['endpointSlices', 'discovery.k8s.io/v1', 'EndpointSlice'],
    ['policies', 'cilium.io/v2', 'CiliumNetworkPolicy'], ['networkPolicies', 'networking.k8s.io/v1', 'NetworkPolicy'],
  ];
  const files = kinds.flatMap(([collection, apiVersion, kind]) => api.all(collection).map((object, i) => ({
    path: `${kind}-${i}.json`, text: JSON.stringify({ apiVersion, kind, ...object }),
  })));
  t.strictSame(stage.objects, loadManifests(files).objects);
});

t.test('a burst is one publication, and what did not change is the very same', async (t) => {
  const api = await server(t);
  const stage = new Stage(t, api);
  await stage.started;
  await stage.until(() => api.watches === 7);
  const before = stage.objects!;
  for (let i = 0; i < 50; i++) api.put('pods', pod(`p${i}`, `10.0.1.${i}`));
  await stage.until(() => podNames(stage).length === 51);
  t.ok(stage.published.length <= 3, `${stage.published.length} publications`);
  t.equal(stage.objects!.pods.find(({ name }) => name === 'web'), before.pods[0]);
  t.equal(stage.objects!.namespaces, before.namespaces);
  const count = stage.published.length;
  api.put('pods', { ...pod('web', '10.0.0.1'), status: { phase: 'Running', podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }], conditions: [{ type: 'Ready' }] } });
  api.put('pods', pod('last', '10.0.2.1'));
  await stage.until(() => podNames(stage).includes('last'));
  t.ok(stage.published.length <= count + 1, 'readiness is nothing new');
});

t.test('an invalid policy does not hold up the others: its last good version stays, and its status says why', async (t) => {
  const api = await server(t);
  api.put('policies', policy('p', [{ toFQDNs: [{ matchName: 'example.com' }] }]));
  const stage = new Stage(t, api);
  await stage.started;
  const good = stage.objects!.policies[0];
  await stage.until(() => api.patches.length === 1);
  t.match(api.get('policies', 'shop/p')?.status, { conditions: [{ type: 'Valid', status: 'True', reason: 'Valid', observedGeneration: 1, lastTransitionTime: /Z$/ }] });
  api.put('policies', { ...policy('p', [{ toFQDN: [] }]), metadata: { ...policy('p', []).metadata, generation: 2 }, status: api.get('policies', 'shop/p')?.status });
  api.put('policies', policy('q', [{ toFQDNs: [{ matchName: 'example.org' }] }]));
  api.put('policies', policy('r', [{ nonsense: 1 }]));
  await stage.until(() => stage.objects?.policies.length === 2 && api.patches.length === 4);
  t.equal(stage.objects!.policies[0], good);
  t.match(stage.problems, [/^CiliumNetworkPolicy shop\/p: spec\.egress\[0\]\.toFQDN: error: is unknown/, /shop\/r/]);
  t.match(api.get('policies', 'shop/p')?.status, { conditions: [{ status: 'False', reason: 'Invalid', message: /^Not enforced;.*toFQDN: error: is unknown/, observedGeneration: 2 }] });
  api.delete('policies', 'shop/p');
  await stage.until(() => stage.objects?.policies.length === 1);
});

t.test('an odd pod, Service or slice holds up nobody', async (t) => {
  const api = await server(t);
  api.put('pods', { metadata: { name: 'odd', namespace: 'shop', labels: 5 }, spec: { nodeName: 'node', hostNetwork: 'perhaps', containers: {} }, status: 'x' } as unknown as FakeObject);
  api.put('services', { metadata: { name: 'odd', namespace: 'shop' }, spec: [] } as unknown as FakeObject);
  api.put('endpointSlices', { metadata: { name: 'odd', namespace: 'shop' }, endpoints: 7, ports: null });
  api.put('namespaces', { metadata: { name: 'odd', labels: { a: 5 } } } as unknown as FakeObject);
  const stage = new Stage(t, api);
  await stage.started;
  t.match(podNames(stage), ['odd', 'web']);
  t.ok(stage.last!.problems.every(({ severity }) => severity === 'warning'));
  t.ok(stage.problems.some((line) => line.startsWith('Pod shop/odd: status: warning')));
});

t.test('pods of other nodes are watched as far as policies of pods here name them', async (t) => {
  const api = await server(t);
  for (const name of ['db', 'cache', 'other']) api.put('pods', pod(name, `10.0.9.${name.length}`, { node: 'far' }));
  api.put('policies', policy('elsewhere', [{ toEndpoints: [{ matchLabels: { app: 'cache' } }] }], 'nobody here'.replaceAll(' ', '-')));
  const stage = new Stage(t, api);
  await stage.started;
  t.strictSame(podNames(stage), ['web']);
  api.put('policies', policy('p', [{ toEndpoints: [{ matchLabels: { app: 'db' } }] }]));
  await stage.until(() => stage.objects!.policies.length === 2);
  t.strictSame(podNames(stage), ['db', 'web'], 'published with what it needs');
  t.notOk(stage.published.some(({ objects }) => objects?.policies.length === 2 && objects.pods.length === 1), 'and never without');
  api.put('policies', policy('p', [{ toCIDR: ['10.0.0.0/8'] }]));
  await stage.until(() => podNames(stage).length === 4);
  api.put('policies', policy('p', [{ toFQDNs: [{ matchName: 'example.com' }] }]));
  await stage.until(() => podNames(stage).length === 1);
});

t.test('a watch that was wanted in between, and never served, ends', async (t) => {
  const api = await server(t);
  const askedFor = (labels: string): boolean => api.requests.some(({ url }) => url.searchParams.get('labelSelector') === labels);
  api.onRequest = (url) => (url.searchParams.get('labelSelector')?.startsWith('app=late') === true ? { status: 500 } : null);
  api.put('policies', policy('p', [{ toEndpoints: [{ matchLabels: { app: 'db' } }] }]));
  const stage = new Stage(t, api);
  await stage.until(() => stage.objects !== null);
  for (const app of ['late1', 'late2', 'late3']) {
    api.put('policies', policy('p', [{ toEndpoints: [{ matchLabels: { app } }] }]));
    await stage.until(() => askedFor(`app=${app}`));
    t.equal(stage.source.counts.watches, 9, 'the one of before, and the one that is wanted');
  }
});

t.test('labels that the server does not understand are left out', async (t) => {
  const api = await server(t);
  api.onRequest = (url) => (url.searchParams.has('labelSelector') ? { status: 400 } : null);
  for (const name of ['db', 'other']) api.put('pods', pod(name, `10.0.9.${name.length}`, { node: 'far' }));
  api.put('namespaces', { metadata: { name: 'bank' } });
  api.put('pods', pod('elsewhere', '10.0.9.3', { node: 'far', namespace: 'bank' }));
  api.put('policies', policy('p', [{ toEndpoints: [{ matchLabels: { app: 'db' } }] }]));
  const stage = new Stage(t, api);
  await stage.until(() => stage.objects !== null);
  t.strictSame(podNames(stage), ['db', 'other', 'web'], 'all of the namespace');
});

t.test('a prefix outside of the cluster needs no pods', async (t) => {
  const api = await server(t);
  api.put('pods', pod('far', '10.0.9.1', { node: 'far' }));
  api.put('policies', policy('p', [{ toCIDR: ['203.0.113.0/24'] }]));
  const stage = new Stage(t, api, { clusterCidrs: ['10.0.0.0/8', 'fd00::/8'] });
  await stage.started;
  t.strictSame(podNames(stage), ['web']);
});

t.test('backends of Services are never taken for the world where names are allowed', async (t) => {
  const api = await server(t);
  api.put('services', { metadata: { name: 'db', namespace: 'shop' }, spec: { selector: { app: 'db' }, ports: [{ port: 80 }] } });
  api.put('endpointSlices', { metadata: { name: 'db-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'db' } }, addressType: 'IPv4', endpoints: [{ addresses: ['10.0.9.9'] }], ports: [] });
  api.put('policies', policy('p', [{ toFQDNs: [{ matchPattern: '*' }] }]));
  const stage = new Stage(t, api);
  await stage.started;
  t.match(stage.objects!.pods, [{ addresses: ['10.0.9.9'], isOpaque: true }, { name: 'web' }]);
  const job = pod('job', '10.0.9.9');
  api.put('pods', { ...job, status: { ...(job.status as object), phase: 'Succeeded' } });
  await stage.until(() => podNames(stage).includes('job'));
  t.match(stage.objects!.pods, [{ addresses: ['10.0.9.9'], isOpaque: true }, { name: 'job' }, { name: 'web' }], 'nor where a pod that has ended had the address');
});

t.test('nothing is published before everything is listed; that there is nothing yet is told after a while', async (t) => {
  const api = await server(t);
  let isRefusing = true;
  api.onRequest = ({ pathname }) => (isRefusing && pathname.endsWith('networkpolicies') && !pathname.includes('cilium') ? { status: 403, body: 'no' } : null);
  const stage = new Stage(t, api);
  await stage.started;
  t.match(stage.published, [{ objects: null, isAway: true }]);
  t.match(stage.problems, [/API server http:.*: networkpolicies: error: forbidden: 403: no/, /not listed yet: networkpolicies/]);
  t.notOk(stage.source.counts.isSynced);
  isRefusing = false;
  await stage.until(() => stage.objects !== null && stage.problems.length === 0);
  t.ok(stage.source.counts.isSynced);
});

t.test('Cilium\'s kinds may be absent, slices older or Endpoints', async (t) => {
  const api = await server(t, ['policies', 'clusterwidePolicies', 'endpointSlices', 'endpointSlicesBeta']);
  api.put('endpoints', {
    metadata: { name: 'dns', namespace: 'shop' },
    subsets: [{ addresses: [{ ip: '10.0.0.1' }], notReadyAddresses: [{ ip: '10.0.0.2' }], ports: [{ name: 'dns', port: 53, protocol: 'UDP' }] }, { addresses: [{ ip: '10.0.0.3' }] }],
  });
  const stage = new Stage(t, api);
  await stage.until(() => stage.objects !== null);
  t.match(stage.objects!.endpointSlices, [{ name: 'dns', serviceName: 'dns', addresses: ['10.0.0.1', '10.0.0.2'], ports: [{ name: 'dns', port: 53 }] }, { name: 'dns-1', addresses: ['10.0.0.3'] }]);
  await stage.until(() => stage.problems.length === 2);
  t.match(stage.problems, [/ciliumnetworkpolicies: warning: this kind is not there/, /ciliumclusterwidenetworkpolicies: warning/]);
  t.notOk(stage.last?.isAway);
});

t.test('what says 404 to everything is no server without policies', async (t) => {
  const api = await server(t);
  api.onRequest = () => ({ status: 404 });
  const stage = new Stage(t, api);
  await stage.until(() => (stage.source.counts.errors.get('absent') ?? 0) >= 40);
  await stage.started;
  t.equal(stage.objects, null, 'the state of before stays');
  t.ok(stage.last?.isAway);
  t.ok(stage.problems.some((line) => line.includes('ciliumnetworkpolicies: error: absent')));
  api.onRequest = () => null;
  await stage.until(() => stage.objects !== null);
});

t.test('while the server is away its last word stays and is said to be old; when it is back, what happened is caught up soon', async (t) => {
  const api = await server(t);
  api.put('pods', pod('db', '10.0.9.1', { node: 'far' }));
  api.put('policies', policy('p', [{ toEndpoints: [{ matchLabels: { app: 'db' } }] }]));
  const stage = new Stage(t, api, { times: { ...FAST, backoffFirst: 60_000, backoffMax: 60_000 } });
  await stage.started;
  await stage.until(() => api.watches === 8);
  await api.stop();
  await stage.until(() => stage.last?.isAway === true);
  t.strictSame(podNames(stage), ['db', 'web']);
  t.match(stage.problems, [/API server http:\/\/127\.0\.0\.1:\d+: error: cannot be reached \(.*\); what is known stays in force$/]);
  api.delete('pods', 'shop/web');
  api.put('pods', pod('new', '10.0.0.1'));
  const begin = performance.now();
  await api.start();
  await stage.until(() => podNames(stage).includes('new'));
  t.ok(performance.now() - begin < 2_500, `${performance.now() - begin} ms`);
  await stage.until(() => stage.last?.isAway === false && stage.problems.length === 0);
  t.notOk(podNames(stage).includes('web'));
});
