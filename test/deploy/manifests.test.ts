/** The files of deploy/kustomize, without kubectl: what each overlay makes of them is in kubectl/render.test.ts. */
import { join } from 'node:path';
import t from 'tap';
import { flagOf, SETTINGS } from '@tandem/core';
import { loadSettings } from '@tandem/host';
import { parse } from 'yaml';
import { readRepositoryFile, repositoryFiles, repositoryRoot } from '../harness/repository.js';
import { type DaemonSet, isClusterRole, isDaemonSet, objectsOf, permissionsOf } from './objects.js';
import { PROMETHEUS_RULE, PROMETHEUS_RULE_COMMAND, prometheusRule } from './prometheus-rule.js';
import { complaintsAbout } from './rules.js';
import { complaintsAboutRoot, complaintsAboutSchema, type CustomResourceDefinition } from './structural.js';

const KUSTOMIZE = 'deploy/kustomize';
/** What a member reads as --config. */
const SETTINGS_FILES = /\/(?:tandem|agent|dns-proxy)\.yaml$/;

const files = repositoryFiles(KUSTOMIZE).filter((path) => path.endsWith('.yaml'));
const objects = files.filter((path) => !SETTINGS_FILES.test(path) && !path.endsWith('kustomization.yaml') && !path.includes('/components/'))
  .flatMap((path) => objectsOf(readRepositoryFile(path)));
const daemonSets = objects.filter(isDaemonSet);

const READ = ['get', 'list', 'watch'];
const PERMISSIONS = [
  ...['pods', 'namespaces', 'services', 'endpoints', 'nodes', 'discovery.k8s.io/endpointslices', 'networking.k8s.io/networkpolicies',
    'cilium.io/ciliumnetworkpolicies', 'cilium.io/ciliumclusterwidenetworkpolicies'].flatMap((resource) => READ.map((verb) => `${resource} ${verb}`)),
  ...['ciliumnetworkpolicies', 'ciliumclusterwidenetworkpolicies'].map((plural) => `cilium.io/${plural}/status patch`),
].sort();

t.test('each object keeps the rules', (t) => {
  t.ok(objects.length >= 9, 'the objects are found');
  t.strictSame(daemonSets.map(({ metadata }) => metadata.name).sort(), ['tandem-agent', 'tandem-clean', 'tandem-dns-proxy']);
  t.strictSame(objects.flatMap(complaintsAbout), []);
  t.end();
});

t.test('the rules see what is wrong', (t) => {
  const good = daemonSets.find(({ metadata }) => metadata.name === 'tandem-agent')!;
  const broken = (change: (copy: Changeable) => void): string[] => {
    const copy = structuredClone(good) as unknown as Changeable;
    change(copy);
    return complaintsAbout(copy as unknown as DaemonSet);
  };
  const container = (change: (container: Record<string, unknown> & Changeable) => void) => broken(({ spec }) => { change(spec.template.spec.containers[0]); });
  t.match(container((one) => { one.image = 'tandem-agent:latest'; }), [/no image of a version/]);
  t.match(container((one) => { one.image = 'tandem-agent'; }), [/no image of a version/]);
  t.match(container((one) => { one.ports = [{ containerPort: 9964 }]; }), [/names a port/]);
  t.match(container((one) => { one.securityContext.capabilities.add.push('SYS_ADMIN'); }), [/a capability too many/, /has other capabilities/]);
  t.match(container((one) => { one.securityContext.runAsUser = 1000; }), [/is not root/]);
  t.match(container((one) => { one.livenessProbe.httpGet.path = '/readyz'; }), [/could be killed while it waits/]);
  t.match(container((one) => { one.resources.limits.cpu = '1'; }), [/is throttled/]);
  t.match(broken(({ spec }) => { spec.template.spec.dnsPolicy = 'ClusterFirstWithHostNet'; }), [/resolves through the cluster/]);
  t.match(broken(({ spec }) => { spec.template.spec.terminationGracePeriodSeconds = 10; }), [/killed before it has drained/]);
  t.match(broken(({ spec }) => { spec.updateStrategy.rollingUpdate.maxUnavailable = 1; }), [/update strategy/], 'a surge and an absence at once');
  t.match(broken(({ spec }) => { spec.updateStrategy.rollingUpdate.maxSurges = 1; }), [/update strategy/]);
  t.match(broken(({ spec }) => { spec.minReadySeconds = 0; }), [/its predecessor's answers/]);
  t.match(broken(({ spec }) => { spec.template.metadata.labels = {}; }), [/does not select/, /without component/]);
  t.end();
});

t.test('both members are the same user, with the same capabilities and grace', (t) => {
  const [agent, proxy] = ['tandem-agent', 'tandem-dns-proxy'].map((name) => daemonSets.find(({ metadata }) => metadata.name === name)!.spec.template.spec);
  t.strictSame(agent.containers[0].securityContext, proxy.containers[0].securityContext);
  t.equal(agent.terminationGracePeriodSeconds, proxy.terminationGracePeriodSeconds);
  t.ok(agent.automountServiceAccountToken, 'the agent has a token');
  t.notOk(proxy.automountServiceAccountToken, 'dns-proxy has none');
  t.end();
});

t.test('the agent may do what it does at the API server, and nothing else', (t) => {
  const roles = objects.filter(isClusterRole);
  t.strictSame(roles.map(({ metadata }) => metadata.name), ['tandem-agent']);
  t.strictSame(permissionsOf(roles[0]), PERMISSIONS);
  t.equal(objects.filter(({ kind }) => kind === 'Role' || kind === 'RoleBinding').length, 0);
  t.end();
});

t.test('the definitions of policies are structural, and open below spec', (t) => {
  const definitions = objects.filter(({ kind }) => kind === 'CustomResourceDefinition') as unknown as CustomResourceDefinition[];
  t.strictSame(definitions.map(({ metadata }) => metadata.name).sort(), ['ciliumclusterwidenetworkpolicies.cilium.io', 'ciliumnetworkpolicies.cilium.io']);
  for (const definition of definitions) {
    const { spec, metadata } = definition;
    t.equal(metadata.name, `${spec.names.plural}.${spec.group}`);
    t.equal(spec.scope, spec.names.kind === 'CiliumNetworkPolicy' ? 'Namespaced' : 'Cluster');
    t.strictSame(spec.versions.map(({ name, served, storage, subresources }) => ({ name, served, storage, subresources })), [{ name: 'v2', served: true, storage: true, subresources: { status: {} } }]);
    const schema = spec.versions[0].schema.openAPIV3Schema;
    t.strictSame([...complaintsAboutRoot(schema), ...complaintsAboutSchema(schema)], [], metadata.name);
    t.equal(schema.properties?.spec['x-kubernetes-preserve-unknown-fields'], true);
  }
  t.end();
});

t.test('the rule of structural schemas sees what is none', (t) => {
  t.match(complaintsAboutSchema({ type: 'object', properties: { a: {} } }), ['.a: has no type']);
  t.match(complaintsAboutRoot({ type: 'object', anyOf: [] }), ['anyOf is not allowed at the root beside a status']);
  t.match(complaintsAboutSchema({ type: 'array' }), [': has no items']);
  t.match(complaintsAboutSchema({ type: 'object', anyOf: [{ type: 'object' }] }), ['.anyOf[0]: type belongs outside']);
  t.end();
});

t.test('what is in a configuration file is a setting, written as its flag', (t) => {
  const known = SETTINGS.map((row) => flagOf(row).slice(2));
  const configurations = files.filter((path) => SETTINGS_FILES.test(path));
  t.equal(configurations.length, 5);
  for (const path of configurations) {
    const keys = Object.keys(parse(readRepositoryFile(path)) as object);
    t.ok(keys.length > 0, path);
    t.strictSame(keys.filter((key) => !known.includes(key)), [], path);
  }
  t.end();
});

t.test('each member takes its configuration in every overlay', (t) => {
  for (const path of files.filter((path) => SETTINGS_FILES.test(path))) {
    const loaded = loadSettings({ role: /\bagent\b/.test(path) ? 'agent' : 'dns-proxy', version: '0', argv: ['--config', join(repositoryRoot, path)], env: {} });
    t.equal(loaded.kind, 'settings', path);
  }
  t.end();
});

t.test('the settings of an overlay are those of the base and more', (t) => {
  for (const role of ['agent', 'dns-proxy']) {
    const base = parse(readRepositoryFile(join(KUSTOMIZE, 'base', role, 'tandem.yaml'))) as object;
    t.match(parse(readRepositoryFile(join(KUSTOMIZE, 'overlays/one-namespace', `${role}.yaml`))), base);
  }
  t.end();
});

t.test('the PrometheusRule has the rules of the rule file', (t) => {
  t.equal(readRepositoryFile(PROMETHEUS_RULE), prometheusRule(), `write it anew: ${PROMETHEUS_RULE_COMMAND}`);
  t.end();
});

t.test('the PodMonitor asks each member at its port, an IPv6 address in brackets', (t) => {
  const { spec } = parse(readRepositoryFile(join(KUSTOMIZE, 'components/monitoring/pod-monitor.yaml'))) as PodMonitor;
  const [{ relabelings }] = spec.podMetricsEndpoints;
  const addressOf = (role: string, ip: string): string | undefined => {
    const labels: Record<string, string> = { __meta_kubernetes_pod_label_app_kubernetes_io_component: role, __meta_kubernetes_pod_ip: ip, __address__: ip };
    for (const { sourceLabels, regex, targetLabel, replacement } of relabelings) {
      const text = sourceLabels.map((label) => labels[label]).join(';');
      const whole = new RegExp(`^(?:${regex})$`);
      if (whole.test(text)) labels[targetLabel] = text.replace(whole, replacement);
    }
    return labels.__address__;
  };
  for (const [role, port] of [['agent', '9964'], ['dns-proxy', '9965']]) {
    t.equal(addressOf(role, '192.0.2.5'), `192.0.2.5:${port}`);
    t.equal(addressOf(role, 'fd00::5'), `[fd00::5]:${port}`);
  }
  t.end();
});

interface PodMonitor {
  readonly spec: {
    readonly podMetricsEndpoints: readonly {
      readonly relabelings: readonly { readonly sourceLabels: readonly string[]; readonly regex: string; readonly targetLabel: string; readonly replacement: string }[];
    }[];
  };
}

/** A DaemonSet to break. */
interface Changeable {
  readonly spec: {
    minReadySeconds: number;
    readonly updateStrategy: { readonly rollingUpdate: Record<string, unknown> };
    readonly template: {
      readonly metadata: { labels: object };
      readonly spec: { dnsPolicy: string; terminationGracePeriodSeconds: number; readonly containers: readonly (Record<string, unknown> & Changeable)[] };
    };
  };
  readonly securityContext: { runAsUser: number; readonly capabilities: { readonly add: string[] } };
  readonly livenessProbe: { readonly httpGet: { path: string } };
  readonly resources: { readonly limits: Record<string, string> };
}
