/**
 * What was let go of lately: expired mappings that a peer may still hold, and must not bring back to life here. Without
 * them two members whose link comes and goes would revive each other's dead for ever.
 *
 * Invariant: at the bound the oldest are forgotten; such a mapping can come back once more, as a zombie.
 */
import type { Mapping } from './mapping.js';

/** At some 200 bytes each. */
const GRAVES_MAX = 16_384;

interface Grave {
  lookupMs: number;
  expiryMs: number;
}

export class Graves {
  private readonly byKey = new Map<string, Grave>();

  /** All that was known of an address of a name, at least one mapping. */
  add(mappings: readonly Mapping[]): void {
    const key = keyOf(mappings[0]);
    const grave = this.byKey.get(key) ?? { lookupMs: -Infinity, expiryMs: -Infinity };
    for (const { lookupMs, expiryMs } of mappings) {
      grave.lookupMs = Math.max(grave.lookupMs, lookupMs);
      grave.expiryMs = Math.max(grave.expiryMs, expiryMs);
    }
    // The latest comes last.
    this.byKey.delete(key);
    this.byKey.set(key, grave);
    if (this.byKey.size > GRAVES_MAX) for (const [oldest] of this.byKey) return void this.byKey.delete(oldest);
  }

  covers(mapping: Mapping): boolean {
    if (this.byKey.size === 0) return false;
    const grave = this.byKey.get(keyOf(mapping));
    return grave !== undefined && mapping.lookupMs <= grave.lookupMs && mapping.expiryMs <= grave.expiryMs;
  }
}

function keyOf({ endpointUid, name, address }: Mapping): string {
  return `${endpointUid} ${name} ${address}`;
}
