/**
 * What the flows of both members look like to those who serve them: a place in them that goes back and forth, and a count per
 * member. A reader never waits and nothing is kept for it; one that is overtaken is told how many it missed. Knows neither rings
 * nor records, nor who reads.
 */
import type { Role } from '@tandem/core';
import type { Flow } from '@tandem/proto';

/** One flow, and its bytes as `flow.Flow`, made once for all who read it. */
export interface ObservedFlow {
  readonly flow: Flow;
  readonly bytes: Uint8Array;
  /** Wall clock, milliseconds. */
  readonly timeMs: number;
  /** The bytes of a whole `GetFlowsResponse`, where one was made: kept here for the next who wants it. */
  response: Uint8Array | null;
}

/** Flows that were overwritten before this reader came to them. */
export interface LostFlows {
  readonly lost: number;
}

/** A place in the flows of both members, in the order of time. Never waits, keeps nothing. */
export interface FlowReader {
  /** Steps back to the flow before; null at the oldest that is still there. */
  previous(): ObservedFlow | null;
  /** The flow after; null: there is none yet. */
  next(): ObservedFlow | LostFlows | null;
}

export interface MemberFlows {
  readonly role: Role;
  /** The member lives and writes its ring, as seen from here. */
  readonly connected: boolean;
  /** Flows that are in the ring, about. */
  readonly stored: number;
  /** Flows that fit into it, about. */
  readonly max: number;
  /** Flows that were ever written there. */
  readonly seen: number;
  readonly uptimeMs: number;
}

export interface FlowLog {
  read(from: 'oldest' | 'newest'): FlowReader;
  /** Own member first; the peer where one was ever seen. */
  members(): readonly MemberFlows[];
  readonly nodeName: string;
  readonly version: string;
}
