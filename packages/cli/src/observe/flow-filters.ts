/**
 * Filter flags in the order of the command line → the lists of FlowFilters of a request. `--not` sends the next flag to the blacklist.
 *
 * Invariant: what a flag adds narrows (another flag) or widens (the same flag again); a combination that Hubble's client refuses is refused.
 */
import { InvalidArgumentError } from 'commander';
import { AppError } from '@tandem/core';
import { FlowFilter } from '@tandem/proto';
import { CONFLICTS, type FilterFlag, NAMESPACE_FLAGS } from './filter-flags.js';

export class FlowFilters {
  private readonly allowed = new FilterPair();
  private readonly denied = new FilterPair();
  private isNegated = false;

  /** `--not` */
  negateNext(): void {
    if (this.isNegated) throw new AppError('USAGE', '--not --not: one is enough');
    this.isNegated = true;
  }

  /** @throws InvalidArgumentError, AppError USAGE */
  add(name: string, flag: FilterFlag, text: string): void {
    const pair = this.isNegated ? this.denied : this.allowed;
    this.isNegated = false;
    pair.add(name, flag, text);
  }

  /** @throws AppError USAGE for a `--not` with nothing behind it. */
  lists(): { readonly whitelist: FlowFilter[]; readonly blacklist: FlowFilter[] } {
    if (this.isNegated) throw new AppError('USAGE', '--not has no filter behind it');
    return { whitelist: this.allowed.filters(), blacklist: this.denied.filters() };
  }
}

/** Either of the two matches; they are one where no flag spoke of either end. */
class FilterPair {
  private readonly left = FlowFilter.fromPartial({});
  private readonly right = FlowFilter.fromPartial({});
  private readonly given = new Set<string>();
  private readonly namespaces = { either: [] as string[], source: [] as string[], destination: [] as string[] };

  add(name: string, flag: FilterFlag, text: string): void {
    for (const group of CONFLICTS) {
      const other = group.includes(name) ? group.find((one) => one !== name && this.given.has(one)) : undefined;
      if (other !== undefined) throw new AppError('USAGE', `--${other} and --${name} cannot be combined`);
    }
    this.given.add(name);
    if (Object.hasOwn(NAMESPACE_FLAGS, name)) this.namespaces[NAMESPACE_FLAGS[name as keyof typeof NAMESPACE_FLAGS]].push(name.endsWith('all-namespaces') ? '' : text);
    append(this.left, flag.left(text));
    append(this.right, flag.right(text));
    this.refuseContradiction();
  }

  filters(): FlowFilter[] {
    if (this.given.size === 0) return [];
    const { either, source, destination } = this.namespaces;
    for (const filter of [this.left, this.right]) {
      if (destination.length > 0) withNamespaces(filter, 'destination', destination);
      if (source.length > 0) withNamespaces(filter, 'source', source);
    }
    if (either.length > 0) {
      withNamespaces(this.left, 'source', either);
      withNamespaces(this.right, 'destination', either);
    }
    return isSame(this.left, this.right) ? [this.left] : [this.left, this.right];
  }

  /** A pod or Service of one namespace, and the flag for another: nothing would match. */
  private refuseContradiction(): void {
    const { either, source, destination } = this.namespaces;
    for (const { sourcePod, sourceService, destinationPod, destinationService } of [this.left, this.right]) {
      refuseOthers([...either, ...source], [...sourcePod, ...sourceService]);
      refuseOthers([...either, ...destination], [...destinationPod, ...destinationService]);
    }
  }
}

function append(filter: FlowFilter, patch: Readonly<Record<string, unknown>>): void {
  const lists = filter as unknown as Record<string, unknown[]>;
  for (const [field, value] of Object.entries(patch)) lists[field] = [...lists[field], value];
}

function withNamespaces(filter: FlowFilter, end: 'source' | 'destination', namespaces: readonly string[]): void {
  const [pod, service] = end === 'source' ? (['sourcePod', 'sourceService'] as const) : (['destinationPod', 'destinationService'] as const);
  if (filter[pod].length === 0 && filter[service].length === 0) {
    // Any pod of any namespace, which no filter has a word for.
    if (namespaces.includes('')) return;
    filter[pod] = [''];
  }
  for (const field of [pod, service]) {
    filter[field] = filter[field].flatMap((name) => (name.includes('/') ? [name] : namespaces.map((namespace) => `${namespace}/${name}`)));
  }
}

function refuseOthers(namespaces: readonly string[], names: readonly string[]): void {
  for (const name of names) {
    const [own] = name.split('/');
    if (!name.includes('/') || own === '' || namespaces.length === 0 || namespaces.includes(own) || namespaces.includes('')) continue;
    throw new InvalidArgumentError(`${name} is not in namespace ${namespaces.join(', ')}.`);
  }
}

function isSame(a: FlowFilter, b: FlowFilter): boolean {
  return Buffer.compare(FlowFilter.encode(a).finish(), FlowFilter.encode(b).finish()) === 0;
}
