/**
 * What a kubelet does for the pods of one node: starts their containers, says how they are, ends them. One that is ending is gone from the API
 * only when its processes are. While the API is away, what runs goes on.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Api } from '../cluster/api.js';
import { writeKubeconfig } from '../cluster/kubeconfig.js';
import type { Access } from '../cluster/kubeconfig.js';
import { configMapsOf, launchOf, unsupported } from './container.js';
import type { Host, Image } from './container.js';
import type { Pod } from './objects.js';
import { Running } from './running.js';

const GRACE_SECONDS = 30;
const MS_PER_SECOND = 1_000;
const TOKEN_SECONDS = 7_200;

export interface KubeletOptions {
  readonly api: Api;
  readonly host: Host;
  /** By name with tag; one that is not here cannot be pulled. */
  readonly images: ReadonlyMap<string, Image>;
  /** As whoever has this token. */
  readonly access: (token: string) => Access;
}

interface Held {
  pod: Pod;
  /** Empty until its containers can be started. */
  containers: Running[];
  /** Why it cannot be started. */
  problem: string | null;
  isEnding: boolean;
  /** As last said. */
  said: string;
  wasReady: boolean;
  /** When it became ready, or ceased to be. */
  readyChanged: string;
  readonly startTime: string;
}

export class Kubelet {
  private readonly options: KubeletOptions;
  private readonly held = new Map<string, Held>();

  constructor(options: KubeletOptions) {
    this.options = options;
    mkdirSync(join(options.host.folder, 'logs'), { recursive: true });
  }

  /** Brings the node's pods to what the API says. @throws Error when the API cannot be spoken to; another time will do. */
  async sync(pods: readonly Pod[]): Promise<void> {
    for (const pod of pods) {
      if (pod.spec.nodeName !== this.options.host.name) continue;
      const held = this.held.get(pod.metadata.uid) ?? this.admitted(pod);
      held.pod = pod;
      if (pod.metadata.deletionTimestamp !== undefined && !held.isEnding) void this.end(held, (pod.metadata.deletionGracePeriodSeconds ?? GRACE_SECONDS) * MS_PER_SECOND);
      if (held.containers.length === 0 && !held.isEnding) await this.start(held);
    }
    // Gone from the API without a word: deleted by force.
    const there = new Set(pods.map(({ metadata }) => metadata.uid));
    for (const [uid, held] of this.held) if (!there.has(uid) && !held.isEnding) void this.end(held, 0);
    await Promise.all([...this.held.values()].map((held) => this.sayStatus(held)));
  }

  /** Starts again what has ended, and probes. Needs no API. */
  tick(): void {
    const now = performance.now();
    for (const { containers } of this.held.values()) for (const one of containers) one.tick(now);
  }

  private admitted(pod: Pod): Held {
    const now = new Date().toISOString();
    const held: Held = { pod, containers: [], problem: unsupported(pod), isEnding: false, said: '', wasReady: false, readyChanged: now, startTime: now };
    this.held.set(pod.metadata.uid, held);
    return held;
  }

  private async start(held: Held): Promise<void> {
    const { pod } = held;
    if (unsupported(pod) !== null) return;
    const missing = pod.spec.containers.find(({ image }) => !this.options.images.has(image));
    held.problem = missing === undefined ? null : 'ImagePullBackOff';
    if (missing !== undefined) return;
    const { host, images, api } = this.options;
    try {
      const configMaps = new Map<string, Record<string, string>>();
      for (const name of configMapsOf(pod)) {
        const found = await api.find<{ readonly data?: Record<string, string> }>(`/api/v1/namespaces/${pod.metadata.namespace}/configmaps/${name}`);
        if (found !== null) configMaps.set(name, found.data ?? {});
      }
      const kubeconfig = await this.kubeconfigFor(pod);
      held.containers = pod.spec.containers.map((container) => new Running(
        container, launchOf(pod, container, { image: images.get(container.image)!, host, configMaps, kubeconfig }),
        { prefix: host.prefix, log: join(host.folder, 'logs', `${pod.metadata.name}.${container.name}.log`) },
      ));
    } catch (error) {
      held.problem = `CreateContainerConfigError: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  private async kubeconfigFor({ metadata, spec }: Pod): Promise<string | null> {
    if (spec.automountServiceAccountToken === false) return null;
    const at = `/api/v1/namespaces/${metadata.namespace}/serviceaccounts/${spec.serviceAccountName ?? 'default'}/token`;
    const { status } = await this.options.api.call<{ readonly status: { readonly token: string } }>('POST', at, {
      apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: TOKEN_SECONDS },
    });
    const folder = join(this.options.host.folder, 'pods', metadata.uid);
    mkdirSync(folder, { recursive: true });
    const path = join(folder, 'kubeconfig');
    writeKubeconfig(path, this.options.access(status.token));
    return path;
  }

  private async end(held: Held, graceMs: number): Promise<void> {
    held.isEnding = true;
    await Promise.all(held.containers.map((one) => one.stop(graceMs)));
    const { name, namespace, uid } = held.pod.metadata;
    for (;;) {
      try {
        await this.options.api.remove(`/api/v1/namespaces/${namespace}/pods/${name}`, uid);
        break;
      } catch {
        // The API is away: its object stays for so long, as with a kubelet.
        await new Promise((resolve) => setTimeout(resolve, MS_PER_SECOND));
        if (this.isStopped) break;
      }
    }
    this.held.delete(uid);
  }

  private isStopped = false;

  private async sayStatus(held: Held): Promise<void> {
    const status = this.statusOf(held);
    const text = JSON.stringify(status);
    if (text === held.said || held.isEnding) return;
    const { name, namespace } = held.pod.metadata;
    const answer = await this.options.api.ask('PATCH', `/api/v1/namespaces/${namespace}/pods/${name}/status`, { status });
    if (answer.status === 200) held.said = text;
  }

  private statusOf(held: Held): object {
    const { pod, containers, problem, startTime } = held;
    const { host } = this.options;
    const ready = containers.length > 0 && containers.every(({ isReady }) => isReady);
    if (ready !== held.wasReady) held.readyChanged = new Date().toISOString();
    held.wasReady = ready;
    const condition = (type: string, isTrue: boolean): object => ({ type, status: isTrue ? 'True' : 'False', lastTransitionTime: type.endsWith('Ready') ? held.readyChanged : startTime });
    const statuses = pod.spec.containers.map(({ name, image }, index) => {
      const running = containers[index] as Running | undefined;
      const waiting = running === undefined ? (problem ?? 'ContainerCreating') : running.waiting;
      const [reason, message] = (waiting ?? '').split(': ', 2);
      return {
        name, image, imageID: '', ready: running?.isReady ?? false, started: running?.isStarted ?? false, restartCount: running?.restarts ?? 0,
        state: waiting === null ? { running: { startedAt: startTime }, waiting: null } : { waiting: { reason, ...(message === undefined ? {} : { message }) }, running: null },
      };
    });
    return {
      phase: containers.length > 0 && containers.every(({ waiting, restarts }) => waiting === null || restarts > 0) ? 'Running' : 'Pending',
      hostIP: host.address, podIP: host.address, podIPs: [{ ip: host.address }], startTime,
      conditions: [condition('Initialized', true), condition('PodScheduled', true), condition('ContainersReady', ready), condition('Ready', ready)],
      containerStatuses: statuses,
    };
  }

  /** All of its processes are ended, at once. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await Promise.all([...this.held.values()].flatMap(({ containers }) => containers.map((one) => one.stop(0))));
  }
}
