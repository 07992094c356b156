/**
 * What is Tandem's in the kernel, by name and number, so that both members mean the same by it and nothing of others is touched.
 *
 * Marks: four bits of the packet mark, and one of the connection mark, from `markBase` on (a power of two, `--packet-mark`).
 */

import type { Role } from '@tandem/core';

/** The nftables tables: policy and redirect, the guard that holds if that one is deleted, bridged frames, bridge ports. */
export const TABLE = { family: 'inet', name: 'tandem' } as const;
export const GUARD_TABLE = { family: 'inet', name: 'tandem-guard' } as const;
export const BRIDGE_TABLE = { family: 'bridge', name: 'tandem' } as const;
export const PORT_TABLE = { family: 'netdev', name: 'tandem' } as const;
/** Counts redirected DNS before and behind a firewall of the node; holds nobody up. */
export const INPUT_TABLE = { family: 'inet', name: 'tandem-input' } as const;
/** Of any family: made and deleted in one transaction, to see what the kernel can do. */
export const PROBE_TABLE = 'tandem-probe';

/** The veth pair that bridged pods' packets are pulled out by: they are sent to `inner` and arrive at `outer`. */
export const DIVERT = { outer: 'tandem0', inner: 'tandem1' } as const;

/** Of NFLOG: denied and first allowed packets. Each member's own, for the rules that it writes: one that hangs, and led before, keeps nothing from the other. */
export const LOG_GROUP: Readonly<Record<Role, number>> = { 'agent': 1053, 'dns-proxy': 1054 };

export interface Marks {
  /** DNS that goes to the proxy: routed by the redirect table. */
  readonly redirect: number;
  /** Port, MAC and address of a bridged pod were checked. */
  readonly attested: number;
  /** They were checked, and it is another's. */
  readonly stranger: number;
  /** On connections of pods; a bit of its own, for others copy connection marks to packets. */
  readonly connection: number;
  /** Besides, on connections that a rule with names allowed: only these keep addresses open, and to go through fewer is faster. */
  readonly named: number;
  /** Besides, on connections that policy allows no more, whoever began them: refused both ways. */
  readonly cut: number;
  /** All bits that are ours. */
  readonly mask: number;
}

/** `base`: a power of two up to 2^27. */
export function marksFrom(base: number): Marks {
  return { redirect: base, attested: base * 2, stranger: base * 4, connection: base * 8, named: base * 4, cut: base * 2, mask: base * 15 };
}
