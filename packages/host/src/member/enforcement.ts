/** What enforces in the kernel who may connect where, as a member sees it. Host knows no datapath: the wire-up brings one. */
import type { ConnectionSource, FqdnCache, LoggedPacket, Mapping, Snapshot } from '@tandem/core';

/** What a member has for the one that enforces. */
export interface EnforcementSeams {
  readonly cache: FqdnCache;
  /** Bridged pods' packets come in by this interface. */
  readonly onDiverted: (interfaceIndex: number) => void;
  /** All addresses of endpoints whose place is gone: who has one is a stranger, even with an interface of the same index. */
  readonly onDisplaced: (addresses: readonly string[]) => void;
  /** Sets were made anew: what the data plane takes for open may not be. */
  readonly onReopened: () => void;
  /** Denied and first allowed packets, and how many of them were lost. */
  readonly onPackets: (packets: readonly LoggedPacket[]) => void;
  readonly onPacketsLost: (packets: number) => void;
}

export interface Enforcement {
  readonly connections: ConnectionSource;
  /** URL of the module that opens what the data plane learns (`OpenerModule`). */
  readonly opener: string;
  /** One line each, for `status`. */
  readonly problems: readonly string[];
  /** For metrics: this member writes the tables (1) or its peer does (0), and how often each thing happened. */
  readonly counts: EnforcementCounts;
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
   * is not heard may have opened it again.
   */
  shrunk(mayClose: boolean): void;
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
