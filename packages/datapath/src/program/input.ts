/** What a program is made of: all that the leader knows. */
import type { Snapshot } from '@tandem/core';
import type { GrantScope } from '../fqdn-groups.js';
import type { Marks } from '../names.js';

export interface ProxyAddress {
  readonly address: string;
  readonly port: number;
}

export interface ProgramInput {
  /** With the places of its endpoints' addresses. */
  readonly snapshot: Snapshot;
  /** Indexes and MAC of the pair that bridged pods' packets are pulled out by; null: there is none, and bridged pods are strangers. */
  readonly divert: { readonly outer: number; readonly outerMac: string; readonly inner: number } | null;
  /** Name of an interface; null: it is gone. */
  readonly nameOf: (index: number) => string | null;
  /** Indexes of all ports of the bridges that pods are behind; absent: only those that pods are pinned to. */
  readonly bridgePorts?: readonly number[];
  readonly marks: Marks;
  /** Where DNS goes; null for a family: it is dropped. Both null: nothing is redirected. */
  readonly redirectTo: { readonly v4: ProxyAddress | null; readonly v6: ProxyAddress | null };
  readonly grantScope: GrantScope;
  /** Nothing is refused; what would have been is logged. */
  readonly auditMode: boolean;
  /** Of NFLOG; null: nothing is logged. */
  readonly logGroup: number | null;
  /** Networks of this node's pods: an address in one of them that is no endpoint's is a stranger's. */
  readonly podCidrs: readonly string[];
  /** The proxy asks from the pods' own addresses: answers to those are ours. */
  readonly isTransparentUpstream: boolean;
}
