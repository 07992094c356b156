/**
 * Cilium's endpoint selectors over label sets. A label has a source (`k8s`, `reserved`, …), a key and a value; a selector's
 * key may name the source (`k8s:app`), or any source (`any:app`, or no prefix).
 *
 * Invariant: all requirements must hold; a selector without requirements selects everything. What confines a policy to its
 * namespace is added here as one more requirement, as in Cilium's pkg/k8s/apis/cilium.io/utils.
 * Does not know: pods, identities, policies.
 */
import type { LabelOperator, LabelSelector, Labels } from './objects.js';

export const POD_NAMESPACE_LABEL = 'io.kubernetes.pod.namespace';
export const NAMESPACE_LABELS_PREFIX = 'io.cilium.k8s.namespace.labels.';
export const SERVICE_ACCOUNT_LABEL = 'io.cilium.k8s.policy.serviceaccount';
export const CLUSTER_LABEL = 'io.cilium.k8s.policy.cluster';
/** Cilium's name for a cluster that has none. */
const DEFAULT_CLUSTER = 'default';
const DEFAULT_SERVICE_ACCOUNT = 'default';
/** Kubernetes gives it to every namespace itself. */
const NAMESPACE_NAME_LABEL = 'kubernetes.io/metadata.name';
const ANY = 'any';
export const K8S = 'k8s';
const RESERVED = 'reserved';

export interface Requirement {
  /** `any` matches every source. */
  readonly source: string;
  readonly key: string;
  readonly operator: LabelOperator;
  /** Empty for Exists and DoesNotExist. */
  readonly values: readonly string[];
}

/** Labels of one identity, ready for look-ups. */
export class LabelSet {
  /** `source:key=value`, sorted by code unit, without doubles. */
  readonly texts: readonly string[];
  /** By `source:key`, and by `any:key` (the first source wins, in the order of the texts). */
  private readonly values = new Map<string, string>();

  constructor(texts: Iterable<string>) {
    this.texts = [...new Set(texts)].sort();
    for (const text of this.texts) {
      const { source, key, value } = splitLabel(text);
      this.values.set(`${source}:${key}`, value);
      if (!this.values.has(`${ANY}:${key}`)) this.values.set(`${ANY}:${key}`, value);
    }
  }

  get(source: string, key: string): string | null {
    return this.values.get(`${source}:${key}`) ?? null;
  }
}

export function splitLabel(text: string): { source: string; key: string; value: string } {
  const { source, key } = splitKey(text);
  const equals = key.indexOf('=');
  return equals < 0 ? { source, key, value: '' } : { source, key: key.slice(0, equals), value: key.slice(equals + 1) };
}

/** Labels that Cilium gives a pod: its own, its namespace's, its service account and its cluster. */
export function podLabels(
  pod: { readonly namespace: string; readonly labels: Labels; readonly serviceAccount: string | null },
  namespaceLabels: Labels,
): LabelSet {
  const texts = Object.entries(pod.labels).map(([key, value]) => `${K8S}:${key}=${value}`);
  const ofNamespace: Labels = { [NAMESPACE_NAME_LABEL]: pod.namespace, ...namespaceLabels };
  for (const [key, value] of Object.entries(ofNamespace)) texts.push(`${K8S}:${NAMESPACE_LABELS_PREFIX}${key}=${value}`);
  texts.push(
    `${K8S}:${POD_NAMESPACE_LABEL}=${pod.namespace}`,
    `${K8S}:${SERVICE_ACCOUNT_LABEL}=${pod.serviceAccount ?? DEFAULT_SERVICE_ACCOUNT}`,
    `${K8S}:${CLUSTER_LABEL}=${DEFAULT_CLUSTER}`,
  );
  return new LabelSet(texts);
}

export function matchesAll(requirements: readonly Requirement[], labels: LabelSet): boolean {
  return requirements.every((requirement) => matches(requirement, labels));
}

/** As in Kubernetes: NotIn also holds where the key is absent. */
function matches({ source, key, operator, values }: Requirement, labels: LabelSet): boolean {
  const value = labels.get(source, key);
  switch (operator) {
    case 'In':
      return value !== null && values.includes(value);
    case 'NotIn':
      return value === null || !values.includes(value);
    case 'Exists':
      return value !== null;
    case 'DoesNotExist':
      return value === null;
  }
}

/** The selector as written, confined to nothing. */
export function requirementsOf(selector: LabelSelector): Requirement[] {
  const requirements: Requirement[] = [];
  for (const [key, value] of Object.entries(selector.matchLabels)) {
    requirements.push({ ...splitKey(key), operator: 'In', values: [value] });
  }
  for (const { key, operator, values } of selector.matchExpressions) {
    requirements.push({ ...splitKey(key), operator, values });
  }
  return requirements;
}

/** `spec.endpointSelector`: a namespaced policy selects in its own namespace only, whatever else is written. */
export function subjectRequirements(selector: LabelSelector, policyNamespace: string): Requirement[] {
  const { matchLabels, matchExpressions } = selector;
  if (policyNamespace === '') return requirementsOf(selector);
  // As in Cilium, the policy's namespace replaces one written with the k8s prefix under matchLabels.
  const kept = Object.entries(matchLabels).filter(([key]) => key !== `${K8S}:${POD_NAMESPACE_LABEL}`);
  return [
    ...requirementsOf({ matchLabels: Object.fromEntries(kept), matchExpressions }),
    { source: K8S, key: POD_NAMESPACE_LABEL, operator: 'In', values: [policyNamespace] },
  ];
}

/**
 * One selector of `toEndpoints`. Without a word on namespaces it means the policy's own namespace; in a clusterwide
 * policy, all pods (whatever has a namespace). Reserved labels lift the confinement.
 */
export function peerRequirements(
  selector: LabelSelector,
  policyNamespace: string,
  subject: LabelSelector,
): Requirement[] {
  const requirements = requirementsOf(selector);
  if (requirements.some(({ source }) => source === RESERVED)) return requirements;
  const own = requirements.filter(({ source }) => source === K8S || source === ANY);
  if (own.some(({ key }) => key === POD_NAMESPACE_LABEL)) return requirements;
  if (policyNamespace === '') {
    if (requirementsOf(subject).some(({ source, key }) => source === RESERVED && key === 'init')) return requirements;
    return [...requirements, { source: K8S, key: POD_NAMESPACE_LABEL, operator: 'Exists', values: [] }];
  }
  if (own.some(({ key }) => key.startsWith(NAMESPACE_LABELS_PREFIX))) return requirements;
  return [...requirements, { source: K8S, key: POD_NAMESPACE_LABEL, operator: 'In', values: [policyNamespace] }];
}

function splitKey(text: string): { source: string; key: string } {
  const colon = text.indexOf(':');
  return colon < 0 ? { source: ANY, key: text } : { source: text.slice(0, colon), key: text.slice(colon + 1) };
}
