/** What `kubectl kustomize` makes of each overlay and component. */
import t from 'tap';
import { readRepositoryFile } from '../../harness/repository.js';
import { type ConfigMap, type DaemonSet, isConfigMap, isDaemonSet, type KubernetesObject } from '../objects.js';
import { complaintsAbout } from '../rules.js';
import { render } from './kubectl.js';

const BASE = [
  'ClusterRole tandem-agent', 'ClusterRoleBinding tandem-agent', 'ConfigMap tandem-agent', 'ConfigMap tandem-dns-proxy', 'DaemonSet tandem-agent',
  'DaemonSet tandem-dns-proxy', 'Namespace tandem-system', 'ServiceAccount tandem-agent', 'ServiceAccount tandem-dns-proxy',
];
const CRDS = ['CustomResourceDefinition ciliumclusterwidenetworkpolicies.cilium.io', 'CustomResourceDefinition ciliumnetworkpolicies.cilium.io'];
const OVERLAYS: Readonly<Record<string, readonly string[]>> = {
  crds: CRDS,
  base: BASE,
  'overlays/standalone': [...BASE, ...CRDS],
  'overlays/one-namespace': [...BASE, ...CRDS, 'CiliumNetworkPolicy tandem-trace'],
  'overlays/beside-cilium': ['ConfigMap tandem-dns-proxy', 'DaemonSet tandem-dns-proxy', 'Namespace tandem-system', 'ServiceAccount tandem-dns-proxy'],
  'overlays/clean': ['DaemonSet tandem-clean', 'Namespace tandem-system'],
};
const COMPONENTS = ['openshift', 'selinux', 'monitoring', 'no-surge', 'critical-quota'];
const HASH = /-[a-z0-9]{10}$/;

const daemonSetsOf = (objects: readonly KubernetesObject[]): DaemonSet[] => objects.filter(isDaemonSet);
const configMapOf = (objects: readonly KubernetesObject[], name: string): ConfigMap => objects.filter(isConfigMap).find(({ metadata }) => metadata.name.startsWith(name))!;

for (const [overlay, expected] of Object.entries(OVERLAYS)) {
  t.test(`${overlay} renders to its objects, and each keeps the rules`, (t) => {
    const objects = render(overlay);
    const names = objects.map(({ kind, metadata }) => `${kind} ${kind === 'ConfigMap' ? metadata.name.replace(HASH, '') : metadata.name}`);
    t.strictSame(names.sort(), [...expected].sort());
    t.strictSame(objects.flatMap(complaintsAbout), []);
    t.end();
  });

  if (!expected.some((name) => name.startsWith('DaemonSet'))) continue;
  t.test(`${overlay} with every component keeps the rules`, (t) => {
    t.strictSame(render(overlay, COMPONENTS).flatMap(complaintsAbout), []);
    t.end();
  });
}

t.test('each DaemonSet mounts the configuration that is rendered with it', (t) => {
  for (const overlay of ['base', 'overlays/one-namespace', 'overlays/beside-cilium']) {
    const objects = render(overlay);
    for (const { metadata, spec } of daemonSetsOf(objects)) {
      const mounted = spec.template.spec.volumes.find(({ name }) => name === 'configuration')!.configMap!.name;
      t.match(mounted, HASH, 'a change of the configuration is rolled out');
      t.equal(configMapOf(objects, metadata.name).metadata.name, mounted, `${overlay}: ${metadata.name}`);
    }
  }
  t.end();
});

t.test('settings of an overlay are in its configuration', (t) => {
  const traced = render('overlays/one-namespace');
  for (const name of ['tandem-agent', 'tandem-dns-proxy']) t.match(configMapOf(traced, name).data['tandem.yaml'], /^policy-audit-mode: true$/m);
  t.match(configMapOf(render('overlays/beside-cilium'), 'tandem-dns-proxy').data['tandem.yaml'], /^cilium-agent: 127\.0\.0\.1:10095$/m);
  t.end();
});

t.test('the component selinux gives each pod the type spc_t, and nothing else', (t) => {
  const [plain, patched] = [[], ['selinux']].map((components) => daemonSetsOf(render('overlays/standalone', components)));
  t.equal(patched.length, 2);
  for (const { spec } of patched) t.strictSame(spec.template.spec.securityContext, { seLinuxOptions: { type: 'spc_t' } });
  t.strictSame(patched.map(({ spec }) => spec.template.spec.containers), plain.map(({ spec }) => spec.template.spec.containers));
  t.end();
});

t.test('the component openshift allows what the pods ask for, and no more', (t) => {
  const objects = render('overlays/standalone', ['openshift']);
  const allowed = objects.find(({ kind }) => kind === 'SecurityContextConstraints') as unknown as Readonly<Record<string, unknown>> | undefined;
  const sets = daemonSetsOf(objects);
  t.equal(sets.length, 2);
  t.strictSame(allowed?.users, sets.map(({ spec }) => `system:serviceaccount:tandem-system:${spec.template.spec.serviceAccountName}`));
  // A token is a projected volume that the API server adds.
  const volumes = new Set(sets.flatMap(({ spec }) => spec.template.spec.volumes.flatMap((volume) => Object.keys(volume).filter((key) => key !== 'name'))));
  t.strictSame(allowed?.volumes, [...volumes, 'projected'].sort());
  for (const { spec: { template: { spec } } } of sets) {
    const [{ securityContext, ports }] = spec.containers;
    t.strictSame(allowed?.allowedCapabilities, securityContext.capabilities.add);
    t.strictSame(
      [allowed?.allowHostNetwork, allowed?.allowHostPID, allowed?.allowHostIPC, allowed?.allowHostPorts],
      [spec.hostNetwork, spec.hostPID ?? false, spec.hostIPC ?? false, ports !== undefined],
    );
    t.strictSame(
      [allowed?.allowPrivilegedContainer, allowed?.allowPrivilegeEscalation, allowed?.readOnlyRootFilesystem],
      [securityContext.privileged, securityContext.allowPrivilegeEscalation, securityContext.readOnlyRootFilesystem],
    );
    t.strictSame(allowed?.runAsUser, { type: 'MustRunAs', uid: securityContext.runAsUser });
    t.strictSame(allowed?.seccompProfiles, [securityContext.seccompProfile.type.replace('RuntimeDefault', 'runtime/default')]);
    t.strictSame(spec.securityContext, { seLinuxOptions: { type: 'spc_t' } });
  }
  t.end();
});

t.test('the component critical-quota is for the class that every pod has', (t) => {
  for (const overlay of ['overlays/standalone', 'overlays/beside-cilium']) {
    const objects = render(overlay, ['critical-quota']);
    const classes = [...new Set(daemonSetsOf(objects).map(({ spec }) => spec.template.spec.priorityClassName))];
    t.match(objects.find(({ kind }) => kind === 'ResourceQuota'), {
      metadata: { namespace: 'tandem-system' }, spec: { scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In', values: classes }] } },
    });
  }
  t.end();
});

t.test('the component no-surge is taken by servers that do not know the surge', (t) => {
  for (const { spec } of daemonSetsOf(render('overlays/standalone', ['no-surge']))) t.strictSame(spec.updateStrategy, { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } });
  for (const { spec } of daemonSetsOf(render('overlays/standalone'))) t.strictSame(spec.updateStrategy, { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } });
  t.end();
});

t.test('the component monitoring adds monitor, rules and dashboard, and the members listen on their node', (t) => {
  const objects = render('overlays/standalone', ['monitoring']);
  t.strictSame(objects.filter(({ apiVersion }) => apiVersion.startsWith('monitoring.coreos.com/')).map(({ kind }) => kind).sort(), ['PodMonitor', 'PrometheusRule']);
  t.equal(configMapOf(objects, 'tandem-dashboard').data['tandem.json'], readRepositoryFile('deploy/dashboards/tandem.json'));
  for (const { metadata, spec } of daemonSetsOf(objects)) {
    const { env = [] } = spec.template.spec.containers[0];
    const [ip, listen] = ['HOST_IP', 'TANDEM_HTTP_LISTEN'].map((name) => env.findIndex((one) => one.name === name));
    t.ok(ip >= 0 && ip < listen, `${metadata.name}: a variable is defined before it is used`);
    t.equal(env[listen].value, `$(HOST_IP):${metadata.name === 'tandem-agent' ? '9964' : '9965'}`);
  }
  t.end();
});
