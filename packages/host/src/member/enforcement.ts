/** What enforces in the kernel who may connect where, as a member sees it. Host knows no datapath: the wire-up brings one. */
import type { ConnectionSource, EnforcementSeams, Mapping, Snapshot } from '@tandem/core';

export interface Enforcement {
  readonly connections: ConnectionSource;
  /** URL of the module that opens what the data plane learns (`OpenerModule`). */
  readonly opener: string;
  /** One line each, for `status`. */
  readonly problems: readonly string[];
  /** For metrics: this member writes the tables (1) or its peer does (0), and how often each thing happened. */
  readonly counts: EnforcementCounts;
  /** Whether the address is one of this node, as the kernel has it. */
  isOwn(address: string): boolean;
  /** Called once, before all else. */
  attach(seams: EnforcementSeams): void;
  /** Resolves when the tables say it, or it is the other member's to write them, or they cannot be written now (a problem then). */
  enforce(snapshot: Snapshot): Promise<void>;
  /** Our data plane learned these, and has opened them. */
  learned(mappings: readonly Mapping[]): void;
  /** These came to be known otherwise: from a peer, or a file. */
  taught(mappings: readonly Mapping[]): void;
  /**
   * The cache was collected or cleaned. What it lets go of is to be closed; where not (`mayClose` is false), it ends by its timeout: a peer that
   * is not heard may have opened it again. By force (`isCleaned`) at once, else not before the peer's data plane knows, too.
   */
  shrunk(mayClose: boolean, isCleaned: boolean): void;
  /** Writes no more, for good; resolves when what is being written is, within a second. Called at the end, while the API still answers. */
  leave(): Promise<void>;
}

export interface EnforcementCounts {
  readonly isLeader: boolean;
  /** Changes of the tables that were written, and those that the kernel refused. */
  readonly changes: number;
  readonly failures: number;
  /** Times that somebody else's change was repaired. */
  readonly repairs: number;
  /** Elements of FQDN sets, as this member knows them. */
  readonly open: number;
  /** Connections that were ended because policy allows them no more. */
  readonly cut: number;
  /** Pods whose DNS is redirected. */
  readonly redirects: number;
}
