/**
 * Stands in for what a cluster has besides its API server, as far as DaemonSets need it: their controller, the scheduler, and a kubelet for each
 * node. One namespace; its pods are all made here. ControllerRevisions are not: `kubectl rollout undo` has nothing to go back to.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Api } from '../cluster/api.js';
import type { Access } from '../cluster/kubeconfig.js';
import type { Host, Image } from './container.js';
import { Kubelet } from './kubelet.js';
import type { DaemonSet, ListOf, Pod } from './objects.js';
import { HASH_LABEL, nextSteps, statusOf, templateHash } from './rollout.js';

/** A controller is told of changes; asking so often is near enough. */
const EVERY_MS = 200;
const NAME_SUFFIX_BYTES = 3;

export interface StandInOptions {
  /** As cluster-admin. */
  readonly access: Access;
  /** Of the DaemonSets. */
  readonly namespace: string;
  readonly hosts: readonly Host[];
  readonly images: ReadonlyMap<string, Image>;
}

export class StandIn {
  private readonly options: StandInOptions;
  private readonly api: Api;
  private readonly kubelets: readonly Kubelet[];
  private isRunning = true;
  private done: Promise<void> = Promise.resolve();
  /** Why the last look at the API failed; null: it did not. */
  problem: string | null = null;

  private constructor(options: StandInOptions) {
    this.options = options;
    this.api = new Api(options.access);
    const access = (token: string): Access => ({ ...options.access, token });
    this.kubelets = options.hosts.map((host) => new Kubelet({ api: this.api, host, images: options.images, access }));
  }

  /** Its nodes are registered. */
  static async start(options: StandInOptions): Promise<StandIn> {
    const standIn = new StandIn(options);
    for (const host of options.hosts) await standIn.register(host);
    standIn.done = Promise.all([standIn.follow(), standIn.tick()]).then(() => undefined);
    return standIn;
  }

  private async register({ name, address }: Host): Promise<void> {
    const path = '/api/v1/nodes';
    if (await this.api.find(`${path}/${name}`) === null) await this.api.call('POST', path, { metadata: { name, labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' } } });
    await this.api.call('PATCH', `${path}/${name}/status`, {
      status: { addresses: [{ type: 'InternalIP', address }, { type: 'Hostname', address: name }], conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady' }] },
    });
  }

  private async follow(): Promise<void> {
    while (this.isRunning) {
      try {
        await this.look();
        this.problem = null;
      } catch (error) {
        this.problem = error instanceof Error ? error.message : String(error); // the API is away, or has changed under us: the next look sees
      }
      await pause(EVERY_MS);
    }
  }

  private async tick(): Promise<void> {
    while (this.isRunning) {
      for (const kubelet of this.kubelets) kubelet.tick();
      await pause(EVERY_MS);
    }
  }

  private async look(): Promise<void> {
    const { namespace, hosts } = this.options;
    const podsPath = `/api/v1/namespaces/${namespace}/pods`;
    const { items: sets } = await this.api.call<ListOf<DaemonSet>>('GET', `/apis/apps/v1/namespaces/${namespace}/daemonsets`);
    const { items: pods } = await this.api.call<ListOf<Pod>>('GET', podsPath);
    const nodes = hosts.map(({ name }) => name);
    for (const set of sets) {
      const { create, remove } = nextSteps(set, pods, nodes, Date.now());
      for (const name of remove) await this.api.ask('DELETE', `${podsPath}/${name}`);
      for (const node of create) await this.api.call('POST', podsPath, podFrom(set, node));
      const status = statusOf(set, pods, nodes, Date.now());
      const isSaid = Object.entries(status).every(([field, value]) => ((set.status as Record<string, unknown> | undefined)?.[field] ?? 0) === value);
      if (!isSaid) await this.api.call('PATCH', `/apis/apps/v1/namespaces/${namespace}/daemonsets/${set.metadata.name}/status`, { status });
    }
    await Promise.all(this.kubelets.map((kubelet) => kubelet.sync(pods)));
  }

  /** All that it started is ended. */
  async stop(): Promise<void> {
    this.isRunning = false;
    await Promise.all(this.kubelets.map((kubelet) => kubelet.stop()));
    await this.done;
    this.api.close();
  }
}

function podFrom(set: DaemonSet, node: string): object {
  const { metadata, spec } = set.spec.template;
  return {
    apiVersion: 'v1', kind: 'Pod',
    metadata: {
      name: `${set.metadata.name}-${randomBytes(NAME_SUFFIX_BYTES).toString('hex')}`,
      labels: { ...metadata?.labels, [HASH_LABEL]: templateHash(set) }, annotations: metadata?.annotations ?? {},
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'DaemonSet', name: set.metadata.name, uid: set.metadata.uid, controller: true, blockOwnerDeletion: true }],
    },
    spec: { ...spec, nodeName: node },
  };
}
