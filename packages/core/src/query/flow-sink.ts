/**
 * What the query path tells of each query that is over: one call of `answer`, whatever became of it. `host` writes it down for those
 * who watch (flows); nothing here depends on whether anybody does.
 */

/** How a query ended. Those up to LAST_ASKED had been sent to an upstream, or had been allowed to be. */
export const OUTCOME = {
  answered: 0,
  /** SERVFAIL: no upstream answered. */
  upstreamTimeout: 1,
  /** Kept back: it gave a private address to a name that may have none. */
  privateAddress: 2,
  /** SERVFAIL: slots were short, or too many queries under way. */
  overload: 3,
  /** By policy: the rule says which. */
  refused: 4,
  /** The address is no known endpoint. */
  stranger: 5,
  noSnapshot: 6,
  queryRate: 7,
  labelEntropy: 8,
  /** FORMERR or NOTIMP. */
  malformed: 9,
  /** SERVFAIL, unread: it may be what ended its owner. */
  unparsed: 10,
  /** The address is an endpoint's, but the query came in elsewhere than that endpoint is. */
  identityStale: 11,
} as const;
export type Outcome = (typeof OUTCOME)[keyof typeof OUTCOME];
export const LAST_ASKED: Outcome = OUTCOME.overload;

/** Called on the query path: nothing here may allocate, wait or fail. */
export interface FlowSink {
  /** A batch of events begins. */
  startBatch(nowMs: number): void;
  /** From here on this revision decides. */
  setRevision(revision: number): void;
  /** The verdict, before all else: `endpointId` 0 for a stranger, `rule` as `PolicyIndex.decide` gives it, or ALLOW_NO_POLICY. */
  decided(slot: number, endpointId: number, rule: number): void;
  /** After `decided`: the query ends for this reason, not by an upstream's answer. */
  end(slot: number, outcome: Outcome): void;
  /** After `decided`: for this reason it would have been refused, but it goes on: only counted, or in audit mode. */
  audited(slot: number, outcome: Outcome): void;
  /** The answer leaves, and the query is over. */
  answer(slot: number, bytes: Uint8Array, offset: number, length: number): void;
}

/** For a path whose flows nobody wants. */
export const NO_FLOWS: FlowSink = {
  startBatch: () => undefined, setRevision: () => undefined, decided: () => undefined, end: () => undefined, audited: () => undefined, answer: () => undefined,
};
