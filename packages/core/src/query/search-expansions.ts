/**
 * Is a refused name what a resolver library made of an allowed one by a search domain? With `ndots:5`, a pod that wants
 * `api.example.com` asks for `api.example.com.NAMESPACE.svc.cluster.local` first, and musl's library gives up at the first
 * REFUSED. NXDOMAIN sends each on to the next domain, and at last to the name itself.
 *
 * Runs on the refusal path alone. Does not know: how a name is judged (`Decider`).
 */
import { LOWER_CASE, MAX_NAME_BYTES, nameFromString, QueryView, SCAN, scanName } from '@tandem/dns';
import type { PolicyIndex } from '../policy/decide.js';
import { REFUSED, type Decider } from './decide.js';
import type { SearchDomains } from './settings.js';

/** A search domain: its wire form in lower case, how many labels that has, and their hash. */
interface Domain {
  readonly wire: Uint8Array;
  readonly labelCount: number;
  readonly hash: number;
}

export class SearchExpansions {
  private readonly decider: Decider;
  private readonly settings: SearchDomains;
  private readonly view = new QueryView();
  /** The name without its search domain. */
  private readonly base = new Uint8Array(MAX_NAME_BYTES);
  /** By endpoint row; the endpoints of a namespace share one list. */
  private domains: readonly (readonly Domain[])[] = [];

  constructor(decider: Decider, settings: SearchDomains) {
    this.decider = decider;
    this.settings = settings;
  }

  setIndex(index: PolicyIndex): void {
    const { cluster, others } = this.settings;
    const common = [`svc.${cluster}`, cluster, ...others];
    const byNamespace = new Map<string, readonly Domain[]>();
    this.domains = index.snapshot.endpoints.map(({ namespace }) => {
      let domains = byNamespace.get(namespace);
      if (domains === undefined) {
        domains = [`${namespace}.svc.${cluster}`, ...common].flatMap((name) => this.domain(name));
        byNamespace.set(namespace, domains);
      }
      return domains;
    });
  }

  /**
   * Whether the endpoint may ask for what is left of the name in `query` without one of the search domains. The slot's
   * upstream is overwritten: of a query that is refused, nobody needs it.
   */
  isOfAllowed(slot: number, endpointRow: number, bytes: Uint8Array, query: QueryView): boolean {
    for (const domain of this.domains[endpointRow]) {
      if (!endsIn(bytes, query, domain)) continue;
      const baseBytes = query.labelOffsets[query.labelCount - domain.labelCount];
      for (let i = 0; i < baseBytes; i++) this.base[i] = bytes[query.nameStart + i];
      this.base[baseBytes] = 0;
      if (scanName(this.base, 0, baseBytes + 1, this.view) !== SCAN.ok) continue;
      this.view.type = query.type;
      if (this.decider.decide(slot, endpointRow, this.base, this.view) !== REFUSED) return true;
    }
    return false;
  }

  /** None where the name is longer than names may be: nothing can end in it. */
  private domain(name: string): readonly Domain[] {
    const wire = nameFromString(name);
    if (wire === null || scanName(wire, 0, wire.length, this.view) !== SCAN.ok) return [];
    return [{ wire, labelCount: this.view.labelCount, hash: this.view.suffixHashes[0] }];
  }
}

/** Whether the name has labels in front of the domain. */
function endsIn(bytes: Uint8Array, query: QueryView, { wire, labelCount, hash }: Domain): boolean {
  const label = query.labelCount - labelCount;
  if (label < 1 || query.suffixHashes[label] !== hash) return false;
  const start = query.nameStart + query.labelOffsets[label];
  if (query.nameEnd - start !== wire.length) return false;
  for (let i = 0; i < wire.length; i++) if (LOWER_CASE[bytes[start + i]] !== wire[i]) return false;
  return true;
}
