/** Between a member and what enforces its policy in the kernel: host and datapath know each other by this alone. */
import type { LoggedPacket } from '../policy/logged-packet.js';
import type { FqdnCache } from './cache.js';

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
