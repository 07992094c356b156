/**
 * A cluster on this machine for experiments: the lab's nodes and pods in network namespaces, a real API server in the namespace of the network between
 * them, and the node stand-in, which makes processes of the DaemonSets in deploy/. Needs root; all of it ends with this process.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '#harness/repository.js';
import { until } from '#harness/until.js';
import { Cluster } from '#kubernetes/cluster/cluster.js';
import { program } from '#kubernetes/cluster/programs.js';
import { cutScripts } from '#kubernetes/cut.js';
import { LabObjects } from '#kubernetes/lab-objects.js';
import { memberObjects, NAMESPACE } from '#kubernetes/node/deploy.js';
import { imagesOf } from '#kubernetes/node/images.js';
import { StandIn } from '#kubernetes/node/stand-in.js';
import { Lab } from '#lab/topology/lab.js';
import { FRESH_NAMES, nodeAddress, nodeName, NODES, ROUTER } from '#lab/topology/plan.js';
import { namesPolicy } from '#lab/topology/policies.js';
import { builtVersion, named } from '../../lib/previous.js';
import type { Experiment } from './experiment.js';
import { Target } from './target.js';

const PROBE_POD = 'crawler';
/** All but the pod that asks, and DNS servers: nothing here would make another one elsewhere. */
const DRAINED = `app!=${PROBE_POD},k8s-app!=kube-dns`;
const ALLOWED = ['google.com', 'cilium.io', '*.fresh.k8s.intra'];
const PREVIOUS = 'previous';
/** That of the drills may be of a time before the agent knew the API. */
const PREVIOUS_NAMED = 'chaos/kubernetes/previous-version';
const READY_DEADLINE_MS = 120_000;
const LOG_SHOWN = 3_000;

export interface Site {
  readonly target: Target;
  /** What is worth knowing of a run that failed. */
  readonly tellMore: () => Promise<string>;
  readonly stop: () => Promise<void>;
}

/** The probe's pod is on the first of the nodes. */
export async function standInSite(experiment: Experiment, nodeCount: number): Promise<Site> {
  const nodes = NODES.slice(0, nodeCount);
  const other = experiment.needs?.includes('other-images') === true ? builtVersion(named(PREVIOUS_NAMED)).root : undefined;
  const lab = await Lab.held({ name: `k${String(process.pid)}`, wiring: 'veth', nfCall: 1, nodes, family: 4, scenarios: ['3'] });
  const stops: (() => Promise<unknown>)[] = [() => Lab.down(lab.options.name)];
  const stop = async (): Promise<void> => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    const prefix = ['ip', 'netns', 'exec', lab.internet];
    const cluster = await Cluster.start({ address: ROUTER.v4, prefix });
    stops.push(() => cluster.stop());
    await populate(cluster, lab);
    const hosts = nodes.map((node) => ({
      name: nodeName(node), address: nodeAddress(node).v4, folder: join(lab.folderOf(`node${String(node)}`), 'host'), prefix: ['ip', 'netns', 'exec', lab.node(node)],
    }));
    const standIn = await StandIn.start({ access: cluster.adminAccess, namespace: NAMESPACE, hosts, images: imagesOf({ '0.1.0': undefined, ...(other === undefined ? {} : { [PREVIOUS]: other }) }) });
    stops.push(() => standIn.stop());
    await cluster.apply(...memberObjects());
    const target = targetOf(cluster, lab, prefix);
    await connected(target);
    return { target, tellMore: () => Promise.resolve(`${standIn.problem ?? ''}\n${hosts.map(({ folder }) => logsOf(join(folder, 'logs'))).join('\n')}`), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The ends of what the members have said, the newest last. */
function logsOf(folder: string): string {
  return readdirSync(folder).map((file) => `--- ${file}\n${readFileSync(join(folder, file), 'utf8').slice(-LOG_SHOWN)}`).join('\n');
}

async function populate(cluster: Cluster, lab: Lab): Promise<void> {
  await cluster.kubectlOk('apply', '-k', join(repositoryRoot, 'deploy/kustomize/crds'));
  await cluster.kubectlOk('wait', '--for=condition=Established', '--timeout=60s', 'crd/ciliumnetworkpolicies.cilium.io');
  await new LabObjects(cluster.api, lab).tell();
  await cluster.apply(namesPolicy('crawler', { app: PROBE_POD }, { dns: ALLOWED, reachable: ALLOWED }));
  // Something for a drain to evict.
  await cluster.api.call('POST', '/api/v1/namespaces/lab/pods', {
    metadata: { name: 'bystander', labels: { app: 'bystander' } }, spec: { nodeName: nodeName(1), containers: [{ name: 'pod', image: 'pod:lab' }], terminationGracePeriodSeconds: 0 },
  });
}

function targetOf(cluster: Cluster, lab: Lab, prefix: readonly string[]): Target {
  const onNode = ['ip', 'netns', 'exec', lab.node(1)];
  const { off, on } = cutScripts(cluster);
  return new Target({
    kubectl: [...prefix, program('kubectl'), '--kubeconfig', cluster.kubeconfig, '--cache-dir', join(cluster.folder, 'discovery')],
    namespace: NAMESPACE, probe: ['ip', 'netns', 'exec', lab.namespace(PROBE_POD)], node: nodeName(1), drainSelector: DRAINED,
    names: { allowed: ['google.com', 'cilium.io'], fresh: { pattern: 'h#.fresh.k8s.intra', count: FRESH_NAMES }, denied: ['bbc.co.uk', 'cnn.com'] },
    cut: {
      off: [...onNode, 'sh', '-c', off], on: [...onNode, 'sh', '-c', on],
      reaches: [...onNode, 'curl', '-sk', '-m', '3', '-o', '/dev/null', `${cluster.url}/readyz`],
    },
    otherImages: { agent: `tandem-agent:${PREVIOUS}`, 'dns-proxy': `tandem-dns-proxy:${PREVIOUS}` },
  });
}

/** Policy has come to both nodes: what may be connected to is, what may not is not. */
async function connected(target: Target): Promise<void> {
  await until('the policy to be enforced', READY_DEADLINE_MS, async () => (await target.connects('google.com') && !(await target.connects('bbc.co.uk')) ? true : null));
}
