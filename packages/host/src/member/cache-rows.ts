/** The cache's list as Cilium has it: one row per look-up with all its addresses, and one per zombie, name and address. */
import type { Mapping, ZombieEntry } from '@tandem/core';
import type { CacheRow } from '../control/daemon-view.js';
import { wallTimes } from '../state/wall-times.js';

/** What Cilium shows where a connection was never seen: the zero of Go's time. */
const NEVER = '0001-01-01T00:00:00.000Z';

type GrowingRow = CacheRow & { readonly ips: string[] };

export class CacheRows {
  private readonly idOf: (entry: Pick<Mapping, 'endpointUid' | 'name'>) => number | null;
  // Read once: times of one row must fit each other.
  private readonly bootedAtMs = wallTimes().bootedAtMs;
  private readonly lookups = new Map<string, GrowingRow>();
  private readonly connections: GrowingRow[] = [];

  /** `idOf`: the endpoint's number, 0 for one that is gone; null to leave the entry out. */
  constructor(idOf: (entry: Pick<Mapping, 'endpointUid' | 'name'>) => number | null) {
    this.idOf = idOf;
  }

  lookup(mapping: Mapping): void {
    const id = this.idOf(mapping);
    if (id === null) return;
    const { name, address, lookupMs, ttlSeconds, expiryMs } = mapping;
    const key = `${id} ${name} ${lookupMs} ${ttlSeconds}`;
    const row = this.lookups.get(key);
    if (row === undefined) {
      this.lookups.set(key, {
        'fqdn': name, 'ips': [address], 'lookup-time': this.time(lookupMs), 'ttl': ttlSeconds, 'expiration-time': this.time(expiryMs),
        'endpoint-id': id, 'source': 'lookup',
      });
    } else {
      row.ips.push(address);
    }
  }

  connection(zombie: ZombieEntry, nextPassMs: number): void {
    const id = this.idOf(zombie);
    if (id === null) return;
    const { name, address, aliveAtMs } = zombie;
    this.connections.push({
      'fqdn': name, 'ips': [address], 'lookup-time': aliveAtMs === null ? NEVER : this.time(aliveAtMs), 'ttl': 0,
      'expiration-time': this.time(nextPassMs), 'endpoint-id': id, 'source': 'connection',
    });
  }

  sorted(): CacheRow[] {
    for (const row of this.lookups.values()) row.ips.sort();
    return [...this.lookups.values(), ...this.connections].sort(
      (a, b) => a['endpoint-id'] - b['endpoint-id'] || compare(a.fqdn, b.fqdn) || compare(a.ips[0], b.ips[0]),
    );
  }

  private time(bootMs: number): string {
    return new Date(this.bootedAtMs + bootMs).toISOString();
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
