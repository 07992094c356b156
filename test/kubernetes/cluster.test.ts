/** The cluster that the other tests stand on: it starts, keeps its state over restarts, gives tokens, and forgets on request. */
import t from 'tap';
import { repositoryRoot } from '../harness/repository.js';
import { until } from '../harness/until.js';
import type { ApiObject } from './cluster/api.js';
import { Cluster } from './cluster/cluster.js';
import { SERVER_VERSION } from './cluster/programs.js';

const CRDS = `${repositoryRoot}/deploy/kustomize/crds`;
const DEADLINE_MS = 30_000;

let cluster: Cluster;
t.before(async () => {
  cluster = await Cluster.start();
});
t.teardown(() => cluster.stop());

t.test('it is a Kubernetes API, spoken to by kubectl and by requests', async (t) => {
  const version = JSON.parse(await cluster.kubectlOk('version', '-o', 'json')) as { readonly serverVersion: { readonly gitVersion: string } };
  t.equal(version.serverVersion.gitVersion, `v${SERVER_VERSION}`);
  await cluster.apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'one', namespace: 'default' }, data: { key: 'value' } });
  const found = await cluster.api.find<ApiObject & { data: object }>('/api/v1/namespaces/default/configmaps/one');
  t.strictSame(found?.data, { key: 'value' });
  t.equal(await cluster.api.find('/api/v1/namespaces/default/configmaps/none'), null);
  await t.rejects(cluster.api.call('POST', '/api/v1/namespaces/default/configmaps', {}), /HTTP 422/, 'what it refuses is an error');
});

t.test('policies of the kinds in deploy/ are taken, and have a status of their own', async (t) => {
  await cluster.kubectlOk('apply', '-k', CRDS);
  await cluster.kubectlOk('wait', '--for=condition=Established', '--timeout=30s', 'crd/ciliumnetworkpolicies.cilium.io', 'crd/ciliumclusterwidenetworkpolicies.cilium.io');
  const policy = { apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name: 'p', namespace: 'default' }, spec: { endpointSelector: {}, egress: [{}] } };
  await cluster.apply(policy);
  const path = '/apis/cilium.io/v2/namespaces/default/ciliumnetworkpolicies/p';
  const before = await cluster.api.call('GET', path);
  await cluster.api.call('PATCH', `${path}/status`, { status: { conditions: [{ type: 'Valid', status: 'True' }] } });
  const after = await cluster.api.call<ApiObject & { status: object; spec: object }>('GET', path);
  t.equal(after.metadata.generation, before.metadata.generation, 'a status is no new generation');
  t.strictSame(after.status, { conditions: [{ type: 'Valid', status: 'True' }] });
  t.strictSame(after.spec, policy.spec, 'and the spec is kept as it was given');
});

t.test('a ServiceAccount is who its token says, and may do what it was given', async (t) => {
  await cluster.apply(
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'reader', namespace: 'default' } },
    { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata: { name: 'reader', namespace: 'default' }, rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }] },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'RoleBinding', metadata: { name: 'reader', namespace: 'default' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' }, subjects: [{ kind: 'ServiceAccount', name: 'reader', namespace: 'default' }],
    },
  );
  const kubeconfig = await cluster.kubeconfigOf('default', 'reader');
  const listed = await cluster.kubectlBy(kubeconfig, 'get', 'pods', '-n', 'default');
  t.equal(listed.code, 0, listed.output);
  const refused = await cluster.kubectlBy(kubeconfig, 'get', 'secrets', '-n', 'default');
  t.not(refused.code, 0);
  t.match(refused.output, 'system:serviceaccount:default:reader');
});

t.test('killed, hung and restarted, it has what it had', async (t) => {
  const path = '/api/v1/namespaces/default/configmaps';
  await cluster.api.call('POST', path, { metadata: { name: 'kept' } });
  await cluster.killServer();
  await t.rejects(cluster.api.ask('GET', '/readyz'), 'nobody there');
  await cluster.startServer();
  t.not(await cluster.api.find(`${path}/kept`), null);
  await cluster.hangServer();
  await t.rejects(cluster.api.ask('GET', '/readyz', undefined, 500), 'no answer');
  cluster.resumeServer();
  t.not(await cluster.api.find(`${path}/kept`), null);
  await cluster.etcd.stop();
  await cluster.etcd.start();
  await until('etcd behind it again', DEADLINE_MS, async () => ((await cluster.api.find(`${path}/kept`)) === null ? null : true));
});

t.test('compacted, it says 410 to who goes on from before', async (t) => {
  const path = '/api/v1/namespaces/default/configmaps';
  for (let index = 0; index < 5; index++) await cluster.api.call('POST', path, { metadata: { name: `many-${String(index)}` } });
  const page = await cluster.api.call<{ metadata: { continue: string; resourceVersion: string } }>('GET', `${path}?limit=2`);
  await cluster.api.call('POST', path, { metadata: { name: 'later' } });
  await cluster.compact();
  const next = await cluster.api.ask('GET', `${path}?limit=2&continue=${encodeURIComponent(page.metadata.continue)}`);
  t.equal(next.status, 410, 'to the next page of a list');
  await cluster.killServer();
  await cluster.startServer();
  const { body } = await cluster.api.ask('GET', `${path}?watch=1&timeoutSeconds=1&resourceVersion=${page.metadata.resourceVersion}`);
  t.match(JSON.stringify(body), '"code":410', 'to a watch, after a restart');
});
