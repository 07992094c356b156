/**
 * The cluster that an experiment is made on, as anybody reaches it: kubectl, a pod to ask from, and what this cluster has beside. Knows nothing of
 * how it was set up.
 */
import { run } from '#harness/child.js';
import type { Role } from '#harness/pair.js';

/** Names that the policy of the probe's pod knows. */
export interface Names {
  /** It may ask these, and connect to them at port 80. */
  readonly allowed: readonly string[];
  /** It may ask and connect to these, too: each with a number for `#`, and nobody has asked for them before. */
  readonly fresh: { readonly pattern: string; readonly count: number };
  /** It may not ask these. */
  readonly denied: readonly string[];
}

/** Commands for the node of the pod that asks. */
export interface Cut {
  /** Cuts it off from the API server. */
  readonly off: readonly string[];
  /** Joins it again; does nothing where it was not cut off. */
  readonly on: readonly string[];
  /** Succeeds if it reaches the API server. */
  readonly reaches: readonly string[];
}

export interface TargetOptions {
  /** With its context or kubeconfig. */
  readonly kubectl: readonly string[];
  /** Of both DaemonSets. */
  readonly namespace: string;
  /** What runs a command in the pod that asks: it needs sh, dnsperf, curl, kill. */
  readonly probe: readonly string[];
  readonly names: Names;
  /** The node of the pod that asks. */
  readonly node: string;
  /**
   * The pods that a drain looks at, as a label selector: those of both members, which their DaemonSets keep there, others that may be evicted, and
   * not the pod that asks.
   */
  readonly drainSelector: string;
  /** null: there are no such commands for this cluster. */
  readonly cut: Cut | null;
  /** Images of another version; null: none is known. */
  readonly otherImages: Readonly<Record<Role, string>> | null;
}

const COMMAND_DEADLINE_MS = 180_000;
const OUTPUT_SHOWN = 2_000;

export class Target {
  readonly options: TargetOptions;
  private readonly signal: AbortSignal | undefined;

  /** Once the signal has come nothing more is done here, and what is under way is ended. */
  constructor(options: TargetOptions, signal?: AbortSignal) {
    this.options = options;
    this.signal = signal;
  }

  /** What it printed. @throws Error with all that it said if it fails. */
  async kubectl(...args: readonly string[]): Promise<string> {
    return this.must([...this.options.kubectl, ...args]);
  }

  async must(command: readonly string[]): Promise<string> {
    const { code, output, standardOutput } = await run(command[0], command.slice(1), COMMAND_DEADLINE_MS, this.signal);
    if (code !== 0) throw new Error(`${command.join(' ')}: exit code ${String(code)}\n${output.slice(-OUTPUT_SHOWN)}`);
    return standardOutput;
  }

  async succeeds(command: readonly string[]): Promise<boolean> {
    return (await run(command[0], command.slice(1), COMMAND_DEADLINE_MS, this.signal)).code === 0;
  }

  /** True if the pod connects to the name at port 80. */
  connects(name: string): Promise<boolean> {
    return this.succeeds([...this.options.probe, 'curl', '-s', '-o', '/dev/null', '-m', '5', `http://${name}/`]);
  }

  freshName(index: number): string {
    return this.options.names.fresh.pattern.replace('#', String(index));
  }

  daemonSet(role: Role): string {
    return `daemonset/tandem-${role}`;
  }

  async image(role: Role): Promise<string> {
    const image = await this.kubectl('get', this.daemonSet(role), '-n', this.options.namespace, '-o', 'jsonpath={.spec.template.spec.containers[0].image}');
    return image.trim();
  }

  async setImage(role: Role, image: string): Promise<void> {
    await this.kubectl('set', 'image', this.daemonSet(role), `${role}=${image}`, '-n', this.options.namespace);
  }

  /** All of its pods are of the present template, and ready. */
  async rolledOut(role: Role, seconds: number): Promise<void> {
    await this.kubectl('rollout', 'status', this.daemonSet(role), '-n', this.options.namespace, `--timeout=${String(seconds)}s`);
  }

  async pods(role: Role): Promise<readonly PodView[]> {
    return this.listed('-n', this.options.namespace, '-l', `app.kubernetes.io/name=tandem-${role}`);
  }

  /** What a drain looks at, listed as `kubectl drain` lists it. */
  async podsToDrain(): Promise<readonly PodView[]> {
    return this.listed('--all-namespaces', '--field-selector', `spec.nodeName=${this.options.node}`, '-l', this.options.drainSelector);
  }

  private async listed(...selection: readonly string[]): Promise<readonly PodView[]> {
    const text = await this.kubectl('get', 'pods', ...selection, '-o', 'json');
    return (JSON.parse(text) as { readonly items: readonly PodView[] }).items;
  }
}

/** The parts of a pod that are looked at. */
export interface PodView {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly deletionTimestamp?: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly { readonly kind: string; readonly controller?: boolean }[];
  };
  readonly spec: { readonly nodeName?: string; readonly containers: readonly { readonly image: string }[] };
  readonly status: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly state: { readonly waiting?: { readonly reason: string } } }[];
  };
}

export function isReady({ status }: PodView): boolean {
  return status.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') ?? false;
}

/** `kubectl drain --ignore-daemonsets` leaves it where it is: it is a DaemonSet's, or the node's own (a mirror pod). */
export function staysInDrain({ metadata }: PodView): boolean {
  const isOfDaemonSet = metadata.ownerReferences?.some(({ kind, controller }) => controller === true && kind === 'DaemonSet') ?? false;
  return isOfDaemonSet || metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined;
}

/** Why its container waits; null: it does not. */
export function waitsFor({ status }: PodView): string | null {
  return status.containerStatuses?.[0]?.state.waiting?.reason ?? null;
}
