/** DaemonSets of the two members as tests of the stand-in itself need them: explicit mode on loopback, policy from a folder. */
import { formatServer } from '../../harness/pair.js';
import type { Role } from '../../harness/pair.js';
import type { Server } from '../../harness/clients.js';
import { NODE_NAME } from '../../harness/manifests.js';

export const NAMESPACE = 'tandem-system';

export interface LoopbackOptions {
  readonly listen: Server;
  readonly upstream: Server;
  readonly http: Readonly<Record<Role, Server>>;
  readonly manifests: string;
  readonly tag: string;
}

export function daemonSet(role: Role, options: LoopbackOptions): object {
  const { address, port } = options.http[role];
  const probe = (path: string): object => ({ httpGet: { host: address, path, port }, periodSeconds: 1, timeoutSeconds: 2 });
  const labels = { 'app.kubernetes.io/name': `tandem-${role}` };
  return {
    apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: { name: `tandem-${role}`, namespace: NAMESPACE },
    spec: {
      selector: { matchLabels: labels },
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
      template: {
        metadata: { labels },
        spec: {
          hostNetwork: true, automountServiceAccountToken: false, terminationGracePeriodSeconds: 30,
          containers: [{
            name: role, image: `tandem-${role}:${options.tag}`,
            args: [
              '--config', '/etc/tandem/tandem.yaml', '--listen', formatServer(options.listen), '--upstream', formatServer(options.upstream),
              '--http-listen', formatServer(options.http[role]), ...(role === 'agent' ? ['--manifests', options.manifests] : []),
            ],
            env: [{ name: 'TANDEM_NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
            startupProbe: { ...probe('/healthz'), failureThreshold: 60 }, readinessProbe: probe('/readyz'),
            volumeMounts: [
              { name: 'configuration', mountPath: '/etc/tandem' }, { name: 'run-dir', mountPath: '/run/tandem' }, { name: 'state-dir', mountPath: `/var/lib/tandem/${role}` },
            ],
          }],
          volumes: [
            { name: 'configuration', configMap: { name: 'tandem' } }, { name: 'run-dir', hostPath: { path: '/run/tandem' } },
            { name: 'state-dir', hostPath: { path: `/var/lib/tandem/${role}` } },
          ],
        },
      },
    },
  };
}

/** What the DaemonSets stand on. */
export function base(): object[] {
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'tandem', namespace: NAMESPACE }, data: { 'tandem.yaml': 'state-dir: /var/lib/tandem/both\nlog-format: text\n' } },
  ];
}

export { NODE_NAME };
