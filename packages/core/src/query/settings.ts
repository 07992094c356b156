/** What the query path is told at start; see `base/settings.ts` for the flags behind it. */

export interface UpstreamServer {
  /** 16 bytes, network order, IPv4 as IPv4-mapped. */
  readonly address: Uint8Array;
  readonly port: number;
}

/** Where resolver libraries of pods look for names, as in their resolv.conf. Lower case, without a final dot. */
export interface SearchDomains {
  /** The cluster's own: a pod searches `NAMESPACE.svc.CLUSTER`, `svc.CLUSTER` and `CLUSTER`. */
  readonly cluster: string;
  readonly others: readonly string[];
}

export interface PathSettings {
  /**
   * Explicit mode's resolvers, in order of preference; the query goes to the first that policy allows. Empty in
   * transparent mode, where the client's own choice is asked.
   */
  readonly upstreams: readonly UpstreamServer[];
  /** The port that policy sees instead of the upstream's own (explicit mode). */
  readonly policyPort: number;
  readonly unknownEndpoint: 'refuse' | 'allow';
  /** Transparent mode: the bit of the packet mark that says a bridged pod's place was checked. Without it the source address alone counts. */
  readonly attestedMark?: number;
  /** Questions leave with their clients' addresses, from sockets of each client's own. */
  readonly clientPorts?: boolean;
  readonly auditMode: boolean;
  /** RCODE of a policy refusal: 5 (REFUSED) or 3 (NXDOMAIN). */
  readonly rejectRcode: number;
  /** A refused name that is an allowed one with one of these behind it gets NXDOMAIN; null: it is refused like any other. */
  readonly searchDomains: SearchDomains | null;
  /** Recompress answers that are larger than the client takes, before truncating them. */
  readonly dnsCompression: boolean;
  /** Queries under way at most; 0 for no limit but the slots. */
  readonly concurrencyLimit: number;
  /** How long a query over that limit waits before it gets SERVFAIL. */
  readonly concurrencyGraceMs: number;
  /** How long an answer waits for the datapath at most. */
  readonly responseMaxDelayMs: number;
  /** Queries under way at most for the lack of slots; the rest of the slots is for refusals and takeover. */
  readonly slotsForQueries: number;
  /** Least life of a mapping in seconds, whatever its TTL. */
  readonly minTtlSeconds: number;
  /** Sets of four mappings that are remembered as passed on; without it as many as a busy node needs. */
  readonly recentSets?: number;
}

/** One try at an upstream; after TRIES of them the client gets SERVFAIL. Together below the promised 2.5 s. */
export const TRY_TIMEOUT_MS = 1000;
export const TRIES = 2;

/** A query that was taken over gets no second try that could end later than this after it arrived, its wait in the socket included. */
export const TAKEN_ANSWERED_WITHIN_MS = 2500;

/**
 * A query that has waited longer in the socket is dropped: its client gives up before the answer, or asks again. Without it a member that
 * gets more than it can answer would in the end answer nothing in time.
 */
export const QUEUED_MAX_MS = 1500;

/** Questions in a row from one source port: more would be cheaper to guess, fewer break the send batches. */
export const ASKS_PER_PORT = 16;

/** Aliases followed from a question to its addresses (DESIGN §4.5). */
export const ALIAS_LINKS_MAX = 16;

/** Answers held for the datapath at once; one more is released at once and counted. */
export const HELD_ANSWERS_MAX = 1024;

/** A query that was under way in so many dead members is answered; in one more, it is not read again: it may be what killed them. */
export const DEATHS_MAX = 1;
