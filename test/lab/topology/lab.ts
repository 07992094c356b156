/**
 * One lab: builds it, changes it while it runs, and takes it away wholly. What it consists of is written in its folder, so that another process can go
 * on with it. Invariant: whatever a lab has made can be found again by the lab's name alone (namespaces, `/etc/netns`, its folder), so `down` also
 * clears what a killed `up` left. Not for two processes at once under one name.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child, run } from '../../harness/child.js';
import { guard } from './guard.js';
import { BRIDGE, hostEndScript, nodePortScript, nodeScript, podScript, routerScript } from './links.js';
import { manifestsOf } from './manifests.js';
import { addNamespace, LAB_NAME, namespaceOf, namespacesOf, removeNamespace, shell } from './namespaces.js';
import { DNS_PODS, firstNames, KUBE_DNS, podAddress, PODS_OF } from './plan.js';
import type { Both, Family, Name, NodeNumber, PodPlan, Wiring } from './plan.js';
import { changeName, seenBy, startDnsServer, startWebServer } from './servers.js';
import type { SeenQuery } from './servers.js';
import { serviceRules } from './service-rules.js';

export const LABS_DIR = '/run/tandem-lab';
const ROUTER_NAME = 'internet';
const EXEC_DEADLINE_MS = 30_000;

export interface LabOptions {
  /** Letters and digits. */
  readonly name: string;
  readonly wiring: Wiring;
  /** bridge-nf-call-iptables and -ip6tables of the nodes; without a bridge it says nothing. */
  readonly nfCall: 0 | 1;
  readonly nodes: readonly NodeNumber[];
  /** Family of the DNS server in the pods' resolv.conf. */
  readonly family: Family;
  /** Whose pods it has: numbers of scenarios. */
  readonly scenarios: readonly string[];
}

export interface LabPod {
  readonly plan: PodPlan;
  /** Its link's end on the node. */
  readonly link: string;
}

interface Saved {
  readonly options: LabOptions;
  readonly pods: readonly LabPod[];
}

export interface Ran {
  readonly code: number | null;
  readonly output: string;
  readonly standardOutput: string;
}

/** Name → what lets go of it. */
const guards = new Map<string, () => void>();

export class Lab {
  readonly options: LabOptions;
  readonly folder: string;
  readonly pods = new Map<string, LabPod>();
  /** Nodes whose manifests stay as they are: their source of policy is cut off. */
  readonly frozen = new Set<NodeNumber>();

  private constructor(options: LabOptions) {
    this.options = options;
    this.folder = join(LABS_DIR, options.name);
  }

  /** Is there already, or is built; what is left of another lab of this name goes first. */
  static async up(options: LabOptions): Promise<Lab> {
    if (!LAB_NAME.test(options.name)) throw new Error(`"${options.name}" is no name for a lab: 1 to 16 lower-case letters and digits, a letter first`);
    const there = Lab.load(options.name);
    if (there !== null && JSON.stringify(there.options) === JSON.stringify(options) && there.isWhole()) return there;
    await remove(options.name);
    const lab = new Lab(options);
    await lab.build();
    return lab;
  }

  /** @throws Error if there is none. */
  static open(name: string): Lab {
    const lab = Lab.load(name);
    if (lab === null) throw new Error(`there is no lab "${name}": npm run lab -- up --name ${name}`);
    return lab;
  }

  /** As `up`, but new, and gone with this process at the latest, however that ends. */
  static async held(options: LabOptions): Promise<Lab> {
    await Lab.down(options.name);
    guards.set(options.name, guard(options.name));
    return Lab.up(options);
  }

  /** Takes away all of that name; true if there was anything. */
  static async down(name: string): Promise<boolean> {
    guards.get(name)?.();
    guards.delete(name);
    return remove(name);
  }

  /** It stays when this process ends. */
  letGo(): void {
    guards.get(this.options.name)?.();
    guards.delete(this.options.name);
  }

  private static load(name: string): Lab | null {
    const path = join(LABS_DIR, name, 'lab.json');
    if (!LAB_NAME.test(name) || !existsSync(path)) return null;
    const { options, pods } = JSON.parse(readFileSync(path, 'utf8')) as Saved;
    const lab = new Lab(options);
    for (const pod of pods) lab.pods.set(pod.plan.name, pod);
    return lab;
  }

  namespace(who: string): string {
    return namespaceOf(this.options.name, who);
  }

  node(node: NodeNumber): string {
    return this.namespace(`node${String(node)}`);
  }

  get internet(): string {
    return this.namespace(ROUTER_NAME);
  }

  folderOf(who: string): string {
    return join(this.folder, who);
  }

  manifestsDir(node: NodeNumber): string {
    return join(this.folder, `node${String(node)}`, 'manifests');
  }

  /** Of the lab's family. */
  address(both: Both): string {
    return this.options.family === 4 ? both.v4 : both.v6;
  }

  addressOf(pod: string): string {
    return this.address(podAddress(this.pod(pod).plan));
  }

  pod(name: string): LabPod {
    const pod = this.pods.get(name);
    if (pod === undefined) throw new Error(`the lab has no pod ${name}; it has ${[...this.pods.keys()].join(', ')}`);
    return pod;
  }

  private async build(): Promise<void> {
    const { nodes, scenarios } = this.options;
    mkdirSync(this.folder, { recursive: true });
    const lastNode = nodes[nodes.length - 1];
    const wanted = [...DNS_PODS, ...scenarios.flatMap((scenario) => PODS_OF[scenario])]
      .map((plan) => (nodes.includes(plan.node) ? plan : { ...plan, node: lastNode }));
    await addNamespace(this.internet);
    await shell(this.internet, routerScript(nodes));
    await Promise.all([
      startWebServer(this.internet, this.folderOf(ROUTER_NAME), 'outside'),
      ...nodes.map((node) => this.buildNode(node)),
    ]);
    await Promise.all(wanted.map((plan) => this.buildPod(plan, `pod${String(plan.host)}`)));
    await this.applied();
  }

  private async buildNode(node: NodeNumber): Promise<void> {
    const namespace = this.node(node);
    mkdirSync(this.manifestsDir(node), { recursive: true });
    await addNamespace(namespace);
    await shell(this.internet, nodePortScript(node, namespace));
    await shell(namespace, nodeScript(node, this.options));
  }

  private async buildPod(plan: PodPlan, link: string): Promise<void> {
    const namespace = this.namespace(plan.name);
    const { wiring } = this.options;
    const search = [`${plan.namespace}.svc.cluster.local`, 'svc.cluster.local', 'cluster.local'].join(' ');
    await addNamespace(namespace, `nameserver ${this.address(KUBE_DNS.address)}\nsearch ${search}\noptions ndots:5 timeout:2 attempts:2\n`);
    await shell(this.node(plan.node), hostEndScript(plan, { wiring, link, namespace }));
    await shell(namespace, podScript(plan, wiring));
    if (plan.runs === 'dns') await startDnsServer(namespace, this.folderOf(plan.name), { own: podAddress(plan), names: firstNames() });
    if (plan.runs === 'web') await startWebServer(namespace, this.folderOf(plan.name), plan.name);
    this.pods.set(plan.name, { plan, link });
  }

  private isWhole(): boolean {
    const there = new Set(namespacesOf(this.options.name));
    return [this.internet, ...this.options.nodes.map((node) => this.node(node)), ...[...this.pods.keys()].map((name) => this.namespace(name))].every((name) => there.has(name));
  }

  /** Services and manifests as the pods are now. */
  private async applied(): Promise<void> {
    const plans = [...this.pods.values()].map(({ plan }) => plan).sort((a, b) => a.host - b.host || a.name.localeCompare(b.name));
    const { nodes, wiring, nfCall } = this.options;
    await Promise.all(nodes.map((node) => shell(this.node(node), `nft -f - <<'END'\n${serviceRules(node, plans, wiring === 'bridge' && nfCall === 0)}\nEND\n`)));
    const manifests = manifestsOf(plans);
    for (const [file, content] of Object.entries(manifests)) this.apply(file, content);
    replace(join(this.folder, 'lab.json'), JSON.stringify({ options: this.options, pods: [...this.pods.values()] } satisfies Saved));
  }

  /** The node's source is back: it learns what it missed. */
  async thaw(node: NodeNumber): Promise<void> {
    this.frozen.delete(node);
    await this.applied();
  }

  /** A file in the folder of each node that is not cut off, replaced at once; null removes it. */
  apply(file: string, content: object | string | null): void {
    for (const node of this.options.nodes) {
      if (this.frozen.has(node)) continue;
      const path = join(this.manifestsDir(node), file);
      if (content === null) rmSync(path, { force: true });
      else replace(path, typeof content === 'string' ? content : JSON.stringify(content, null, 2));
    }
  }

  /** `link`: name of its end on the node; the same as a former pod's is a new link all the same. */
  async addPod(plan: PodPlan, link = `pod${String(plan.host)}`): Promise<void> {
    await this.buildPod(plan, link);
    await this.applied();
  }

  async removePod(name: string): Promise<void> {
    await this.unplug(name);
    this.pods.delete(name);
    await this.applied();
  }

  /** Its link and all that runs in it go; the objects still speak of it. */
  async unplug(name: string): Promise<void> {
    const { plan, link } = this.pod(name);
    // Before its namespace: the kernel would take the link away only some time after that.
    await shell(this.node(plan.node), `ip link delete ${link}`);
    await removeNamespace(this.namespace(name));
  }

  /** Runs a program in a pod's, a node's (`node1`) or the outside's (`internet`) namespace, to its end. */
  exec(who: string, command: readonly string[], deadlineMs = EXEC_DEADLINE_MS): Promise<Ran> {
    return run('ip', ['netns', 'exec', this.namespace(who), ...command], deadlineMs);
  }

  /** One that goes on; it ends with this process. */
  spawn(who: string, command: readonly string[]): Child {
    return new Child('ip', ['netns', 'exec', this.namespace(who), ...command]);
  }

  /** @throws Error if it fails. */
  shell(who: string, script: string): Promise<string> {
    return shell(this.namespace(who), script);
  }

  get dnsPods(): string[] {
    return [...this.pods.values()].filter(({ plan }) => plan.runs === 'dns').map(({ plan }) => plan.name);
  }

  /** Replaces a name's addresses in all DNS servers. */
  async setName(name: Name): Promise<void> {
    await Promise.all(this.dnsPods.map((pod) => changeName(this.namespace(pod), this.folderOf(pod), name)));
  }

  /** Every query that these DNS servers have received, in the order of each. */
  seenQueries(pods = this.dnsPods): SeenQuery[] {
    return pods.flatMap((pod) => seenBy(this.folderOf(pod)));
  }

  get bridge(): string | null {
    return this.options.wiring === 'bridge' ? BRIDGE : null;
  }
}

async function remove(name: string): Promise<boolean> {
  if (!LAB_NAME.test(name)) return false;
  const namespaces = namespacesOf(name);
  await Promise.all(namespaces.map(removeNamespace));
  const folder = join(LABS_DIR, name);
  const isThere = namespaces.length > 0 || existsSync(folder);
  rmSync(folder, { recursive: true, force: true });
  return isThere;
}

function replace(path: string, content: string): void {
  writeFileSync(`${path}.new`, content);
  renameSync(`${path}.new`, path);
}
