/**
 * The conformance tables' connections as real ones: who stands where, and what became of each.
 * Pods of the tables have addresses of loopback, which no packet between namespaces can have: here they are of 11.0.0.0/8.
 */
import { L4_PROTOCOL, PolicyIndex, compileSnapshot, nameMatcher, traceConnection, type ConnectionTrace, type PodObject, type PolicyObjects, type Snapshot } from '@tandem/core';
import { fqdnGroups, fqdnSetName, type OpenElement } from '@tandem/datapath';
import { loadManifests } from '@tandem/manifests';
import { NODE, type ConnectionCase, type Group } from '../conformance/case.js';
import type { Outcome, Probe } from './probe.js';
import type { Rig } from './rig.js';

/** Why a case is not a connection that the node judges. */
export type Apart = 'no end is a pod of this node' | 'its DNS goes to the proxy' | 'the ends have no family of addresses in common';

const moved = (text: string): string => text.replaceAll(/\b127\./g, '11.');
const isV6 = (address: string): boolean => address.includes(':');

/** Pods of one family get an address of the other, so that everybody can ask them. */
function withBoth(pod: PodObject): PodObject {
  const [first] = pod.addresses;
  if (pod.hostNetwork || pod.addresses.length !== 1 || isV6(first)) return pod;
  const [, , c, d] = first.split('.');
  return { ...pod, addresses: [first, `fd00::11:${c}:${d}`] };
}

export class Stage {
  readonly index: PolicyIndex;
  readonly objects: PolicyObjects;
  readonly snapshot: Snapshot;
  private readonly rig: Rig;
  private readonly hosts: ReadonlySet<string>;
  private enforced: string | null = null;

  static async of(rig: Rig, group: Group): Promise<Stage> {
    const { objects: read, problems } = loadManifests([{ path: `${group.name}.yaml`, text: moved(group.manifests) }]);
    if (read === null) throw new Error(JSON.stringify(problems));
    const objects = { ...read, pods: read.pods.map(withBoth) };
    const { snapshot } = compileSnapshot(objects, { nodeName: NODE, enablePolicy: group.settings?.enablePolicy ?? 'default', allotment: null, revision: 1 });
    return new Stage(rig, objects, await rig.placed(snapshot));
  }

  private constructor(rig: Rig, objects: PolicyObjects, snapshot: Snapshot) {
    this.rig = rig;
    this.objects = objects;
    this.snapshot = snapshot;
    this.index = PolicyIndex.build(snapshot, null);
    this.hosts = new Set(objects.pods.filter((pod) => pod.hostNetwork && pod.nodeName === NODE).flatMap(({ addresses }) => addresses));
  }

  trace(one: ConnectionCase): ConnectionTrace {
    return traceConnection(this.index, { from: this.party(one.from), to: this.party(one.to), port: one.port, protocol: L4_PROTOCOL[one.protocol], name: one.fqdn });
  }

  /** null: it can be played. */
  apart(one: ConnectionCase, told: ConnectionTrace): Apart | null {
    if (told.from.endpoint === null && told.to.endpoint === null && !this.backends(one).some(({ address }) => this.isLocal(address))) return 'no end is a pod of this node';
    if (this.ends(told) === null) return 'the ends have no family of addresses in common';
    const ruleSet = told.from.endpoint?.ruleSet ?? null;
    const rules = ruleSet === null ? [] : this.snapshot.ruleSets[ruleSet].rules;
    const isDns = rules.some(({ dnsPatterns, ports }) => dnsPatterns !== null && (ports.length === 0 ? one.port === 53 : ports.some(({ first, last, protocol }) => one.port >= first && one.port <= last && (protocol === null || protocol === L4_PROTOCOL[one.protocol]))));
    return isDns && (one.protocol === 'tcp' || one.protocol === 'udp') ? 'its DNS goes to the proxy' : null;
  }

  /** One outcome for each of the backends, where it is a Service's; else one. */
  async play(one: ConnectionCase, told: ConnectionTrace): Promise<readonly Outcome[]> {
    const { from, to } = this.ends(told)!;
    const backends = this.backends(one);
    this.enforce(this.open(one.fqdn, to));
    if (backends.length === 0) return [await this.attempt(one, { from, to, arrives: { address: to, port: one.port } })];
    const outcomes: Outcome[] = [];
    for (const backend of backends) {
      this.rig.translate(one.protocol, { address: to, port: one.port }, backend);
      outcomes.push(await this.attempt(one, { from, to, arrives: backend }));
    }
    this.rig.translate(one.protocol, { address: to, port: one.port }, null);
    return outcomes;
  }

  private enforce(open: ReadonlyMap<string, readonly OpenElement[]>): void {
    const key = JSON.stringify([...open]);
    if (this.enforced !== key) this.rig.enforce(this.rig.program(this.snapshot), open);
    this.enforced = key;
  }

  private async attempt(one: ConnectionCase, { from, to, arrives }: { readonly from: string; readonly to: string; readonly arrives: { readonly address: string; readonly port: number } }): Promise<Outcome> {
    const server = await this.holder(arrives.address);
    await server.listen(one.protocol, arrives.address, arrives.port);
    const client = await this.holder(from);
    return client.ask(one.protocol, { from, to, port: one.port });
  }

  private async holder(address: string): Promise<Probe> {
    const endpoint = this.snapshot.endpoints.find(({ addresses }) => addresses.includes(address));
    if (endpoint !== undefined) return (await this.rig.pod(endpoint.addresses)).probe;
    const probe = this.hosts.has(address) ? this.rig.node : this.rig.others;
    this.rig.own(probe, address);
    return probe;
  }

  private open(name: string | null, address: string): Map<string, OpenElement[]> {
    const open = new Map<string, OpenElement[]>();
    if (name === null) return open;
    const family = isV6(address) ? 6 : 4;
    for (const group of fqdnGroups(this.snapshot, 'node')) {
      if (!group.selectors.some(({ matchName, matchPattern }) => (matchPattern === null ? matchName === `${name}.` || matchName === name : nameMatcher(matchPattern)(`${name}.`)))) continue;
      const pods = this.snapshot.endpoints.flatMap(({ addresses }) => addresses).filter((one) => isV6(one) === isV6(address));
      const elements = group.scope === 'node' ? [{ address, timeoutMs: 60_000 }] : pods.map((pod) => ({ address, pod, timeoutMs: 60_000 }));
      open.set(fqdnSetName(group, family), elements);
    }
    return open;
  }

  private backends(one: ConnectionCase): readonly { readonly address: string; readonly port: number }[] {
    const address = this.party(one.to);
    return this.snapshot.services
      .filter(({ addresses }) => addresses.includes(address))
      .flatMap(({ ports }) => ports.filter(({ port, protocol }) => port === one.port && protocol === L4_PROTOCOL[one.protocol]).flatMap(({ backends }) => backends.filter((one) => isV6(one.address) === isV6(address))));
  }

  private ends({ from, to }: ConnectionTrace): { readonly from: string; readonly to: string } | null {
    const sources = from.endpoint?.addresses ?? [from.address];
    const targets = to.endpoint?.addresses ?? [to.address];
    for (const target of targets) {
      const source = sources.find((one) => isV6(one) === isV6(target));
      if (source !== undefined) return { from: source, to: target };
    }
    return null;
  }

  private isLocal(address: string): boolean {
    return this.snapshot.endpoints.some(({ addresses }) => addresses.includes(address));
  }

  /** Only local pods have names in a snapshot. Of a pod's addresses that of the other end's family is meant. */
  private party(text: string): string {
    if (!text.includes('/')) return moved(text);
    const pod = this.objects.pods.find(({ namespace, name }) => text === `${namespace}/${name}`);
    if (pod === undefined) throw new Error(`there is no pod ${text}`);
    return pod.nodeName === NODE && !pod.hostNetwork ? text : pod.addresses[0];
  }
}
