/** Policy by kubectl: how soon it is in force, what its status says, and what the agent may and may not do at the API server. */
import t from 'tap';
import { CLIENT_A, CLIENT_B, dnsPolicy } from '../harness/manifests.js';
import { until } from '../harness/until.js';
import { AgentStage, putPod, SERVICE_ACCOUNT } from './agent-stage.js';

const EDITS = 5;
/** Of the middle one of several edits; kubectl has returned by then, so the object was stored before. */
const IN_FORCE_MS = 1_000;
const DEADLINE_MS = 60_000;

const stage = await AgentStage.start(t);
const { cluster } = stage;

interface Policy {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message: string }[] };
}

async function validOf(name: string): Promise<{ readonly status: string; readonly message: string } | null> {
  const policy = await cluster.api.find<Policy>(`/apis/cilium.io/v2/namespaces/default/ciliumnetworkpolicies/${name}`);
  return policy?.status?.conditions?.find(({ type }) => type === 'Valid') ?? null;
}

t.test('what kubectl applies is in force on both members soon after', async (t) => {
  const figures: number[] = [];
  for (let edit = 0; edit < EDITS; edit++) {
    await cluster.apply(dnsPolicy('policy-a', { app: 'a' }, ['*.a.test', `edit${String(edit)}.test`]));
    figures.push(await stage.answered(CLIENT_A, `edit${String(edit)}.test`, 'NOERROR'));
  }
  figures.sort((a, b) => a - b);
  t.comment(`from kubectl's return to the verdict on both members: ${figures.map((ms) => ms.toFixed(0)).join(', ')} ms`);
  t.ok(figures[Math.floor(EDITS / 2)] <= IN_FORCE_MS, `the middle one within ${String(IN_FORCE_MS)} ms`);
  await cluster.kubectlOk('delete', 'cnp', 'policy-b');
  t.comment(`a policy that is deleted: ${(await stage.answered(CLIENT_B, 'free.test', 'NOERROR')).toFixed(0)} ms`);
  await cluster.apply(dnsPolicy('policy-b', { app: 'b' }, ['*.b.test']));
  t.comment(`one that is new: ${(await stage.answered(CLIENT_B, 'free.test', 'REFUSED')).toFixed(0)} ms`);
});

t.test('a pod that comes, one whose label changes, one that goes', async (t) => {
  const address = '127.0.1.7';
  await stage.answered(address, 'www.a.test', 'REFUSED');
  await putPod(cluster, { name: 'new', labels: { app: 'a' }, address });
  t.comment(`a new pod is known after ${(await stage.answered(address, 'www.a.test', 'NOERROR')).toFixed(0)} ms`);
  await cluster.kubectlOk('label', 'pod', 'new', 'app=b', '--overwrite');
  await stage.answered(address, 'www.a.test', 'REFUSED');
  t.strictSame([...await stage.rcodes(address, 'www.b.test')], ['NOERROR']);
  await cluster.kubectlOk('delete', 'pod', 'new', '--wait=false');
  await stage.answered(address, 'www.b.test', 'REFUSED');
});

t.test('a policy says in its status whether it is enforced, and why not; the others go on', async (t) => {
  t.equal((await until('the status of a good one', DEADLINE_MS, () => validOf('policy-a'))).status, 'True');
  await cluster.apply({
    apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name: 'broken', namespace: 'default' },
    spec: { endpointSelector: { matchLabels: { app: 'a' } }, egress: [{ toFQDNs: [{ matchPattern: 'no spaces.test' }] }] },
  });
  const valid = await until('the status of a bad one', DEADLINE_MS, () => validOf('broken'));
  t.equal(valid.status, 'False');
  t.match(valid.message, /toFQDNs/);
  t.comment(`it says: ${valid.message}`);
  t.strictSame([...await stage.rcodes(CLIENT_A, 'www.a.test')], ['NOERROR']);
  await cluster.apply(dnsPolicy('policy-a', { app: 'a' }, ['*.a.test', 'after.test']));
  await stage.answered(CLIENT_A, 'after.test', 'NOERROR');
  await cluster.kubectlOk('delete', 'cnp', 'broken');
});

t.test('the agent does all this with the rights of deploy/, nothing was forbidden, and it has no others', async (t) => {
  t.equal(await stage.sourceMetric('errors_total', 'forbidden'), 0);
  const who = `system:serviceaccount:${SERVICE_ACCOUNT.namespace}:${SERVICE_ACCOUNT.name}`;
  const may = async (verb: string, what: string, ...more: string[]): Promise<boolean> => (await cluster.kubectlBy(stage.kubeconfig, 'auth', 'can-i', verb, what, ...more)).code === 0;
  const watched = [
    'pods', 'namespaces', 'services', 'endpoints', 'nodes', 'endpointslices.discovery.k8s.io', 'networkpolicies.networking.k8s.io',
    'ciliumnetworkpolicies.cilium.io', 'ciliumclusterwidenetworkpolicies.cilium.io',
  ];
  for (const what of watched) {
    for (const verb of ['get', 'list', 'watch']) t.ok(await may(verb, what, '--all-namespaces'), `${who} may ${verb} ${what}`);
    for (const verb of ['create', 'update', 'patch', 'delete', 'deletecollection']) t.notOk(await may(verb, what, '--all-namespaces'), `and may not ${verb} them`);
  }
  for (const what of ['ciliumnetworkpolicies.cilium.io', 'ciliumclusterwidenetworkpolicies.cilium.io']) t.ok(await may('patch', what, '--subresource=status', '--all-namespaces'));
  const refused: readonly (readonly [string, string, ...string[]])[] = [
    ['get', 'secrets', '--all-namespaces'], ['list', 'secrets', '--all-namespaces'], ['get', 'configmaps', '--all-namespaces'], ['create', 'pods', '--subresource=exec', '--all-namespaces'],
    ['create', 'serviceaccounts', '--subresource=token', '--all-namespaces'], ['patch', 'nodes', '--subresource=status'], ['patch', 'pods', '--subresource=status', '--all-namespaces'],
    ['get', 'nodes', '--subresource=proxy'], ['escalate', 'clusterroles'], ['bind', 'clusterroles'], ['impersonate', 'users'], ['*', '*', '--all-namespaces'],
    ['update', 'daemonsets.apps', '-n', SERVICE_ACCOUNT.namespace],
  ];
  for (const [verb, what, ...more] of refused) t.notOk(await may(verb, what, ...more), `not ${verb} ${what} ${more.join(' ')}`);
});
