/** What deploy/ has for a cluster, on a real API server: each object is taken, and docs/install.md can be followed word for word. */
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { installScript } from '../deploy/install-page.js';
import { render } from '../deploy/kubectl/kubectl.js';
import { type KubernetesObject, objectsOf } from '../deploy/objects.js';
import { run } from '../harness/child.js';
import { repositoryRoot } from '../harness/repository.js';
import { temporaryFolder } from '../harness/temporary.js';
import { Cluster } from './cluster/cluster.js';

const INSTALL_DEADLINE_MS = 240_000;
const CRDS = ['ciliumnetworkpolicies', 'ciliumclusterwidenetworkpolicies'].map((plural) => `crd/${plural}.cilium.io`);
/** This server does not know a DaemonSet's surge: test/deploy holds these fields against apps/v1. */
const COMPONENTS = ['no-surge', 'selinux', 'monitoring', 'critical-quota'];
const OVERLAYS = ['base', 'overlays/standalone', 'overlays/one-namespace', 'overlays/beside-cilium', 'overlays/clean'];

const folder = temporaryFolder('tandem-deploy-');
const cluster = await Cluster.start();
t.teardown(() => cluster.stop());

async function apply(objects: readonly KubernetesObject[], ...flags: string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  const path = join(folder, 'objects.yaml');
  writeFileSync(path, objects.map((object) => stringify(object)).join('---\n'));
  return cluster.kubectl('apply', '-f', path, ...flags);
}

t.test('the definitions are taken, and established', async (t) => {
  t.match(await apply(render('crds')), { code: 0 });
  t.match(await cluster.kubectl('wait', '--for=condition=Established', '--timeout=60s', ...CRDS), { code: 0 });
  for (const crd of CRDS) {
    const conditions = await cluster.kubectlOk('get', crd, '-o', 'jsonpath={range .status.conditions[*]}{.type}={.status} {end}');
    t.notMatch(conditions, /NonStructuralSchema/, crd);
    t.match(conditions, /NamesAccepted=True.*Established=True/, crd);
  }
});

t.test('a policy is kept as it was written, and its status can be written apart', async (t) => {
  const policy = {
    apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name: 'kept', namespace: 'default' },
    spec: { endpointSelector: {}, egress: [{ toFQDNs: [{ matchPattern: '*.example' }], toPorts: [{ ports: [{ port: '443', protocol: 'TCP' }] }] }] },
  };
  t.match(await apply([policy]), { code: 0 });
  const condition = { type: 'Valid', status: 'True', reason: 'Understood', message: 'enforced', lastTransitionTime: '2026-01-01T00:00:00Z', observedGeneration: 1 };
  const patched = await cluster.api.ask('PATCH', '/apis/cilium.io/v2/namespaces/default/ciliumnetworkpolicies/kept/status', { status: { conditions: [condition] } });
  t.equal(patched.status, 200);
  const kept = JSON.parse(await cluster.kubectlOk('get', 'cnp', 'kept', '-o', 'json')) as { spec: unknown; status: { conditions: unknown } };
  t.strictSame(kept.spec, policy.spec);
  t.strictSame(kept.status.conditions, [condition]);
  t.match(await cluster.kubectlOk('get', 'cnp', 'kept'), /VALID\s+kept\s.*True/s);
});

t.test('each example policy is taken', async (t) => {
  const folderOfExamples = join(repositoryRoot, 'examples/policies');
  const examples = readdirSync(folderOfExamples).filter((file) => file.endsWith('.yaml'))
    .map((file) => ({ file, policies: objectsOf(readFileSync(join(folderOfExamples, file), 'utf8')).filter(({ kind }) => kind.endsWith('NetworkPolicy')) }))
    .filter(({ policies }) => policies.length > 0);
  t.ok(examples.length > 10);
  const namespaces = new Set(examples.flatMap(({ policies }) => policies.map(({ metadata }) => metadata.namespace ?? 'default')));
  await cluster.apply(...[...namespaces].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })));
  for (const { file, policies } of examples) {
    // Without kubectl's own check: this server's NetworkPolicy has no endPort yet.
    const { code, output } = await apply(policies, '--dry-run=server', '--validate=false');
    t.equal(code, 0, `${file}: ${output.slice(-1_000)}`);
  }
});

t.test('each object of each overlay passes a dry run on the server', async (t) => {
  await cluster.kubectl('create', 'namespace', 'tandem-system');
  for (const overlay of OVERLAYS) {
    const objects = render(overlay, COMPONENTS).filter(({ apiVersion }) => !apiVersion.startsWith('monitoring.coreos.com/'));
    const { code, output } = await apply(objects, '--dry-run=server');
    t.equal(code, 0, `${overlay}: ${output.slice(-1_000)}`);
    for (const { kind, metadata } of objects) t.match(output, new RegExp(`^${kind.toLowerCase()}[./\\w]*/${metadata.name.replaceAll('.', '\\.')} .*\\(server dry run\\)$`, 'm'), `${overlay}: ${kind} ${metadata.name}`);
  }
});

t.test('a server that does not know the surge refuses it, so the component is needed there', async (t) => {
  const { code, output } = await apply(render('overlays/standalone').filter(({ kind }) => kind === 'DaemonSet'), '--dry-run=server', '--validate=false');
  t.not(code, 0);
  t.match(output, /maxUnavailable: .*cannot be 0/s);
});

t.test('docs/install.md can be followed word for word', { timeout: INSTALL_DEADLINE_MS }, async (t) => {
  await cluster.kubectlOk('delete', 'cnp', '--all');
  const here = join(folder, 'repository');
  cpSync(join(repositoryRoot, 'deploy'), join(here, 'deploy'), { recursive: true });
  const script = join(folder, 'install.sh');
  writeFileSync(script, installScript());
  const { code, output } = await run('env', ['-C', here, `KUBECONFIG=${cluster.kubeconfig}`, 'sh', script], INSTALL_DEADLINE_MS);
  t.equal(code, 0, output.slice(-4_000));
  for (const said of ['daemonset.apps/tandem-agent created', 'daemonset.apps/tandem-dns-proxy configured', 'ciliumnetworkpolicy.cilium.io/client created', 'daemonset.apps/tandem-clean created', 'namespace: shop']) {
    t.match(output, said);
  }
  t.equal(await cluster.kubectlOk('get', 'clusterroles', 'tandem-agent', '--ignore-not-found', '-o', 'name'), '', 'the uninstall leaves no role');
});
