/**
 * Which rules an identity gets, in each direction; pods with equal rules share a set.
 *
 * Invariant: a direction is open without a set where no selected spec closes it, denies in it or limits it.
 * Does not know: addresses, endpoints' numbers.
 */
import type { EnforcementMode } from './compile.js';
import { withPorts, type FlatDirection, type FlatSpec } from './flatten.js';
import type { IdentityDirectory } from './identity-directory.js';
import type { NamedPort, PodObject, PolicyExtensions } from './objects.js';
import { matchesAll } from './selector.js';
import type { QueryLimits, RuleSet } from './snapshot.js';
import { ruleSetKey } from './snapshot-hash.js';
import { byText, sortedDistinct } from './sort.js';

export interface RuleSetsOptions {
  readonly directory: IdentityDirectory;
  readonly mode: EnforcementMode;
  /** All pods of the cluster: whose ports an egress rule may name. */
  readonly pods: readonly PodObject[];
  readonly notices: string[];
}

export interface RuleSetKeys {
  /** null: open. */
  readonly egress: string | null;
  readonly ingress: string | null;
}

export class RuleSets {
  readonly #specs: readonly FlatSpec[];
  readonly #options: RuleSetsOptions;
  readonly #clusterPorts: readonly NamedPort[];
  readonly #selecting = new Map<number, readonly number[]>();
  /** By direction, specs and, where they name ports in ingress, those of the pod. */
  readonly #keys = new Map<string, string | null>();
  readonly #sets = new Map<string, RuleSet>();

  constructor(specs: readonly FlatSpec[], options: RuleSetsOptions) {
    this.#specs = specs;
    this.#options = options;
    this.#clusterPorts = sortedDistinct(options.pods.flatMap(({ ports }) => ports));
    for (const { egress } of specs) this.#noticeUnknownPorts(egress);
  }

  /** Indexes of the specs that select the identity, rising. */
  selecting(identity: number): readonly number[] {
    let selected = this.#selecting.get(identity);
    if (selected === undefined) {
      const labels = this.#options.directory.labelsOf(identity);
      selected = this.#specs.flatMap(({ subject }, index) => (subject !== null && matchesAll(subject, labels) ? [index] : []));
      this.#selecting.set(identity, selected);
    }
    return selected;
  }

  keysFor(identity: number, pod: PodObject): RuleSetKeys {
    const selected = this.selecting(identity);
    const isNaming = selected.some((index) => this.#specs[index].ingress.rules.some(({ named }) => named.length > 0));
    return { egress: this.#keyFor('egress', selected, this.#clusterPorts), ingress: this.#keyFor('ingress', selected, isNaming ? sortedDistinct(pod.ports) : []) };
  }

  /** Sorted by key, so that the order of endpoints plays no part. */
  finish(): { ruleSets: RuleSet[]; rowOf: (key: string) => number } {
    const ruleSets = [...this.#sets.values()].sort((a, b) => byText(a.key, b.key));
    const rows = new Map(ruleSets.map(({ key }, row) => [key, row]));
    return { ruleSets, rowOf: (key) => rows.get(key)! };
  }

  #keyFor(direction: 'egress' | 'ingress', selected: readonly number[], ports: readonly NamedPort[]): string | null {
    const memoKey = `${direction} ${selected.join()} ${direction === 'ingress' ? JSON.stringify(ports) : ''}`;
    let key = this.#keys.get(memoKey);
    if (key === undefined) {
      key = this.#compute(direction, selected, ports);
      this.#keys.set(memoKey, key);
    }
    return key;
  }

  #compute(direction: 'egress' | 'ingress', selected: readonly number[], ports: readonly NamedPort[]): string | null {
    const { mode } = this.#options;
    if (mode === 'never') return null;
    const specs = selected.map((index) => this.#specs[index]);
    const isClosed = mode === 'always' || specs.some((spec) => spec[direction].defaultDeny);
    const rules = specs.flatMap((spec) => spec[direction].rules.flatMap((rule) => withPorts(rule, ports) ?? []));
    const limits = direction === 'egress' ? limitsOf(specs.map(({ extensions }) => extensions)) : null;
    if (!isClosed && limits === null && !rules.some(({ deny }) => deny === true)) return null;
    const content = { rules, ...(isClosed ? {} : { openByDefault: true as const }), ...(limits === null ? {} : { limits }) };
    const set: RuleSet = { key: ruleSetKey(content), ...content };
    this.#sets.set(set.key, set);
    return set.key;
  }

  #noticeUnknownPorts({ rules }: FlatDirection): void {
    for (const { rule: { origin }, named } of rules) {
      for (const { portName } of named) {
        if (this.#clusterPorts.some(({ name }) => name === portName)) continue;
        const policy = origin.namespace === '' ? origin.name : `${origin.namespace}/${origin.name}`;
        this.#options.notices.push(`${origin.kind} ${policy}: ${origin.path} names the port "${portName}", which no pod has`);
      }
    }
  }
}

/** The strictest of each; names that may have private addresses add up. null: no limit at all. */
function limitsOf(extensions: readonly PolicyExtensions[]): QueryLimits | null {
  const said = <T>(pick: (one: PolicyExtensions) => T | null): T[] => extensions.flatMap((one) => pick(one) ?? []);
  const rates = said(({ queryRate }) => queryRate);
  const entropies = said(({ labelEntropyBits }) => labelEntropyBits);
  const limiting = extensions.filter(({ queryRate, labelEntropyBits }) => queryRate !== null || labelEntropyBits !== null);
  const lists = extensions.flatMap(({ privateNames }) => (privateNames === null ? [] : [privateNames]));
  const limits: QueryLimits = {
    ...(said(({ grantScope }) => grantScope).includes('endpoint') ? { grantScope: 'endpoint' } : {}),
    ...(rates.length === 0 ? {} : { queryRate: Math.min(...rates) }),
    ...(entropies.length === 0 ? {} : { labelEntropyBits: Math.min(...entropies) }),
    ...(limiting.length > 0 && limiting.every(({ limitAction }) => limitAction === 'audit') ? { auditOnly: true } : {}),
    ...(lists.length === 0
      ? {}
      : { privateNames: sortedDistinct(lists.flat().map(({ matchName, matchPattern }) => ({ matchName, matchPattern }))) }),
  };
  return Object.keys(limits).length === 0 ? null : limits;
}
