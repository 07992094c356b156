/**
 * A pod's workload by the labels and names that Kubernetes' own controllers give their pods: a snapshot carries labels, not owners.
 *
 * | Controller | What it leaves |
 * |---|---|
 * | Deployment, through a ReplicaSet | label pod-template-hash, name DEPLOYMENT-HASH-SUFFIX |
 * | StatefulSet | label statefulset.kubernetes.io/pod-name, name SET-ORDINAL |
 * | Job | label job-name, or batch.kubernetes.io/job-name |
 * | DaemonSet | labels pod-template-generation and controller-revision-hash, name SET-SUFFIX |
 *
 * A pod of none of these is its own workload, as in Hubble.
 */
import type { Workload } from '@tandem/proto';

const SOURCE = 'k8s:';

/** Null without a pod name. `labels`: `k8s:KEY=VALUE`. */
export function workloadOf(podName: string, labels: readonly string[]): Workload | null {
  if (podName === '') return null;
  const value = (key: string): string | null => {
    const start = `${SOURCE}${key}=`;
    return labels.find((label) => label.startsWith(start))?.slice(start.length) ?? null;
  };
  const hash = value('pod-template-hash');
  const ofDeployment = hash === null ? -1 : podName.lastIndexOf(`-${hash}-`);
  if (ofDeployment > 0) return { name: podName.slice(0, ofDeployment), kind: 'Deployment' };
  if (value('statefulset.kubernetes.io/pod-name') === podName) return { name: withoutSuffix(podName), kind: 'StatefulSet' };
  const job = value('batch.kubernetes.io/job-name') ?? value('job-name');
  if (job !== null) return { name: job, kind: 'Job' };
  if (value('pod-template-generation') !== null && value('controller-revision-hash') !== null) {
    return { name: withoutSuffix(podName), kind: 'DaemonSet' };
  }
  return { name: podName, kind: 'Pod' };
}

function withoutSuffix(podName: string): string {
  const at = podName.lastIndexOf('-');
  return at > 0 ? podName.slice(0, at) : podName;
}
