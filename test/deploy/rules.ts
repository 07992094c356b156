/**
 * What holds for each object that deploy/kustomize renders, whatever the overlay: `complaintsAbout` says what does not. Each rule is one
 * line of a table, with its reason where that is not plain.
 */
import { type Container, type DaemonSet, isDaemonSet, type KubernetesObject, type PodSpec } from './objects.js';

export const CAPABILITIES: readonly string[] = ['NET_ADMIN', 'NET_RAW', 'NET_BIND_SERVICE', 'IPC_LOCK', 'SYS_NICE'];
export const MEMBERS = ['tandem-agent', 'tandem-dns-proxy'] as const;
/** What the drain takes: waiting for a peer, ending what is under way; in seconds. */
export const DRAIN_SECONDS_MAX = 13;
/** A crash at the start, and the first probe after it. */
const READY_SECONDS_MIN = 10;
const LABELS = ['app.kubernetes.io/name', 'app.kubernetes.io/component', 'app.kubernetes.io/part-of'];
const HTTP_PORT: Readonly<Record<string, number>> = { agent: 9964, 'dns-proxy': 9965 };

type Rule<T> = readonly [says: string, holds: (subject: T) => boolean];

const OF_ALL: readonly Rule<KubernetesObject>[] = [
  ['lacks a conventional label', ({ metadata }) => LABELS.every((label) => label === 'app.kubernetes.io/component' || (metadata.labels?.[label] ?? '') !== '')],
  ['is not part of tandem', ({ metadata }) => metadata.labels?.['app.kubernetes.io/part-of'] === 'tandem'],
  ['holds a Secret', ({ kind }) => kind !== 'Secret'],
];

const OF_DAEMON_SET: readonly Rule<DaemonSet>[] = [
  ['does not select its own pods', ({ spec }) => Object.entries(spec.selector.matchLabels).every(([key, value]) => spec.template.metadata.labels[key] === value)],
  ['has pods without component', ({ spec }) => LABELS.every((label) => (spec.template.metadata.labels[label] ?? '') !== '')],
  ['has an update strategy that no server takes', ({ spec: { updateStrategy } }) => isStrategy(updateStrategy)],
  ['names a port, which on the host network keeps a successor from the node', ({ spec }) => spec.template.spec.containers.every(({ ports }) => ports === undefined)],
];

const OF_MEMBER_SET: readonly Rule<DaemonSet>[] = [
  // On the host network old and new are probed at one address, and the old one answers until it has handed its HTTP socket over.
  ['takes a successor for ready by its predecessor\'s answers', ({ spec }) => (spec.minReadySeconds ?? 0) >= READY_SECONDS_MIN],
];

const OF_POD: readonly Rule<PodSpec>[] = [
  ['is not on the host network', ({ hostNetwork }) => hostNetwork],
  ['shares processes or memory with the host', ({ hostPID = false, hostIPC = false }) => !hostPID && !hostIPC],
  ['resolves through the cluster that it serves', ({ dnsPolicy }) => dnsPolicy === 'Default'],
  ['is not critical to its node', ({ priorityClassName }) => priorityClassName === 'system-node-critical'],
  ['does not tolerate every taint', ({ tolerations }) => tolerations.some(({ operator, key, effect }) => operator === 'Exists' && key === undefined && effect === undefined)],
  ['takes service links, which could be TANDEM_… settings', ({ enableServiceLinks }) => !enableServiceLinks],
];

const OF_MEMBER_POD: readonly Rule<PodSpec>[] = [
  ['is killed before it has drained', ({ terminationGracePeriodSeconds }) => terminationGracePeriodSeconds > DRAIN_SECONDS_MAX],
  ['has another container beside the member', ({ containers }) => containers.length === 1],
  ['does not share its run-dir', ({ volumes }) => volumes.some(({ name, hostPath }) => name === 'run-dir' && hostPath?.path === '/run/tandem' && hostPath.type === 'DirectoryOrCreate')],
  ['keeps no state', ({ volumes }) => volumes.some(({ name, hostPath }) => name === 'state-dir' && hostPath?.path.startsWith('/var/lib/tandem/') === true)],
  ['mounts more of the host', ({ volumes }) => volumes.every(({ name, hostPath }) => hostPath === undefined || name === 'run-dir' || name === 'state-dir')],
];

const OF_CONTAINER: readonly Rule<Container>[] = [
  ['has no image of a version', ({ image }) => /:(?!latest$)[\w.-]+$|@sha256:[0-9a-f]{64}$/.test(image)],
  ['is privileged', ({ securityContext: { privileged, allowPrivilegeEscalation } }) => !privileged && !allowPrivilegeEscalation],
  ['has a root file system that can be written', ({ securityContext }) => securityContext.readOnlyRootFilesystem],
  ['is not confined by seccomp', ({ securityContext }) => securityContext.seccompProfile.type === 'RuntimeDefault'],
  ['does not drop all capabilities first', ({ securityContext: { capabilities } }) => capabilities.drop.join() === 'ALL'],
  ['has a capability too many', ({ securityContext: { capabilities } }) => (capabilities.add ?? []).every((name) => CAPABILITIES.includes(name))],
  ['has no requests, or no limit on memory', ({ resources: { requests = {}, limits = {} } }) => ['cpu', 'memory'].every((key) => key in requests) && 'memory' in limits],
  ['is throttled', ({ resources }) => !('cpu' in (resources.limits ?? {}))],
];

const OF_MEMBER: readonly Rule<Container>[] = [
  ['has other capabilities than it needs', ({ securityContext: { capabilities } }) => [...(capabilities.add ?? [])].sort().join() === [...CAPABILITIES].sort().join()],
  ['is not root, as its peer is', ({ securityContext }) => securityContext.runAsUser === 0],
  ['does not know its node', ({ env = [] }) => env.some(({ name, valueFrom }) => name === 'TANDEM_NODE_NAME' && valueFrom?.fieldRef?.fieldPath === 'spec.nodeName')],
  ['is given no configuration file', ({ args = [] }) => args.join(' ') === '--config /etc/tandem/tandem.yaml'],
  ['has a readiness probe of another path or port', ({ name, readinessProbe }) => readinessProbe?.httpGet?.path === '/readyz' && readinessProbe.httpGet.port === HTTP_PORT[name]],
  // A member that waits for its policy is not ready, and must live on.
  ['could be killed while it waits for its policy', ({ name, startupProbe, livenessProbe }) => [startupProbe, livenessProbe].every((probe) => (
    probe?.httpGet?.path === '/healthz' && probe.httpGet.port === HTTP_PORT[name]
  ))],
  ['is probed at an address where it does not listen', ({ env = [], startupProbe, readinessProbe, livenessProbe }) => {
    const isOnNode = env.some(({ name, value }) => name === 'TANDEM_HTTP_LISTEN' && value?.startsWith('$(HOST_IP):') === true);
    return [startupProbe, readinessProbe, livenessProbe].every((probe) => probe?.httpGet?.host === (isOnNode ? undefined : '127.0.0.1'));
  }],
  ['has its state mounted elsewhere', ({ name, volumeMounts }) => volumeMounts.some((mount) => mount.name === 'state-dir' && mount.mountPath === `/var/lib/tandem/${name}`)],
];

/** One line each, with the object's name. */
export function complaintsAbout(object: KubernetesObject): string[] {
  const complaints = check(OF_ALL, object);
  if (isDaemonSet(object)) complaints.push(...complaintsOfDaemonSet(object));
  return complaints.map((says) => `${object.kind} ${object.metadata.name} ${says}`);
}

function complaintsOfDaemonSet(object: DaemonSet): string[] {
  const pod = object.spec.template.spec;
  const isMember = (MEMBERS as readonly string[]).includes(object.metadata.name);
  return [
    ...check(OF_DAEMON_SET, object),
    ...check(OF_POD, pod),
    ...(isMember ? [...check(OF_MEMBER_SET, object), ...check(OF_MEMBER_POD, pod)] : []),
    ...[...pod.containers, ...(pod.initContainers ?? [])].flatMap((container) => [...check(OF_CONTAINER, container), ...(isMember ? check(OF_MEMBER, container) : [])]),
  ];
}

function check<T>(rules: readonly Rule<T>[], subject: T): string[] {
  return rules.filter(([, holds]) => !holds(subject)).map(([says]) => says);
}

/** apps/v1 since 1.22: integers or percentages, not both 0. A server without maxSurge takes no maxUnavailable of 0. */
function isStrategy({ type, rollingUpdate }: DaemonSet['spec']['updateStrategy']): boolean {
  const { maxSurge = 0, maxUnavailable = 1, ...unknown } = rollingUpdate;
  const isAmount = (amount: number | string): boolean => (typeof amount === 'number' ? Number.isInteger(amount) && amount >= 0 : /^\d{1,3}%$/.test(amount));
  const isZero = (amount: number | string): boolean => Number.parseInt(String(amount), 10) === 0;
  if (type !== 'RollingUpdate' || Object.keys(unknown).length > 0 || !isAmount(maxSurge) || !isAmount(maxUnavailable)) return false;
  return isZero(maxSurge) !== isZero(maxUnavailable);
}
