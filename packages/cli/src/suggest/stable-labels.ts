/** Which labels of a pod are its workload's: those that policy can go by tomorrow, too. */

const SOURCE = 'k8s:';
const NAMESPACE_KEY = 'io.kubernetes.pod.namespace';
/** What Cilium adds to every pod's labels: not written on the pod, so no policy has to speak of it. */
const ADDED = /^io\.(?:kubernetes|cilium)\./;
/** What a controller writes on each pod anew: another pod of the workload, or its next version, has another value. */
const FLEETING: readonly string[] = [
  'pod-template-hash', 'pod-template-generation', 'controller-revision-hash', 'controller-uid', 'job-name', 'statefulset.kubernetes.io/pod-name',
  'apps.kubernetes.io/pod-index', 'batch.kubernetes.io/controller-uid', 'batch.kubernetes.io/job-name', 'batch.kubernetes.io/job-completion-index',
];

export type Labels = Readonly<Record<string, string>>;

/** `labels` are `SOURCE:KEY=VALUE` texts, as flows have them; the result is in the order of keys. */
export function stableLabels(labels: readonly string[]): Labels {
  const kept = labels.flatMap((label) => {
    const [key, value] = keyAndValue(label);
    return key === null || ADDED.test(key) || FLEETING.includes(key) ? [] : [[key, value] as const];
  });
  return Object.fromEntries(kept.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Of the pod; null: it is no pod. */
export function namespaceOf(labels: readonly string[]): string | null {
  for (const label of labels) {
    const [key, value] = keyAndValue(label);
    if (key === NAMESPACE_KEY) return value;
  }
  return null;
}

/** `reserved:world` → `world`. */
export function reservedOf(labels: readonly string[]): readonly string[] {
  return labels.filter((label) => label.startsWith('reserved:')).map((label) => label.slice('reserved:'.length).replace(/=$/, ''));
}

/** Null key: of another source than Kubernetes. */
function keyAndValue(label: string): readonly [key: string | null, value: string] {
  if (!label.startsWith(SOURCE)) return [null, ''];
  const text = label.slice(SOURCE.length);
  const equals = text.indexOf('=');
  return equals === -1 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
}
