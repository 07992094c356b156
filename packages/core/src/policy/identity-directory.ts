/**
 * Identities by number, by pod and by selector. Selecting is narrowed through an index of `key=value`, so that thousands
 * of selectors over thousands of identities stay cheap.
 *
 * Does not know: how numbers are allotted, which addresses are contested.
 */
import type { PodObject } from './objects.js';
import { matchesAll, splitLabel, type LabelSet, type Requirement } from './selector.js';
import { FIRST_POD_IDENTITY, type IdentityRecord } from './snapshot.js';
import { byText } from './sort.js';

/** Selections remembered: more than policies have, fewer than years of edits in an unchanged cluster would leave behind. */
const SELECTIONS_MAX = 16_384;

interface Entry {
  readonly identity: number;
  readonly labels: LabelSet;
  readonly addresses: readonly string[];
}

export class IdentityDirectory {
  private readonly entries = new Map<number, Entry>();
  private readonly byLabel = new Map<string, number[]>();
  private readonly ofPod = new Map<PodObject, number>();
  private readonly selected = new Map<string, readonly number[]>();

  /** All are added before the first `select`. */
  add(identity: number, labels: LabelSet, addresses: readonly string[]): void {
    this.entries.set(identity, { identity, labels, addresses: [...addresses].sort(byText) });
    for (const text of labels.texts) {
      const { key, value } = splitLabel(text);
      const list = this.byLabel.get(`${key}=${value}`);
      if (list === undefined) this.byLabel.set(`${key}=${value}`, [identity]);
      else list.push(identity);
    }
  }

  assign(pod: PodObject, identity: number): void {
    this.ofPod.set(pod, identity);
  }

  identityOfPod(pod: PodObject): number {
    return this.ofPod.get(pod)!;
  }

  /** Whether any pod has an identity of its own. */
  get hasPods(): boolean {
    return this.ofPod.size > 0;
  }

  labelsOf(identity: number): LabelSet {
    return this.entries.get(identity)!.labels;
  }

  /** Every identity, in the order in which they were added. */
  all(): readonly number[] {
    return [...this.entries.keys()];
  }

  /** Identities that meet all requirements, rising. */
  select(requirements: readonly Requirement[]): readonly number[] {
    const memoKey = JSON.stringify(requirements);
    const known = this.selected.get(memoKey);
    if (known !== undefined) return known;
    const found = this.candidates(requirements).filter((identity) => matchesAll(requirements, this.labelsOf(identity)));
    const result = [...new Set(found)].sort((a, b) => a - b);
    if (this.selected.size === SELECTIONS_MAX) this.selected.clear();
    this.selected.set(memoKey, result);
    return result;
  }

  /** Sorted by number; a reserved identity only if it has addresses. */
  records(): IdentityRecord[] {
    return [...this.entries.values()]
      .filter(({ identity, addresses }) => identity >= FIRST_POD_IDENTITY || addresses.length > 0)
      .sort((a, b) => a.identity - b.identity)
      .map(({ identity, labels, addresses }) => ({ identity, labels: labels.texts, addresses }));
  }

  private candidates(requirements: readonly Requirement[]): readonly number[] {
    let best: readonly number[] | null = null;
    for (const { key, operator, values } of requirements) {
      if (operator !== 'In') continue;
      const list = values.flatMap((value) => this.byLabel.get(`${key}=${value}`) ?? []);
      if (best === null || list.length < best.length) best = list;
    }
    return best ?? [...this.entries.keys()];
  }
}
