/**
 * What flows say that workloads asked for: per workload (namespace and stable labels), per DNS server, the names; and which of these were
 * answered with addresses. Whatever cannot be told in a policy is counted by its reason.
 *
 * Invariant: only what was asked with one of the wanted verdicts is kept, and no more than the bound.
 */
import { admitMatchName, AppError } from '@tandem/core';
import { DropReason, type Endpoint, type Flow, flowPb, L7FlowType, type Verdict } from '@tandem/proto';
import { type Labels, namespaceOf, reservedOf, stableLabels } from './stable-labels.js';

/** Whom a rule speaks of as the server. */
export type ServerPeer =
  | { readonly kind: 'pods'; readonly namespace: string; readonly labels: Labels }
  | { readonly kind: 'service'; readonly namespace: string; readonly name: string }
  | { readonly kind: 'entity'; readonly entity: string }
  | { readonly kind: 'address'; readonly address: string };

export interface AskedServer {
  readonly peer: ServerPeer;
  readonly port: number;
  /** Admitted as matchName: lower case, with the final dot. */
  readonly names: Set<string>;
}

export interface Workload {
  readonly namespace: string;
  readonly labels: Labels;
  /** By a text that is equal for equal peers and ports. */
  readonly servers: Map<string, AskedServer>;
  /** Names that got an address, whoever asked for them with whatever verdict. */
  readonly resolved: Set<string>;
}

export interface Wanted {
  readonly verdicts: ReadonlySet<Verdict>;
  /** Of the pods that ask; null: all. */
  readonly namespaces: ReadonlySet<string> | null;
}

/** Names over all workloads and servers. */
export const NAMES_MAX = 50_000;
const ENTITIES: readonly string[] = ['host', 'remote-node', 'kube-apiserver'];

export class Seen {
  /** Queries that are taken into account. */
  queries = 0;
  /** How many queries were left out, by reason. */
  readonly leftOut = new Map<string, number>();
  private readonly wanted: Wanted;
  private readonly all = new Map<string, Workload>();
  private names = 0;

  constructor(wanted: Wanted) {
    this.wanted = wanted;
  }

  /** Those that asked for something, by namespace and labels. */
  workloads(): readonly Workload[] {
    return [...this.all.entries()].filter(([, { servers }]) => servers.size > 0).sort(([a], [b]) => (a < b ? -1 : 1)).map(([, workload]) => workload);
  }

  /** @throws AppError LIMIT for more names than a policy should have. */
  add(flow: Flow): void {
    const record = flow.l7?.record;
    if (record?.$case !== 'dns') return;
    if (flow.l7?.type === L7FlowType.REQUEST) this.query(flow, record.value.query);
    else if (flow.l7?.type === L7FlowType.RESPONSE) this.answer(flow, record.value);
  }

  private query(flow: Flow, query: string): void {
    const { source, destination } = flow;
    if (!this.wanted.verdicts.has(flow.verdict) || !this.isFrom(source)) return;
    const reason = unfitness(flow);
    const name = admitMatchName(query);
    const port = portOf(flow);
    const peer = peerOf(flow, destination);
    if (reason !== null) this.leaveOut(reason);
    else if (source === undefined || source.namespace === '') this.leaveOut('asked by an address that is no known pod\'s');
    else if (Object.keys(stableLabels(source.labels)).length === 0) this.leaveOut('asked by a pod without labels that tell its workload');
    else if (!name.ok) this.leaveOut('for a name that no matchName can have');
    else if (peer === null || port === null) this.leaveOut('to a server without address, labels or port');
    else this.keep(this.workloadOf(source), { peer, port, name: name.text });
  }

  private keep(workload: Workload, { peer, port, name }: { readonly peer: ServerPeer; readonly port: number; readonly name: string }): void {
    this.queries++;
    const key = JSON.stringify([peer, port]);
    const server = workload.servers.get(key) ?? { peer, port, names: new Set() };
    workload.servers.set(key, server);
    if (server.names.has(name)) return;
    if (++this.names > NAMES_MAX) throw new AppError('LIMIT', `more than ${NAMES_MAX} names were asked for: a policy of exact names would be of no use; narrow it down with --since, --last or -n`);
    server.names.add(name);
  }

  private answer(flow: Flow, { query, ips, rcode }: flowPb.DNS): void {
    const client = flow.destination;
    const name = admitMatchName(query);
    if (rcode !== 0 || ips.length === 0 || client === undefined || client.namespace === '' || !name.ok || !this.isFrom(client)) return;
    if (Object.keys(stableLabels(client.labels)).length === 0) return;
    const { resolved } = this.workloadOf(client);
    if (resolved.size < NAMES_MAX) resolved.add(name.text);
  }

  private isFrom(client: Endpoint | undefined): boolean {
    return this.wanted.namespaces === null || this.wanted.namespaces.has(client?.namespace ?? '');
  }

  private workloadOf({ namespace, labels }: Endpoint): Workload {
    const stable = stableLabels(labels);
    const key = JSON.stringify([namespace, stable]);
    const workload = this.all.get(key) ?? { namespace, labels: stable, servers: new Map(), resolved: new Set() };
    this.all.set(key, workload);
    return workload;
  }

  private leaveOut(reason: string): void {
    this.leftOut.set(reason, (this.leftOut.get(reason) ?? 0) + 1);
  }
}

/** Why a rule that allows it would not help; null: it would. */
function unfitness({ dropReasonDesc }: Flow): string | null {
  if (dropReasonDesc === DropReason.UNKNOWN || dropReasonDesc === DropReason.POLICY_DENIED) return null;
  if (dropReasonDesc === DropReason.POLICY_DENY) return 'denied by an egressDeny rule, which no other rule can lift';
  return `dropped for another reason than policy: ${flowPb.dropReasonToJSON(dropReasonDesc)}`;
}

function peerOf(flow: Flow, server: Endpoint | undefined): ServerPeer | null {
  const labels = server?.labels ?? [];
  const namespace = namespaceOf(labels);
  const own = stableLabels(labels);
  if (namespace !== null && Object.keys(own).length > 0) return { kind: 'pods', namespace, labels: own };
  const service = flow.destinationService;
  if (service !== undefined && service.name !== '') return { kind: 'service', namespace: service.namespace, name: service.name };
  if (namespace !== null) return null;
  const entity = reservedOf(labels).find((one) => ENTITIES.includes(one));
  if (entity !== undefined) return { kind: 'entity', entity };
  const address = flow.IP?.destination ?? '';
  return address === '' ? null : { kind: 'address', address };
}

function portOf({ l4 }: Flow): number | null {
  const protocol = l4?.protocol;
  return protocol?.$case === 'UDP' || protocol?.$case === 'TCP' ? protocol.value.destinationPort : null;
}
