/**
 * Which rules an identity gets, in each direction; pods with equal rules share a set.
 *
 * Invariant: a direction is open without a set where no selected spec closes it, denies in it, or limits questions. A set whose specs are
 * the same objects as in the compile before is the same object.
 * Does not know: addresses, endpoints' numbers.
 */
import type { EnforcementMode } from './compile.js';
import { withPorts, type FlatSpec } from './flatten.js';
import type { NamedPort, PodObject, PolicyExtensions } from './objects.js';
import type { QueryLimits, RuleSet } from './snapshot.js';
import { ruleSetKey, type HashTools } from './snapshot-hash.js';
import { byText, sortedDistinct } from './sort.js';

export interface RuleSetsOptions {
  readonly mode: EnforcementMode;
  /** Of all pods of the cluster: what an egress rule may name. */
  readonly clusterPorts: readonly NamedPort[];
  readonly tools: HashTools;
  /** Of the compile before, with the same Flattener, `mode` and `clusterPorts`; null: all is new. */
  readonly previous: RuleSets | null;
}

export interface RuleSetKeys {
  /** null: open. */
  readonly egress: string | null;
  readonly ingress: string | null;
}

export class RuleSets {
  private readonly specs: readonly FlatSpec[];
  private readonly options: Omit<RuleSetsOptions, 'previous'>;
  /** By identity: indexes of the specs that select it, rising. */
  private readonly selectingSpecs = new Map<number, number[]>();
  /** By direction, serial numbers of specs and, where they name ports in ingress, those of the pod; null: open. */
  private readonly made = new Map<string, RuleSet | null>();
  /** The same of the compile before; let go of at the end. */
  private previous: ReadonlyMap<string, RuleSet | null>;
  private readonly sets = new Map<string, RuleSet>();

  constructor(specs: readonly FlatSpec[], { previous, ...options }: RuleSetsOptions) {
    this.specs = specs;
    this.options = options;
    this.previous = previous === null ? new Map() : previous.made;
    specs.forEach(({ selected }, index) => {
      for (const identity of selected ?? NONE) {
        const list = this.selectingSpecs.get(identity);
        if (list === undefined) this.selectingSpecs.set(identity, [index]);
        else list.push(index);
      }
    });
  }

  /** Indexes of the specs that select the identity, rising. */
  selecting(identity: number): readonly number[] {
    return this.selectingSpecs.get(identity) ?? NONE;
  }

  keysFor(identity: number, pod: PodObject): RuleSetKeys {
    const selected = this.selecting(identity);
    const isNaming = selected.some((index) => this.specs[index].ingress.rules.some(({ named }) => named.length > 0));
    return {
      egress: this.keyFor('egress', selected, this.options.clusterPorts),
      ingress: this.keyFor('ingress', selected, isNaming ? sortedDistinct(pod.ports) : []),
    };
  }

  /** Sorted by key, so that the order of endpoints plays no part. */
  finish(): { ruleSets: RuleSet[]; rowOf: (key: string) => number } {
    this.previous = new Map();
    const ruleSets = [...this.sets.values()].sort((a, b) => byText(a.key, b.key));
    const rows = new Map(ruleSets.map(({ key }, row) => [key, row]));
    return { ruleSets, rowOf: (key) => rows.get(key)! };
  }

  private keyFor(direction: 'egress' | 'ingress', selected: readonly number[], ports: readonly NamedPort[]): string | null {
    const serials = selected.map((index) => this.specs[index].serial).join();
    const memoKey = `${direction} ${serials} ${direction === 'ingress' ? JSON.stringify(ports) : ''}`;
    let set = this.made.get(memoKey);
    if (set === undefined) {
      set = this.previous.get(memoKey) ?? this.compute(direction, selected, ports);
      this.made.set(memoKey, set);
      // The first of equal sets, so that it is one object.
      if (set !== null && !this.sets.has(set.key)) this.sets.set(set.key, set);
    }
    return set?.key ?? null;
  }

  private compute(direction: 'egress' | 'ingress', selected: readonly number[], ports: readonly NamedPort[]): RuleSet | null {
    const { mode, tools } = this.options;
    if (mode === 'never') return null;
    const specs = selected.map((index) => this.specs[index]);
    const isClosed = mode === 'always' || specs.some((spec) => spec[direction].defaultDeny);
    const rules = specs.flatMap((spec) => spec[direction].rules.flatMap((rule) => withPorts(rule, ports)));
    const limits = direction === 'egress' ? limitsOf(specs.map(({ extensions }) => extensions)) : null;
    // Names that rules.dns does not allow are refused even where nothing closes egress, as in Cilium.
    if (!isClosed && limits === null && !rules.some(({ deny, dnsPatterns }) => deny === true || dnsPatterns !== null)) return null;
    const content = { rules, ...(isClosed ? {} : { openByDefault: true as const }), ...(limits === null ? {} : { limits }) };
    return { key: ruleSetKey(content, tools), ...content };
  }
}

const NONE: readonly number[] = [];

/**
 * The strictest of each that refuses; where all that limit it only audit, the strictest of those. Names that may have private
 * addresses add up. null: no limit at all.
 */
function limitsOf(extensions: readonly PolicyExtensions[]): QueryLimits | null {
  const rate = strictest(extensions, ({ queryRate }) => queryRate);
  const entropy = strictest(extensions, ({ labelEntropyBits }) => labelEntropyBits);
  const lists = extensions.flatMap(({ privateNames }) => (privateNames === null ? [] : [privateNames]));
  const limits: QueryLimits = {
    ...(extensions.some(({ grantScope }) => grantScope === 'endpoint') ? { grantScope: 'endpoint' } : {}),
    ...(rate === null ? {} : { queryRate: rate.limit, ...(rate.isAudited ? { auditRate: true } : {}) }),
    ...(entropy === null ? {} : { labelEntropyBits: entropy.limit, ...(entropy.isAudited ? { auditEntropy: true } : {}) }),
    ...(lists.length === 0
      ? {}
      : { privateNames: sortedDistinct(lists.flat().map(({ matchName, matchPattern }) => ({ matchName, matchPattern }))) }),
  };
  return Object.keys(limits).length === 0 ? null : limits;
}

function strictest(
  extensions: readonly PolicyExtensions[],
  pick: (one: PolicyExtensions) => number | null,
): { readonly limit: number; readonly isAudited: boolean } | null {
  const of = (isAudited: boolean): number[] => extensions.flatMap((one) => ((one.limitAction === 'audit') === isAudited ? (pick(one) ?? []) : []));
  const [refused, audited] = [of(false), of(true)];
  if (refused.length === 0 && audited.length === 0) return null;
  return refused.length > 0 ? { limit: Math.min(...refused), isAudited: false } : { limit: Math.min(...audited), isAudited: true };
}
