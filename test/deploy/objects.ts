/** Objects of deploy/kustomize, read from a text. Knows the few fields that rules look at, and nothing of a server. */
import { parseAllDocuments } from 'yaml';

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Labels };
}

export type Labels = Readonly<Record<string, string>>;

export interface Probe {
  readonly httpGet?: { readonly host?: string; readonly path: string; readonly port: number };
  readonly periodSeconds: number;
  readonly timeoutSeconds: number;
  readonly failureThreshold: number;
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly command?: readonly string[];
  readonly ports?: readonly unknown[];
  readonly env?: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: { readonly fieldRef?: { readonly fieldPath: string } } }[];
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly resources: { readonly requests?: Labels; readonly limits?: Labels };
  readonly securityContext: {
    readonly runAsUser: number;
    readonly privileged: boolean;
    readonly allowPrivilegeEscalation: boolean;
    readonly readOnlyRootFilesystem: boolean;
    readonly seccompProfile: { readonly type: string };
    readonly capabilities: { readonly drop: readonly string[]; readonly add?: readonly string[] };
  };
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
}

export interface PodSpec {
  readonly serviceAccountName: string;
  readonly automountServiceAccountToken: boolean;
  readonly enableServiceLinks: boolean;
  readonly hostNetwork: boolean;
  readonly hostPID?: boolean;
  readonly hostIPC?: boolean;
  readonly dnsPolicy: string;
  readonly priorityClassName: string;
  readonly tolerations: readonly { readonly operator: string; readonly key?: string; readonly effect?: string }[];
  readonly terminationGracePeriodSeconds: number;
  readonly securityContext?: { readonly seLinuxOptions?: { readonly type: string } };
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes: readonly {
    readonly name: string;
    readonly hostPath?: { readonly path: string; readonly type: string };
    readonly configMap?: { readonly name: string };
  }[];
}

export interface DaemonSet extends KubernetesObject {
  readonly kind: 'DaemonSet';
  readonly spec: {
    readonly selector: { readonly matchLabels: Labels };
    readonly minReadySeconds?: number;
    readonly updateStrategy: { readonly type: string; readonly rollingUpdate: Readonly<Record<string, number | string>> };
    readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: PodSpec };
  };
}

export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

export interface ClusterRole extends KubernetesObject {
  readonly kind: 'ClusterRole';
  readonly rules: readonly PolicyRule[];
}

export interface ConfigMap extends KubernetesObject {
  readonly kind: 'ConfigMap';
  readonly data: Readonly<Record<string, string>>;
}

/** @throws Error with what the YAML complains of. */
export function objectsOf(text: string): KubernetesObject[] {
  return parseAllDocuments(text).flatMap((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    const object = document.toJS() as KubernetesObject | null;
    return object === null ? [] : [object];
  });
}

export function isDaemonSet(object: KubernetesObject): object is DaemonSet {
  return object.kind === 'DaemonSet';
}

export function isClusterRole(object: KubernetesObject): object is ClusterRole {
  return object.kind === 'ClusterRole';
}

export function isConfigMap(object: KubernetesObject): object is ConfigMap {
  return object.kind === 'ConfigMap';
}

/** `pods get`, one for each thing that the role allows. */
export function permissionsOf(role: ClusterRole): string[] {
  return role.rules.flatMap(({ apiGroups, resources, verbs }) => apiGroups.flatMap((group) => resources.flatMap((resource) => (
    verbs.map((verb) => `${group === '' ? '' : `${group}/`}${resource} ${verb}`)
  )))).sort();
}
